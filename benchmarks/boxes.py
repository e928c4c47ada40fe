"""Whether methods put subjects where boxes say, on a bundled model.

Usage:
    python benchmarks/boxes.py [--model mini-joint] [--methods baseline regions boxdiff]
        [--one-way] [--sheet FILE]

Each prompt is drawn with its boxes and with the two boxes swapped. Of all wanted subjects are
printed the share that the bundled scorer sees, the share whose centre lies in its box, the mean
overlap with the box (intersection over union, 0 where the subject is not seen), the share seen in
its colour, and the share of images with a mixture of two subjects; each with the 95% interval of
resampled prompts, and the seconds that an image takes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

import adhere
from adhere.drawing.stated import method_named
from adhere.evaluation.statistics import estimate
from adhere.figures.sheet import make_sheet
from adhere.mini import scorer

LEFT, RIGHT = (0.02, 0.15, 0.48, 0.85), (0.52, 0.15, 0.98, 0.85)
TOP, BOTTOM = (0.2, 0.02, 0.8, 0.48), (0.2, 0.52, 0.8, 0.98)
# Prompt, its two subjects, their colours, their boxes.
CASES = [
    ("a cat and a frog", ("cat", "frog"), (None, None), (LEFT, RIGHT)),
    ("a lion and a bird", ("lion", "bird"), (None, None), (LEFT, RIGHT)),
    ("a dog and an apple", ("dog", "apple"), (None, None), (TOP, BOTTOM)),
    ("a bear and a clock", ("bear", "clock"), (None, None), (LEFT, RIGHT)),
    ("a red backpack and a blue chair", ("backpack", "chair"), ("red", "blue"), (LEFT, RIGHT)),
    ("a green car and a yellow balloon", ("car", "balloon"), ("green", "yellow"), (BOTTOM, TOP)),
    ("a purple bowl and an orange crown", ("bowl", "crown"), ("purple", "orange"), (LEFT, RIGHT)),
    ("a blue suitcase and a pink bench", ("suitcase", "bench"), ("blue", "pink"), (LEFT, RIGHT)),
]


@dataclass
class Tally:
    """What was seen of one method on one prompt."""

    present: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)
    colour: list[float] = field(default_factory=list)
    mixture: list[float] = field(default_factory=list)


def note(tally: Tally, seen: scorer.Sighting, side: int, wanted: list[tuple]) -> None:
    """Add what one image shows: of each subject the sighting that fits its box best."""
    tally.mixture.append(float(bool(seen.mixtures)))
    for subject, colour, box in wanted:
        own = [f for f in seen.findings if f.subject == subject and not f.is_mixture]
        tally.present.append(float(bool(own)))
        placed = [tuple(v / side for v in finding.box) for finding in own]
        centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in placed]
        is_in = any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in centres)
        tally.inside.append(float(is_in))
        tally.overlap.append(max((scorer.shared(b, box) for b in placed), default=0.0))
        if colour is not None:
            tally.colour.append(float(any(f.colour == colour for f in own)))


def methods_of(name: str, model: str) -> list:
    """The methods of a name such as "boxdiff+regions", with the bundled model's numbers."""
    return (
        [] if name == "baseline" else [method_named(one, model=model) for one in name.split("+")]
    )


def cell(tallies: list[Tally], measure: str) -> str:
    """The mean over prompts of one measure, with its interval."""
    means = [float(np.mean(own)) for own in (getattr(one, measure) for one in tallies) if own]
    found = estimate(np.array(means)[:, None])
    ends = "" if found.low is None else f" ({found.low:.3f}, {found.high:.3f})"
    return f"{found.value:.3f}{ends}"


def outlined(image: Image.Image, boxes: dict) -> Image.Image:
    """The image with its boxes drawn."""
    drawn = image.copy()
    for box, ink in zip(boxes.values(), ("red", "blue"), strict=True):
        left, top, right, bottom = (
            v * n for v, n in zip(box, (*image.size, *image.size), strict=True)
        )
        ImageDraw.Draw(drawn).rectangle((left, top, right - 1, bottom - 1), outline=ink)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether subjects stand in their boxes.")
    parser.add_argument("--model", choices=["mini", "mini-joint"], default="mini")
    parser.add_argument("--methods", nargs="+", default=["baseline", "regions", "boxdiff"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--one-way", action="store_true", help="do not swap the boxes")
    parser.add_argument("--sheet", type=Path, help="write the images there, boxes drawn")
    given = parser.parse_args()
    judge = scorer.load()
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in given.methods}
    seconds = dict.fromkeys(given.methods, 0.0)
    rows, labels = [], []
    jobs = [
        (prompt, subjects, colours, boxes[::way], name)
        for prompt, subjects, colours, boxes in CASES[: given.cases]
        for way in ((1,) if given.one_way else (1, -1))
        for name in given.methods
    ]
    for prompt, subjects, colours, places, name in tqdm(jobs, disable=None):
        boxes = dict(zip(subjects, places, strict=True))
        methods = methods_of(name, given.model)
        began = time.perf_counter()
        drawing = adhere.draw(
            prompt,
            model=given.model,
            method=methods or None,
            boxes=boxes if methods else None,
            seeds=given.seeds,
            steps=given.steps,
        )
        seconds[name] += time.perf_counter() - began
        tally = tallies[name].setdefault(prompt, Tally())
        wanted = list(zip(subjects, colours, places, strict=True))
        for image, seen in zip(drawing.images, judge.look(drawing.images), strict=True):
            note(tally, seen, image.width, wanted)
        rows.append([outlined(image, boxes) for image in drawing.images])
        labels.append((name, prompt, f"red box: {subjects[0]}"))
    names = [one.name for one in fields(Tally)]
    print(f"{'':20}" + "".join(f"{name:>22}" for name in names) + f"{'seconds':>9}")
    count = len(jobs) // len(given.methods) * len(given.seeds)
    for name, by_prompt in tallies.items():
        cells = [cell(list(by_prompt.values()), measure) for measure in names]
        print(f"{name:20}" + "".join(f"{c:>22}" for c in cells) + f"{seconds[name] / count:9.1f}")
    if given.sheet is not None:
        seeds = [f"seed {seed}" for seed in given.seeds]
        make_sheet(rows, rows=labels, columns=seeds, title="Boxes", cell=128).save(given.sheet)


if __name__ == "__main__":
    main()
