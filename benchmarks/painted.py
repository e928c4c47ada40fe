"""Painted singles ("a red bow") as the scorer and as an eye sees them.

Usage:
    python benchmarks/painted.py draw FOLDER [--model mini]
    python benchmarks/painted.py agreement FOLDER LABELS [--model mini]

`draw` makes the 264 images of the gate (seeds 0 and 1, 25 steps), numbered in a shuffled order, so
that neither name nor neighbour tells the prompt. LABELS has one line a picture, with null for what
cannot be told: {"picture": "000.png", "colour": "red", "object": "bow"}.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training.gates.presence import pictures_of

from adhere.drawing.loading import load
from adhere.mini import scorer
from training import world

SEEDS = (0, 1)


def asked() -> list[tuple[int, str, str]]:
    """Place among the gate's images, colour and object, of each picture in its shuffled order."""
    painted = [(c, o) for o in world.OBJECTS for c in world.COLOURS for _ in SEEDS]
    order = [*range(len(painted))]
    random.Random(27).shuffle(order)
    return [(place, *painted[place]) for place in order]


def draw(folder: Path, model: str) -> None:
    """Draw the pictures to be labelled."""
    folder.mkdir(parents=True)
    prompts = [f"a {colour} {thing}" for thing in world.OBJECTS for colour in world.COLOURS]
    images = pictures_of(load(model).pipe, prompts, SEEDS, steps=25)
    for number, (place, *_) in enumerate(asked()):
        Image.fromarray(images[place]).save(folder / f"{number:03d}.png", optimize=True)


def agreement(folder: Path, labels: Path, model: str) -> None:
    """How many are right to the eye, to the scorer, and to both."""
    lines = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    by_eye = {line["picture"]: (line["colour"], line["object"]) for line in lines}
    judge, wanted = scorer.load(), asked()
    names = [f"{number:03d}.png" for number in range(len(wanted))]
    looked = judge.look([np.asarray(Image.open(folder / name)) for name in names])
    rows = []
    for name, (_, colour, thing), seen in zip(names, wanted, looked, strict=True):
        eye, machine = by_eye[name] == (colour, thing), colour in seen.colours(thing)
        rows.append((eye, machine))
        if not (eye and machine):
            found = ", ".join(f"{f.colour} {f.subject}" for f in seen.findings) or "nothing"
            told = " ".join(word or "?" for word in by_eye[name])
            print(f"{name} a {colour} {thing}: eye {told}; scorer {found}")
    eyes, machines = np.array(rows).mean(0)
    same = np.mean([eye == machine for eye, machine in rows])
    print(f"{len(rows)} painted singles of {model}: right to the eye {eyes:.1%}, "
          f"to the scorer {machines:.1%}, of one opinion {same:.1%}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Painted singles by eye and by scorer.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("draw", "agreement"):
        verb = verbs.add_parser(name)
        verb.add_argument("folder", type=Path)
        verb.add_argument("--model", default="mini")
        if name == "agreement":
            verb.add_argument("labels", type=Path)
    given = parser.parse_args()
    if given.verb == "draw":
        draw(given.folder, given.model)
    else:
        agreement(given.folder, given.labels, given.model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
