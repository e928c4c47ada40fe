"""What a method keeps of the baseline's variety and quality, and what it costs: all as ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from adhere.evaluation.measures import (
    Seen,
    confident,
    feature_distances,
    references,
    spreads,
)
from adhere.evaluation.plan import BASELINE, Unit
from adhere.evaluation.prompts import Prompt
from adhere.evaluation.report.evidence import UNIT, Evidence
from adhere.evaluation.statistics import ratio

MEASURES: Mapping[str, str] = {
    "spread of places": "How much the place of a subject varies from seed to seed, over the seeds "
    "in which the method and the baseline both have it.",
    "spread of sizes": "The same of its size.",
    "as confident as alone": "Of the subjects that are present, the share that the scorer is as "
    "sure of as of the median image of that subject alone.",
    "distance of features": "Frechet distance between the scorer's features of the method's "
    "images and of the baseline's with other seeds. The baseline's own is between halves of its "
    "seeds.",
    "operations": "Floating-point operations of the denoiser.",
    "seconds": "Seconds of drawing, measured in this run.",
}
"""Each measure and what it says, in the order of the report."""

_Arrays = dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]]


class Ratios:
    """Ratios of methods to the baseline, paired by prompt.

    Args:
        evidence: what they are made from.
        groups: a name to the prompt sets that are taken together under it, each of the same
            weight.
        conditions: the methods' names.
    """

    def __init__(
        self,
        evidence: Evidence,
        groups: Mapping[str, Sequence[str]],
        conditions: Sequence[str],
    ) -> None:
        self._evidence, self._groups, self._conditions = evidence, groups, conditions
        plan = evidence.plan
        self._prompts = {s.name: s.prompts for s in plan.sets}
        self._scorer = next(iter(evidence.seen), "")

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each group, method and measure, with intervals where there are any."""
        rows = [
            {"set": name, "condition": condition, "measure": measure, **numbers}
            for name, sets in self._groups.items()
            for condition in self._conditions
            for measure in MEASURES
            if (numbers := self._numbers(sets, condition, measure)) is not None
        ]
        heads = ["set", "condition", "measure", "scorer", "value", "baseline", "ratio", "low"]
        return pd.DataFrame(rows, columns=[*heads, "high", "note", "prompts", "images"])

    def _numbers(self, sets: Sequence[str], condition: str, measure: str) -> dict[str, Any] | None:
        of_cost = measure in ("operations", "seconds")
        scorer = "" if of_cost else self._scorer
        if measure == "distance of features":
            found = [self._distances[name, condition] for name in sets]
            found = [pair for pair in found if np.isfinite(pair).all() and pair[1] > 0]
            if not found:
                return None
            own, baseline = np.mean(found, axis=0)
            value = float(np.mean([mine / theirs for mine, theirs in found]))
            none = {"low": np.nan, "high": np.nan, "note": "", "prompts": 0, "images": 0}
            return {"scorer": scorer, "value": own, "baseline": baseline, "ratio": value, **none}
        pairs = [self._arrays[name, condition, measure] for name in sets]
        found = ratio(pairs)
        if found.value is None:
            return None
        means = [of_both for pair in pairs if (of_both := _means_of_both(pair))[1] > 0]
        own, baseline = np.mean(means, axis=0)
        return {
            "scorer": scorer,
            "value": own,
            "baseline": baseline,
            "ratio": found.value,
            "low": np.nan if found.low is None else found.low,
            "high": np.nan if found.high is None else found.high,
            "note": found.note,
            "prompts": found.prompts,
            "images": found.images,
        }

    @cached_property
    def _arrays(self) -> _Arrays:
        """The method's values and the baseline's of each set, method and measure, (P, S)."""
        known = self._references
        found: _Arrays = {}
        for name, condition, prompts in self._pairs():
            own, baseline = (
                [self._row(one, name, prompt) for prompt in prompts]
                for one in (condition, BASELINE)
            )
            varied = np.array([spreads(*row) for row in zip(prompts, own, baseline, strict=True)])
            for number, measure in enumerate(("spread of places", "spread of sizes")):
                pair = varied[:, :1, number], varied[:, 1:, number]
                found[name, condition, measure] = pair
            sure = [
                [
                    [confident(prompt, one, known) if one else np.nan for one in row]
                    for prompt, row in zip(prompts, rows, strict=True)
                ]
                for rows in (own, baseline)
            ]
            found[name, condition, "as confident as alone"] = np.array(sure[0]), np.array(sure[1])
            for measure, column in (("operations", "flops"), ("seconds", "seconds")):
                mine, theirs = (self._costs(one, name, column) for one in (condition, BASELINE))
                is_both = np.isfinite(mine) & np.isfinite(theirs)
                pair = np.where(is_both, mine, np.nan), np.where(is_both, theirs, np.nan)
                found[name, condition, measure] = pair
        return found

    @cached_property
    def _distances(self) -> dict[tuple[str, str], tuple[float, float]]:
        return {
            (name, condition): feature_distances(
                self._features(condition, name), self._features(BASELINE, name)
            )
            for name, condition, _ in self._pairs()
        }

    def _pairs(self) -> Iterator[tuple[str, str, tuple[Prompt, ...]]]:
        for name in dict.fromkeys(name for sets in self._groups.values() for name in sets):
            for condition in self._conditions:
                yield name, condition, self._prompts[name]

    @cached_property
    def _seen(self) -> Mapping[Unit, Seen]:
        return self._evidence.seen.get(self._scorer, {})

    @cached_property
    def _references(self) -> dict[str, float]:
        prompts = {(s, p.id): p for s, listed in self._prompts.items() for p in listed}
        return references(
            (prompts[unit.set, unit.prompt], seen)
            for unit, seen in self._seen.items()
            if unit.condition == BASELINE
        )

    def _row(self, condition: str, name: str, prompt: Prompt) -> list[Seen | None]:
        """What was seen in a prompt's images, seed by seed."""
        seeds = self._evidence.plan.seeds
        return [self._seen.get(Unit(condition, name, prompt.id, seed)) for seed in seeds]

    def _features(self, condition: str, name: str) -> np.ndarray:
        """(P, S, D), NaN where there are none."""
        rows = [self._row(condition, name, prompt) for prompt in self._prompts[name]]
        width = max((len(one.features) for row in rows for one in row if one), default=0)
        none = [np.nan] * max(width, 1)
        return np.array(
            [[one.features if one and one.features else none for one in row] for row in rows]
        )

    def _costs(self, condition: str, name: str, column: str) -> np.ndarray:
        """(P, S), NaN where nothing was measured."""
        try:
            own = self._by_unit.loc[(condition, name)][column].unstack("seed")
        except KeyError:
            own = pd.DataFrame()
        prompts = [prompt.id for prompt in self._prompts[name]]
        return own.reindex(index=prompts, columns=list(self._evidence.plan.seeds)).to_numpy(float)

    @cached_property
    def _by_unit(self) -> pd.DataFrame:
        return self._evidence.costs.set_index(UNIT).sort_index()


def _means_of_both(pair: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """The means over the prompts that have a value of both, of which a ratio is made; else 0."""
    mine, theirs = (np.isfinite(values).any(axis=1) for values in pair)
    both = mine & theirs
    if not both.any():
        return 0.0, 0.0
    own, baseline = (float(np.nanmean(values[both])) for values in pair)
    return own, baseline
