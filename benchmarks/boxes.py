"""Whether methods put subjects where boxes say, on the bundled model.

Usage:
    python benchmarks/boxes.py [--methods plain regions boxdiff] [--one-way] [--sheet FILE]

Each prompt is drawn with its boxes and with the two boxes swapped. Of all wanted subjects are
printed the share that the bundled scorer sees, the share whose centre lies in its box, the mean
overlap with the box (intersection over union, 0 where the subject is not seen), the share seen in
its colour, and the share of images with a mixture of two subjects.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm
from training.scorer.judging import overlap

import adhere
from adhere.drawing.stated import method_named
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
    """What was seen of one method."""

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
        tally.overlap.append(max((overlap(b, box) for b in placed), default=0.0))
        if colour is not None:
            tally.colour.append(float(any(f.colour == colour for f in own)))


def methods_of(name: str) -> list:
    """The methods of a name such as "boxdiff+regions", with the bundled model's numbers."""
    return [] if name == "plain" else [method_named(one, model="mini") for one in name.split("+")]


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
    parser.add_argument("--methods", nargs="+", default=["plain", "regions", "boxdiff"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--one-way", action="store_true", help="do not swap the boxes")
    parser.add_argument("--sheet", type=Path, help="write the images there, boxes drawn")
    given = parser.parse_args()
    judge = scorer.load()
    tallies = {name: Tally() for name in given.methods}
    rows, labels = [], []
    jobs = [
        (prompt, subjects, colours, boxes[::way], name)
        for prompt, subjects, colours, boxes in CASES[: given.cases]
        for way in ((1,) if given.one_way else (1, -1))
        for name in given.methods
    ]
    for prompt, subjects, colours, places, name in tqdm(jobs, disable=None):
        boxes = dict(zip(subjects, places, strict=True))
        methods = methods_of(name)
        drawing = adhere.draw(
            prompt,
            method=methods or None,
            boxes=boxes if methods else None,
            seeds=given.seeds,
            steps=given.steps,
        )
        wanted = list(zip(subjects, colours, places, strict=True))
        for image, seen in zip(drawing.images, judge.look(drawing.images), strict=True):
            note(tallies[name], seen, image.width, wanted)
        rows.append([outlined(image, boxes) for image in drawing.images])
        labels.append((name, prompt, f"red box: {subjects[0]}"))
    print(f"{'':20}{'present':>9}{'inside':>9}{'overlap':>9}{'colour':>9}{'mixture':>9}")
    for name, tally in tallies.items():
        means = [np.mean(values) if values else np.nan for values in vars(tally).values()]
        print(f"{name:20}" + "".join(f"{mean:9.3f}" for mean in means))
    if given.sheet is not None:
        seeds = [f"seed {seed}" for seed in given.seeds]
        make_sheet(rows, rows=labels, columns=seeds, title="Boxes", cell=128).save(given.sheet)


if __name__ == "__main__":
    main()
