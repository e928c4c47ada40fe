"""Draw the README's image: the first prompts that one tries, without and with nursing.

python recipes/before_after.py

Nothing is chosen: five prompts, seeds 0 to 3, the bundled model, `adhere.draw` as it is.
"""

from pathlib import Path

import adhere
from adhere.drawing.loading import load
from adhere.figures.sheet import make_sheet

PICTURE = Path(__file__).parents[1] / "docs/pictures/before-after.png"
SEEDS = range(4)
PROMPTS = (
    "a cat and a frog",
    "a red backpack and a blue chair",
    "a lion with a crown",
    "two cats and a dog",
    "a green apple, a yellow bow and a purple clock",
)


def main() -> None:
    """Draw every prompt twice on the same seeds."""
    model = load("mini")
    rows = [
        [
            *adhere.draw(prompt, model=model, method=None, seeds=SEEDS).images,
            *adhere.draw(prompt, model=model, seeds=SEEDS).images,
        ]
        for prompt in PROMPTS
    ]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    make_sheet(
        rows,
        rows=[(prompt,) for prompt in PROMPTS],
        columns=[f"{way} {seed}" for way in ("baseline", "nursed") for seed in SEEDS],
        title="The bundled model, baseline on the left, nursed on the right, on the same seeds",
        cell=128,
    ).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
