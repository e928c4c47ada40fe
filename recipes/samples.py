"""Draw the model card's sheets: every subject alone, then pairs, baseline and nursed.

python recipes/samples.py

Nothing is chosen by eye: the seeds are the first ones, the pairs every sixth of the benchmark's.
"""

from pathlib import Path

from tqdm import tqdm

import adhere
from adhere.drawing.drawing import DEFAULT_METHOD
from adhere.drawing.loading import Loaded, load
from adhere.evaluation.prompts import prompt_set
from adhere.figures.sheet import make_sheet
from training import world

PICTURES = Path(__file__).parents[1] / "docs/pictures"
SEEDS = (0, 1)


def singles(model: Loaded) -> None:
    """All 24 subjects, one image each."""
    kinds = {"animals": world.ANIMALS, "objects": world.OBJECTS}
    drawn = [
        [
            adhere.draw(f"a {name}", model=model, method=None, seeds=SEEDS[:1]).images[0]
            for name in tqdm(names, kind, disable=None)
        ]
        for kind, names in kinds.items()
    ]
    make_sheet(
        drawn,
        rows=[
            (kind, *(", ".join(names[i : i + 3]) for i in range(0, len(names), 3)))
            for kind, names in kinds.items()
        ],
        columns=[""] * len(world.ANIMALS),
        title="Every subject alone, baseline, seed 0",
        cell=128,
    ).save(PICTURES / "mini-singles.png", optimize=True)


def pairs(model: Loaded, subset: str) -> None:
    """Eleven pairs of a set, baseline and nursed, on two seeds."""
    listed = prompt_set(f"attend-and-excite-{subset}").prompts
    prompts = [prompt.text for prompt in listed[::6]]
    ways = {"baseline": None, "nursed": DEFAULT_METHOD}
    drawn = {
        name: [
            adhere.draw(text, model=model, method=method, seeds=SEEDS).images
            for text in tqdm(prompts, f"{subset}, {name}", disable=None)
        ]
        for name, method in ways.items()
    }
    make_sheet(
        [[of_seeds[i] for of_seeds in drawn[name]] for i in range(len(SEEDS)) for name in ways],
        rows=[(name, f"seed {seed}") for seed in SEEDS for name in ways],
        columns=[text.removeprefix("a ").replace(" and a ", ", ") for text in prompts],
        title="Every sixth pair of the benchmark",
        cell=128,
    ).save(PICTURES / f"mini-{subset}.png", optimize=True)


def main() -> None:
    """Draw all three sheets."""
    model = load("mini")
    PICTURES.mkdir(parents=True, exist_ok=True)
    singles(model)
    for subset in ("animals", "objects"):
        pairs(model, subset)


if __name__ == "__main__":
    main()
