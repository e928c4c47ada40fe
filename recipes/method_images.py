"""Draw one image a method for its section of the documentation: baseline and nursed.

python recipes/method_images.py

Nothing is chosen: one prompt, seeds 0 to 2, the bundled model, with their defaults all methods
that a U-Net can have.
"""

from pathlib import Path

import adhere
from adhere.drawing.loading import load
from adhere.figures.sheet import make_sheet
from adhere.methods import METHODS

FOLDER = Path(__file__).parents[1] / "docs/pictures/methods"
PROMPT = "a red backpack and a blue chair"
SEEDS = range(3)
# Methods that need boxes get these, a half of the image each.
BOXES = {"backpack": (0.0, 0.1, 0.5, 0.9), "chair": (0.5, 0.1, 1.0, 0.9)}


def main() -> None:
    """Draw the prompt with every method, on the same seeds."""
    model = load("mini")
    FOLDER.mkdir(parents=True, exist_ok=True)
    baseline = adhere.draw(PROMPT, model=model, method=None, seeds=SEEDS).images
    for name, kind in METHODS.items():
        if kind.needs_joint_attention:
            continue
        boxes = BOXES if kind.needs_boxes else None
        drawing = adhere.draw(PROMPT, model=model, method=kind(), seeds=SEEDS, boxes=boxes)
        make_sheet(
            [[*baseline, *drawing.images]],
            rows=[(PROMPT,)],
            columns=[f"{way} {seed}" for way in ("baseline", "nursed") for seed in SEEDS],
            title=f"{name}, on the same seeds",
            cell=128,
        ).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
