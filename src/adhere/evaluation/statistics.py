"""Means with intervals that know what the sample is: prompts, not images.

Images of one prompt are alike: a model that fails on "a bear and a frog" tends to fail with
every seed. So prompts are drawn anew, each with all its seeds, and never single images.

Shapes: P prompts, S seeds. Where a metric does not apply, or an image is not there, is NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 9_999
SEED = 0
# Below this many prompts intervals of this kind are too narrow, see docs/evaluation.md.
FEW = 20
# With five prompts changed, all one way, chance alone gives 6%: below this nothing can be told.
FEWEST_CHANGED = 6

_BATCH = 2_000
_EQUAL = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean and how sure one can be of it.

    Attributes:
        value: the mean; None where there is nothing to take it of.
        low: lower end of the interval; None where there is no interval.
        high: its upper end.
        prompts: how many the mean is of.
        images: how many the mean is of; of a difference, how many pairs.
        note: why there is no interval, or what to think of it; else empty.
    """

    value: float | None
    low: float | None
    high: float | None
    prompts: int
    images: int
    note: str = ""


def estimate(values: np.ndarray, *, resamples: int = RESAMPLES) -> Estimate:
    """The mean over images, with its interval over prompts.

    Args:
        values: (P, S), NaN where there is none.
        resamples: how many times the prompts are drawn anew.

    Returns:
        The mean of all that is no NaN, and the 95% interval, bias-corrected and accelerated.
        There is none for one prompt, nor where all prompts have the same mean: resampling can
        say nothing of what was not seen.

    Raises:
        ValueError: values of another shape, or infinite.

    Source:
        Efron, Better Bootstrap Confidence Intervals, 1987; done by `scipy.stats.bootstrap`.
    """
    return macro([values], resamples=resamples)


def macro(sets: Sequence[np.ndarray], *, resamples: int = RESAMPLES) -> Estimate:
    """The mean of the means of several prompt sets, each of the same weight.

    Prompts are drawn anew within their set. A set that has no value is left out.

    Args:
        sets: for each (P, S), NaN where there is none; sizes may differ.
        resamples: how many times the prompts are drawn anew.

    Returns:
        As `estimate` does; with prompts and images of all sets together.

    Raises:
        ValueError: values of another shape, or infinite.
    """
    parts = []
    for values in sets:
        part = _sums(values)
        # A prompt that the metric does not apply to is no prompt of the sample.
        parts.append(part[part[:, 1] > 0])
    return _estimated(parts, lambda total, count: total / count, resamples)


