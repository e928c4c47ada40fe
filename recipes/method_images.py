"""Draw one sheet a method for its section of the documentation: baseline beside nursed.

python recipes/method_images.py [METHOD ...]

Nothing is chosen by its outcome: the prompt says what the method is made for, seeds are 0 to 2,
and all methods that a U-Net can have keep their paper's numbers on the bundled model.
"""

import argparse
from pathlib import Path

import adhere
from adhere.drawing.loading import load
from adhere.figures.sheet import make_sheet
from adhere.methods import METHODS

FOLDER = Path(__file__).parents[1] / "docs/pictures/methods"
SEEDS = range(3)
STEPS = 25
ANIMALS, COLOURS = "a cat and a frog", "a red backpack and a blue chair"
# Methods of binding and of boxes draw coloured objects, all others two animals.
COLOURED = {"divide-and-bind", "syngen", "conform", "emergent-layout"}
# Methods that need boxes get these, a half of the image each.
BOXES = {"backpack": (0.0, 0.1, 0.5, 0.9), "chair": (0.5, 0.1, 1.0, 0.9)}


def main() -> None:
    """Draw each method's prompt without it and with it, on the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="names (all)")
    chosen = parser.parse_args().methods or list(METHODS)
    model = load("mini")
    FOLDER.mkdir(parents=True, exist_ok=True)
    baselines = {}
    for name in chosen:
        kind = METHODS[name]
        if kind.needs_joint_attention or name == "watch":
            continue
        boxes = BOXES if kind.needs_boxes else None
        prompt = COLOURS if boxes or name in COLOURED else ANIMALS
        how = {"model": model, "seeds": SEEDS, "steps": STEPS}
        if prompt not in baselines:
            baselines[prompt] = adhere.draw(prompt, method=None, **how).images
        nursed = adhere.draw(prompt, method=kind(), boxes=boxes, **how).images
        make_sheet(
            list(zip(baselines[prompt], nursed, strict=True)),
            rows=[(f"seed {seed}",) for seed in SEEDS],
            columns=["baseline", name],
            title=prompt,
            cell=160,
        ).quantize(256).save(FOLDER / f"{name}.png", optimize=True)
        print(name, flush=True)


if __name__ == "__main__":
    main()
