"""Why subjects go missing: the attention of those that are found against that of the missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from adhere.evaluation.outcomes import Attention
from adhere.evaluation.prompts import Prompt
from adhere.evaluation.report.evidence import Evidence
from adhere.evaluation.statistics import interval, ratio

MEASURES = ("mean", "peak")
_RESAMPLES = 1_999
_Key = tuple[str, str]


@dataclass
class _Observed:
    """The attention of the found and of the missing subjects of one prompt, at one step."""

    found: list[float] = field(default_factory=list)
    missing: list[float] = field(default_factory=list)


class Why:
    """How attention tells found subjects from missing ones, step by step.

    Args:
        evidence: what it is made from.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._prompts = {
            (s.name, prompt.id): prompt for s in evidence.plan.sets for prompt in s.prompts
        }

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each condition whose attention was read, measure and step.

        `ratio` is the attention of missing subjects to that of found ones, within prompts that
        have both. `auc` is the chance that a found subject has more attention than a missing one,
        over all prompts. Both have intervals over prompts.
        """
        rows = []
        for condition, steps in self._observed.items():
            for (measure, step), prompts in sorted(steps.items()):
                numbers = _numbers(list(prompts.values()))
                if numbers is not None:
                    rows.append({"condition": condition, "measure": measure, "step": step})
                    rows[-1].update(numbers)
        heads = ["condition", "measure", "step", "found", "missing", "ratio", "ratio_low"]
        others = ["ratio_high", "auc", "auc_low", "auc_high", "found_count", "missing_count"]
        return pd.DataFrame(rows, columns=[*heads, *others, "prompts"])

    @cached_property
    def _observed(self) -> dict[str, dict[tuple[str, int], dict[_Key, _Observed]]]:
        """By condition, by measure and step, by prompt."""
        seen = next(iter(self._evidence.seen.values()), {})
        found: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(_Observed)))
        for unit, attention in self._evidence.attention.items():
            if unit not in seen:
                continue
            steps = found[unit.condition]
            for place, subject in _subjects(self._prompts[unit.set, unit.prompt], attention):
                name = "missing" if seen[unit].surest(subject) is None else "found"
                for measure, values in zip(
                    MEASURES, (attention.means, attention.peaks), strict=True
                ):
                    for step, row in zip(attention.steps, values, strict=True):
                        one = steps[measure, step][unit.set, unit.prompt]
                        getattr(one, name).append(row[place])
        return found

    def summary(self) -> Mapping[str, Any] | None:
        """What the report says of the first condition; None where no attention was read."""
        if not len(self.table):
            return None
        condition = self.table["condition"].iloc[0]
        own = self.table.loc[self.table["condition"] == condition]
        best: Any = own.loc[own["auc"].idxmax()]
        of_best = own.loc[own["measure"] == best["measure"]].sort_values("step")
        is_clear = (of_best["auc_low"] > 0.5).to_numpy()
        # The first step after which the interval stays clear of chance.
        unclear = np.flatnonzero(~is_clear)
        first = 0 if not len(unclear) else int(unclear[-1]) + 1
        return {
            "condition": condition,
            "best": best.to_dict(),
            "from_step": int(of_best["step"].iloc[first]) if first < len(of_best) else None,
            "found": int(own["found_count"].iloc[0]),
            "missing": int(own["missing_count"].iloc[0]),
            "prompts": int(own["prompts"].iloc[0]),
        }


def _subjects(prompt: Prompt, attention: Attention) -> Iterator[tuple[int, str]]:
    """Places of the nursed subjects, and what the scorer calls them."""
    wanted = [one.subject for one in prompt.wanted]
    if len(wanted) == len(attention.subjects):
        yield from enumerate(wanted)
        return
    yield from ((n, one) for n, one in enumerate(attention.subjects) if one in wanted)


def _numbers(prompts: list[_Observed]) -> dict[str, Any] | None:
    """A row of the table but for its head; None where none is missing, or none is found."""
    found, missing = (
        [value for one in prompts for value in getattr(one, name)] for name in ("found", "missing")
    )
    if not found or not missing:
        return None
    lower = ratio(
        [(_padded([one.missing for one in prompts]), _padded([one.found for one in prompts]))],
        resamples=_RESAMPLES,
    )
    value, low, high = auc([one.found for one in prompts], [one.missing for one in prompts])
    nothing = float("nan")
    return {
        "found": float(np.mean(found)),
        "missing": float(np.mean(missing)),
        "ratio": nothing if lower.value is None else lower.value,
        "ratio_low": nothing if lower.low is None else lower.low,
        "ratio_high": nothing if lower.high is None else lower.high,
        "auc": value,
        "auc_low": low,
        "auc_high": high,
        "found_count": len(found),
        "missing_count": len(missing),
        "prompts": len(prompts),
    }


def auc(found: list[list[float]], missing: list[list[float]]) -> tuple[float, float, float]:
    """The area under the receiver operating characteristic, with its interval over prompts.

    Args:
        found: for each prompt the attention of its found subjects, over all seeds.
        missing: for each prompt that of its missing ones.

    Returns:
        The chance that a found subject has more attention than a missing one, half of equals
        added; the ends of its interval, NaN where fewer than two prompts have either.
    """
    count = len(found)
    lengths = np.array([[len(one) for one in part] for part in (found, missing)], dtype=float)
    wins = np.zeros((count, count))
    every = np.array([value for one in found for value in one])
    of_prompt = np.repeat(np.arange(count), lengths[0].astype(int))
    for place, values in enumerate(missing):
        ordered = np.sort(values)
        below, upto = (np.searchsorted(ordered, every, side) for side in ("left", "right"))
        np.add.at(wins[:, place], of_prompt, (below + upto) / 2)

    def statistic(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        flat = np.reshape(drawn, (-1, np.shape(drawn)[-1]))
        weights = np.zeros((len(flat), count))
        np.add.at(weights, (np.arange(len(flat))[:, None], flat), 1)
        pairs = (weights @ lengths[0]) * (weights @ lengths[1])
        with np.errstate(invalid="ignore"):
            shares = ((weights @ wins) * weights).sum(axis=1) / pairs
        return shares.reshape(np.shape(drawn)[:-1])

    value = float(statistic(np.arange(count)))
    if min((lengths > 0).sum(axis=1)) < 2:
        return value, float("nan"), float("nan")
    return value, *interval([count], statistic, resamples=_RESAMPLES)


def _padded(rows: list[list[float]]) -> np.ndarray:
    """Rows of different lengths as an array, filled with NaN."""
    width = max(map(len, rows), default=0) or 1
    return np.array([[*row, *[np.nan] * (width - len(row))] for row in rows])
