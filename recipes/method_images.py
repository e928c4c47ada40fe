"""Draw the images of each method's page: baseline beside nursed, and a strip to choose from.

python recipes/method_images.py [METHOD ...]

Nothing is chosen by its outcome: the prompt says what the method is made for, seeds are 0 to 2,
and all methods that a U-Net can have keep their paper's numbers on the bundled model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

import adhere
from adhere.drawing.loading import load
from adhere.figures.sheet import make_sheet
from adhere.methods import METHODS

PICTURES = Path(__file__).parents[1] / "docs/pictures"
SEEDS = range(3)
STEPS = 25
ANIMALS, COLOURS = "a cat and a frog", "a red backpack and a blue chair"
# Methods of binding and of boxes draw coloured objects, all others two animals.
COLOURED = {"divide-and-bind", "syngen", "conform", "emergent-layout"}
# Methods that need boxes get these, a half of the image each.
BOXES = {"backpack": (0.0, 0.1, 0.5, 0.9), "chair": (0.5, 0.1, 1.0, 0.9)}
CELL = 72


def prompt_of(method: str) -> str:
    """The prompt that shows what a method is made for."""
    is_coloured = METHODS[method].needs_boxes or method in COLOURED
    return COLOURS if is_coloured else ANIMALS


def slug(prompt: str) -> str:
    """The name of the file of a prompt's baseline."""
    return prompt.replace(" ", "-")


def strip(images: Sequence[Image.Image]) -> Image.Image:
    """Images in one row, small."""
    row = Image.new("RGB", (CELL * len(images), CELL))
    for place, image in enumerate(images):
        row.paste(image.resize((CELL, CELL)), (CELL * place, 0))
    return row.quantize(256)


def main() -> None:
    """Draw each method's prompt without it and with it, on the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="names (all)")
    chosen = parser.parse_args().methods or list(METHODS)
    how = {"model": load("mini"), "seeds": SEEDS, "steps": STEPS}
    for folder in ("methods", "strips"):
        (PICTURES / folder).mkdir(parents=True, exist_ok=True)
    baselines = {}
    for prompt in (ANIMALS, COLOURS):
        baselines[prompt] = adhere.draw(prompt, method=None, **how).images
        strip(baselines[prompt]).save(PICTURES / "strips" / f"{slug(prompt)}.png", optimize=True)
    for name in chosen:
        kind, prompt = METHODS[name], prompt_of(name)
        if kind.needs_joint_attention:
            continue
        boxes = BOXES if kind.needs_boxes else None
        nursed = adhere.draw(prompt, method=kind(), boxes=boxes, **how).images
        strip(nursed).save(PICTURES / "strips" / f"{name}.png", optimize=True)
        make_sheet(
            list(zip(baselines[prompt], nursed, strict=True)),
            rows=[(f"seed {seed}",) for seed in SEEDS],
            columns=["baseline", name],
            title=prompt,
            cell=160,
        ).quantize(256).save(PICTURES / "methods" / f"{name}.png", optimize=True)
        print(name, flush=True)


if __name__ == "__main__":
    main()