def ratio(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], *, resamples: int = RESAMPLES
) -> Estimate:
    """A mean over images as a ratio to the baseline's; of several prompt sets their average.

    A prompt counts where both have a value. Prompts are drawn anew within their set, each with
    its values of both.

    Args:
        pairs: for each set the method's values and the baseline's, each (P, S), NaN where there
            is none; numbers from 0 on.
        resamples: how many times the prompts are drawn anew.

    Returns:
        As `estimate` does. Sets whose baseline's mean is 0 are left out.

    Raises:
        ValueError: values of another shape, or infinite.
    """
    parts = []
    for pair in pairs:
        part = np.concatenate([_sums(values) for values in pair], axis=1)
        part = part[(part[:, 1] > 0) & (part[:, 3] > 0)]
        parts.append(part if part[:, 2].sum() > 0 else part[:0])

    def of_means(own: Any, own_count: Any, baseline: Any, baseline_count: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return own / own_count / (baseline / baseline_count)

    return _estimated(parts, of_means, resamples)


def _sums(values: np.ndarray) -> np.ndarray:
    """Sum and count of each prompt, (P, 2)."""
    numbers = _checked(values)
    return np.stack([np.nansum(numbers, axis=1), np.isfinite(numbers).sum(axis=1)], axis=1)


def _estimated(sets: Sequence[np.ndarray], of: Callable[..., Any], resamples: int) -> Estimate:
    """The average over sets of a number that is made of their totals, with its interval.

    Args:
        sets: for each (P, 2) or (P, 4), sums and counts in turn; empty ones are left out.
        of: from the totals of the columns to the number.
        resamples: how many times the prompts are drawn anew.
    """
    parts = [part for part in sets if len(part)]
    if not parts:
        return Estimate(None, None, None, 0, 0, "applies to no image")

    def statistic(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(
            [
                of(*(column[places].sum(axis=axis) for column in part.T))
                for part, places in zip(parts, drawn, strict=True)
            ],
            axis=0,
        )

    value = float(statistic(*(np.arange(len(part)) for part in parts)))
    prompts, images = sum(map(len, parts)), int(sum(part[:, 1].sum() for part in parts))
    fewest = min(map(len, parts))
    means = [part[:, 0::2] / part[:, 1::2] for part in parts]
    if fewest == 1:
        note = "one prompt: no interval" if len(parts) == 1 else "a set of one prompt: no interval"
        return Estimate(value, None, None, prompts, images, note)
    if all(np.ptp(mean, axis=0).max() < _EQUAL for mean in means):
        note = "all prompts alike: no interval"
        return Estimate(value, None, None, prompts, images, note)
    low, high = interval([len(part) for part in parts], statistic, resamples=resamples)
    note = f"fewer than {FEW} prompts: too narrow" if fewest < FEW else ""
    return Estimate(value, low, high, prompts, images, note)


def differences(values: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """What a method changed, image by image of the same prompt and seed.

    Args:
        values: of the method, (P, S).
        baseline: of the baseline, (P, S), prompts and seeds in the same order.

    Returns:
        (P, S); NaN where either has none.

    Raises:
        ValueError: the shapes differ.
    """
    if np.shape(values) != np.shape(baseline):
        raise ValueError(
            f"Got values of shape {np.shape(values)} and the baseline's of {np.shape(baseline)}; "
            "pairs need the same prompts and the same seeds in the same order."
        )
    return _checked(values) - _checked(baseline)


def discordant(changes: np.ndarray) -> tuple[int, int]:
    """How many pairs the method raised, and how many it lowered.

    For a yes or no these are the discordant pairs, of which alone a difference is made.

    Args:
        changes: (P, S), of `differences`.
    """
    return int((changes > _EQUAL).sum()), int((changes < -_EQUAL).sum())


def changed(changes: np.ndarray) -> int:
    """Of how many prompts the mean over seeds changed.

    Args:
        changes: (P, S), of `differences`.
    """
    return int((np.abs(np.nansum(changes, axis=1)) > _EQUAL).sum())


def is_clear(difference: Estimate, prompts_changed: int) -> bool:
    """Whether a difference is one that chance would rarely make.

    Its interval must be clear of 0, of enough prompts, and enough of them must have changed:
    where few have, resampling often draws none of them, and the interval is too narrow. A sign
    test could not tell five prompts that all went one way from chance either.

    Args:
        difference: the estimate of a difference.
        prompts_changed: see `changed`.
    """
    if difference.low is None or difference.high is None or difference.note:
        return False
    return not difference.low <= 0 <= difference.high and prompts_changed >= FEWEST_CHANGED


def _checked(values: np.ndarray) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 2:
        raise ValueError(f"Got values of shape {numbers.shape}; give (prompts, seeds).")
    if np.isinf(numbers).any():
        raise ValueError("A value is infinite; give numbers, and NaN where there is none.")
    return numbers


def interval(
    counts: Sequence[int], statistic: Callable[..., np.ndarray], *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The interval of a statistic over prompts that are drawn anew within their set.

    Args:
        counts: prompts of each set.
        statistic: of numbers of prompts, an array (..., P) a set, along `axis`; a prompt brings
            along all that is its own.
        resamples: how many times the prompts are drawn anew.

    Returns:
        The ends of the 95% interval, bias-corrected and accelerated; percentiles where so
        few resamples differ that the correction is undefined.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            tuple(np.arange(count) for count in counts),
            statistic,
            n_resamples=resamples,
            batch=_BATCH,
            vectorized=True,
            axis=-1,
            confidence_level=LEVEL,
            method="BCa",
            rng=np.random.default_rng(SEED),
        )
    low, high = found.confidence_interval
    if not np.isfinite([low, high]).all():
        tail = (1 - LEVEL) / 2
        low, high = np.nanquantile(found.bootstrap_distribution, [tail, 1 - tail])
    return float(low), float(high)


def pareto(costs: list[float], values: list[float]) -> list[int]:
    """Places of the points that no other one beats: none is cheaper and at least as good.

    Args:
        costs: of each point, lower is better.
        values: of each point, higher is better.

    Returns:
        Places in the order of their cost.
    """
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda p: (costs[p], -values[p])):
        if not front or values[place] > values[front[-1]]:
            front.append(place)
    return front
