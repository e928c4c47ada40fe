"""Draw the README's picture: pairs that the plain model fails, above, and the same nursed, below.

python recipes/before_after.py

Not chosen by eye: the first eight animal pairs of the benchmark, in its order, whose plain picture
at seed 0 lacks an animal, as the scorer sees it; one seed; Attend-and-Excite with the numbers that
the model states.
"""

from pathlib import Path

import adhere
from adhere.evaluation.prompts import attend_and_excite
from adhere.loading import load
from adhere.mini.scorer import shipped
from adhere.sheet import make_sheet

PICTURE = Path(__file__).parents[1] / "docs/pictures/before-after.png"
SEED, COUNT = 0, 8


def main() -> None:
    """Draw pairs until enough have failed, then the same nursed."""
    model, scorer = load("mini"), shipped()
    failed = {}
    for prompt in attend_and_excite("animals").prompts:
        picture = adhere.draw(prompt.text, model=model, method=None, seeds=[SEED]).images[0]
        if not all(scorer.look(picture).is_present(w.subject) for w in prompt.wanted):
            failed[prompt.text] = picture
        if len(failed) == COUNT:
            break
    nursed = [adhere.draw(text, model=model, seeds=[SEED]).images[0] for text in failed]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    make_sheet(
        [list(failed.values()), nursed],
        rows=[("plain",), ("nursed",)],
        columns=[text.removeprefix("a ").replace(" and a ", ", ") for text in failed],
        title="The first eight benchmark pairs that the plain model fails at seed 0",
        cell=128,
    ).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
