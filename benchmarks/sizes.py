"""Whether the baseline's faults explain how much sizes vary beside its own.

    adhere evaluate run benchmarks/plans/mini-methods.toml --out RUN
    python benchmarks/sizes.py RUN [CONDITION]

Where an image lacks one subject, or has one too many, the others are drawn larger or smaller. So
the spread of sizes is compared over all images, and over those that are right in number in both.
"""

import sys
from pathlib import Path

import numpy as np

from adhere.evaluation.measures import spreads
from adhere.evaluation.plan import BASELINE, Unit
from adhere.evaluation.report.evidence import evidence
from adhere.evaluation.statistics import ratio
from adhere.evaluation.store import Store


def main(folder: Path, condition: str = "emergent-layout") -> None:
    """Print the spread of sizes of each set, and the ratio over all sets."""
    store = Store.open(folder)
    plan, found = store.plan, evidence(store)
    seen = found.seen["mini"]
    [judged] = [one for one in found.scorers if one.scorer == "mini"]

    def is_right(unit: Unit) -> bool:
        return judged.judgements[unit].values["right-count"] == 1

    for kind in ("all images", "right in number"):
        pairs = []
        for drawn in (one for one in plan.sets if one.name not in plan.baseline_only):
            rows, images = [], 0
            for prompt in drawn.prompts:
                units = [
                    [Unit(name, drawn.name, prompt.id, seed) for name in (condition, BASELINE)]
                    for seed in plan.seeds
                ]
                if kind == "right in number":
                    units = [both for both in units if all(map(is_right, both))]
                images += len(units)
                own, baseline = ([seen.get(both[which]) for both in units] for which in (0, 1))
                rows.append(spreads(prompt, own, baseline)[:, 1])
            values = np.array(rows)
            pairs.append((values[:, :1], values[:, 1:]))
            mine, theirs = np.nanmean(values, axis=0)
            print(f"{kind}: {drawn.name}, {images} images of each: {mine:.3f}, {theirs:.3f}")
        whole = ratio(pairs)
        print(f"{kind}: all sets {whole.value:.2f} ({whole.low:.2f} to {whole.high:.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
