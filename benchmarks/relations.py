"""How well boxes tell joined things: on drawn scenes, and against labels made by eye.

Usage:
    python benchmarks/relations.py fit [--count 1200]         write the ranges that ship
    python benchmarks/relations.py figures [--count 1000]     on scenes that chose nothing
    python benchmarks/relations.py draw PICTURES              100 images, to label
    python benchmarks/relations.py sheet PICTURES SHEETS
    python benchmarks/relations.py agreement PICTURES LABELS

The 100 images are of the prompts of the set "relations", at 25 steps: of either bundled model 25
of the baseline, and the same prompts and seeds nursed by emergent layout. Those of "mini" are
among the images of the plan `benchmarks/plans/mini.toml`.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm
from training.scorer import joining, judging

import adhere
from adhere.drawing.loading import load
from adhere.evaluation.prompts import prompt_set
from adhere.files import write_whole
from adhere.mini import joined, scorer

HELD_OUT_SEED = 20_261_125
# Each model draws the prompts that lie so far apart in the set.
STRIDES = {"mini": 6, "mini-joint": 7}
FIRST_SEED = 430


class Job(NamedTuple):
    """One image: its prompt, what must be joined, its seed, and what draws it."""

    prompt: str
    relation: tuple[str, str, str]
    seed: int
    model: str
    method: str | None


def jobs() -> list[Job]:
    """100 images of the relations' prompts, in turn by either model, unnursed and nursed."""
    prompts = prompt_set("relations").prompts
    found = []
    for number in range(100):
        model = tuple(STRIDES)[number % 2]
        method = (None, "emergent-layout")[number // 2 % 2]
        place = number // 4
        prompt = prompts[place * STRIDES[model] % len(prompts)]
        (asked,) = prompt.relations
        thing, base = (prompt.wanted[place].subject for place in (asked.thing, asked.base))
        relation = (asked.kind, thing, base)
        found.append(Job(prompt.text, relation, FIRST_SEED + place // 15, model, method))
    return found


def draw(folder: Path) -> None:
    """Draw the images that are not there yet; their names say nothing of what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: load(name) for name in STRIDES}
    for number, job in enumerate(tqdm(jobs())):
        path = folder / f"{number:03d}.png"
        if path.exists():
            continue
        drawing = adhere.draw(
            job.prompt,
            model=models[job.model],
            method=job.method,
            seeds=job.seed,
            steps=25,
        )
        drawing.images[0].save(path, optimize=True)


def sheet(pictures: Path, sheets: Path) -> None:
    """Sheets to look at, and a file of labels to fill in."""
    judging.labelling_sheet(pictures, sheets, columns=4, rows=3)
    rows = [
        {"picture": f"{number:03d}.png", "relation": job.relation, "joined": None}
        for number, job in enumerate(jobs())
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_whole(sheets / "labels.jsonl", text.encode())


def agreement(pictures: Path, labels: Path, weights: Path | None) -> None:
    """Agreement of boxes and eye, by relation, and every image on which they differ."""
    judge = scorer.load(weights)
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    sure = [row for row in rows if row["joined"] is not None]
    images = [np.asarray(Image.open(pictures / row["picture"]).convert("RGB")) for row in sure]
    counts: dict[str, list[tuple[bool, bool]]] = {}
    for row, seen in zip(sure, judge.look(images), strict=True):
        kind, thing, base = row["relation"]
        said = joined.is_seen(seen, kind, thing, base)
        for name in (kind, "all"):
            counts.setdefault(name, []).append((row["joined"], said))
        if said != row["joined"]:
            found = ", ".join(f"{f.subject} {f.confidence:.2f}" for f in seen.findings)
            eye = "joined" if row["joined"] else "not joined"
            print(f"{row['picture']}: {thing} {kind} {base}: eye {eye}; boxes of {found}")
    for name, own in counts.items():
        eye, boxes = np.array(own).T
        print(
            f"{name}: images {len(own)}  agree {np.mean(eye == boxes):.4f}  joined by eye "
            f"{eye.sum()}  by boxes {boxes.sum()}  by both {(eye & boxes).sum()}"
        )
    print(f"left out as undecided: {len(rows) - len(sure)}")


def fit(weights: Path | None, count: int) -> None:
    """Write the ranges that ship, from scenes of the recipe's own numbers."""
    ranges, slack = joining.fitted(scorer.load(weights), joining.examples(0, count))
    write_whole(joined.LIMITS, (json.dumps(ranges, indent=1) + "\n").encode())
    print(f"slack {slack}; {len(ranges)} ranges in {joined.LIMITS}")


def figures(weights: Path | None, count: int) -> None:
    """On drawn scenes that chose nothing: joined, apart, and joined with one moved away."""
    told = joining.figures(scorer.load(weights), joining.examples(HELD_OUT_SEED, count))
    for name, own in told.items():
        print(f"{name}: " + "  ".join(f"{key} {value:.4g}" for key, value in own.items()))


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description="Judge how relations are judged.")
    parser.add_argument("--weights", type=Path, help="of the scorer, instead of those that ship")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, count in (("fit", 1200), ("figures", 1000)):
        verbs.add_parser(name).add_argument("--count", type=int, default=count)
    verbs.add_parser("draw").add_argument("pictures", type=Path)
    for name in ("sheet", "agreement"):
        verb = verbs.add_parser(name)
        verb.add_argument("pictures", type=Path)
        verb.add_argument("sheets" if name == "sheet" else "labels", type=Path)
    given = parser.parse_args()
    if given.verb == "fit":
        fit(given.weights, given.count)
    elif given.verb == "figures":
        figures(given.weights, given.count)
    elif given.verb == "draw":
        draw(given.pictures)
    elif given.verb == "sheet":
        sheet(given.pictures, given.sheets)
    else:
        agreement(given.pictures, given.labels, given.weights)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
