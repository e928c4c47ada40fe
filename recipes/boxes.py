"""Draw the image of docs/boxes.md: one prompt without boxes, with two, and with the two swapped.

Usage:
    python recipes/boxes.py [--seeds 0 1 2 3]

It draws with the bundled model and writes docs/pictures/boxes.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import ImageDraw

import adhere
from adhere.figures.sheet import make_sheet

PROMPT = "a red backpack and a blue chair"
LEFT, RIGHT = (0.02, 0.15, 0.48, 0.85), (0.52, 0.15, 0.98, 0.85)
ROWS = {
    ("no boxes",): None,
    ("backpack left", "chair right"): {"backpack": LEFT, "chair": RIGHT},
    ("backpack right", "chair left"): {"backpack": RIGHT, "chair": LEFT},
}
TARGET = Path(__file__).parents[1] / "docs" / "pictures" / "boxes.png"


def main() -> None:
    """Draw the rows."""
    parser = argparse.ArgumentParser(description="Draw the image of docs/boxes.md.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    given = parser.parse_args()
    rows = []
    for boxes in ROWS.values():
        method = None if boxes is None else "regions"
        drawing = adhere.draw(PROMPT, method=method, boxes=boxes, seeds=given.seeds, steps=25)
        images = [image.copy() for image in drawing.images]
        for image in images:
            for box, ink in zip((boxes or {}).values(), ("red", "blue"), strict=False):
                sides = [side * image.width for side in box]
                corners = (sides[0], sides[1], sides[2] - 1, sides[3] - 1)
                ImageDraw.Draw(image).rectangle(corners, outline=ink)
        rows.append(images)
    columns = [f"seed {seed}" for seed in given.seeds]
    sheet = make_sheet(rows, rows=list(ROWS), columns=columns, title=PROMPT, cell=160)
    sheet.save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
