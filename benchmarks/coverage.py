"""How often a report's intervals hold the truth, by simulation; the figures of docs/evaluation.md.

    python benchmarks/coverage.py

Images of a prompt are yes or no with a rate of the prompt's own, drawn from a beta distribution
that gives images of one prompt a correlation of .15.
"""

from __future__ import annotations

import numpy as np

from adhere.evaluation.statistics import estimate

CORRELATION = 0.15
SAMPLES = 1_000
RESAMPLES = 1_999


def coverage(prompts: int, seeds: int, rate: float) -> float:
    """The share of samples whose interval holds the true rate."""
    strength = (1 - CORRELATION) / CORRELATION
    held = 0
    for sample in range(SAMPLES):
        rng = np.random.default_rng(sample)
        rates = rng.beta(rate * strength, (1 - rate) * strength, prompts)
        values = (rng.random((prompts, seeds)) < rates[:, None]).astype(float)
        found = estimate(values, resamples=RESAMPLES)
        held += (
            found.low is not None and found.high is not None and found.low <= rate <= found.high
        )
    return held / SAMPLES


if __name__ == "__main__":
    for rate in (0.4, 0.95):
        for prompts in (66, 20, 8):
            for seeds in (4, 16):
                share = coverage(prompts, seeds, rate)
                print(f"rate {rate}, {prompts} prompts, {seeds} seeds: {share:.1%}", flush=True)
