"""What is gained by nursing only images that lag, and by the better of two starts.

    adhere evaluate run benchmarks/plans/spend.toml --out RUN && python benchmarks/spend.py RUN

Both rules look at the attention of the weakest subject after three steps of the baseline. Nursing
begins after them (the condition "late"), so what a rule would have drawn is an image of the run.
Attention is the mean over the image, by which the report explains what is missing.
"""

import sys
from pathlib import Path

import numpy as np

from adhere.evaluation.plan import Unit
from adhere.evaluation.scorers.cache import scored
from adhere.evaluation.statistics import differences, estimate
from adhere.evaluation.store import Store

LOOKS = 3
SHARES = (0.25, 0.5, 0.75, 1.0)


def main(folder: Path) -> None:
    """Print the presence and the operations of each rule."""
    store = Store.open(folder)
    plan, [judged] = store.plan, [one for one in scored(store) if one.scorer == "mini"]
    attention = store.attentions()
    operations = {row.unit: float(row.flops or 0) for row in store.measurements()}
    prompts = [(s.name, prompt.id) for s in plan.sets for prompt in s.prompts]

    def table(condition: str, value) -> np.ndarray:  # noqa: ANN001
        return np.array([[value(Unit(condition, *p, s)) for s in plan.seeds] for p in prompts])

    def present(unit: Unit) -> float:
        return float(judged.judgements[unit].values["all-present"])

    def weakest(unit: Unit) -> float:
        return min(attention[unit].means[LOOKS - 1])

    seen = table("watched", weakest)
    base, nursed = table("none", present), table("late", present)
    cost, nursing_cost = table("none", operations.get), table("late", operations.get)

    def say(rule: str, values: np.ndarray, against: np.ndarray, paid: float) -> None:
        gain = estimate(differences(values, against))
        span = "" if gain.low is None else f" ({gain.low:+.1%} to {gain.high:+.1%})"
        print(
            f"{rule:42} present {values.mean():.1%}, {gain.value:+.1%}{span}, "
            f"{paid:.2f} x operations"
        )

    print(f"{base.size} images, {len(prompts)} prompts; baseline present {base.mean():.1%}")
    for share in SHARES:
        lags = seen <= np.quantile(seen, share)
        paid = np.where(lags, nursing_cost, cost).mean() / cost.mean()
        say(f"nursed: the {share:.0%} that lag most", np.where(lags, nursed, base), base, paid)
        mixed = share * nursed + (1 - share) * base
        extra = nursing_cost.mean() / cost.mean() - 1
        say(f"nursed: {share:.0%} by chance", mixed, base, 1 + share * extra)
    one, two = seen[:, ::2], seen[:, 1::2]
    both = (base[:, ::2] + base[:, 1::2]) / 2
    better = np.where(one >= two, base[:, ::2], base[:, 1::2])
    say("the better of two starts", better, both, 1 + LOOKS / plan.steps)
    best = np.maximum(base[:, ::2], base[:, 1::2])
    say("the best of two images (needs a scorer)", best, both, 2.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
