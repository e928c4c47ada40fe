"""The tables of a report: pure functions from frames to frames."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cached_property
from itertools import combinations
from typing import Any, get_args

import numpy as np
import pandas as pd

from adhere.evaluation.plan import BASELINE
from adhere.evaluation.report.columns import Column, Values
from adhere.evaluation.report.evidence import UNIT, Evidence
from adhere.evaluation.report.paired import (
    NOTHING,
    against_baseline,
    change_row,
    number_of,
)
from adhere.evaluation.report.ratios import Ratios
from adhere.evaluation.report.why import Why
from adhere.evaluation.scorers.base import Group
from adhere.evaluation.scorers.cache import Scored
from adhere.evaluation.statistics import differences, macro

# Stands for all sets together; no set can be called this.
MACRO = "macro average"
_FIRST = ("mini", "owlv2")


class Tables:
    """The numbers of a report; each table is made once, when it is first asked for.

    Args:
        evidence: what they are made from.

    Raises:
        ValueError: no image is scored that every condition has.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._values: dict[tuple[str, tuple[str, str]], Values] = {}
        for column in self.columns:
            for name in self._set_names:
                values = self._common(name, column)
                if values.prompts:
                    self._values[name, column.key] = values
        if not self._values:
            raise ValueError(
                "No image is scored yet that every condition has, so there is nothing to "
                "compare; go on with `adhere evaluate run`, or with `adhere evaluate score`."
            )
        if not self.leading:
            raise ValueError(
                f"The scorers ({', '.join(one.name for one in evidence.scorers)}) say nothing of "
                "these prompts; score the run by another, with `adhere evaluate score`."
            )

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All metrics, scorer by scorer."""
        return tuple(
            Column(scorer.name, metric)
            for scorer in self.evidence.scorers
            for metric in scorer.metrics
        )

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Names of those that are compared, the baseline first; those that watch are it again."""
        names = [one.name for one in self.evidence.plan.conditions if one.changes]
        return (BASELINE, *(name for name in names if name != BASELINE))

    @cached_property
    def sets(self) -> tuple[str, ...]:
        """Names of the prompt sets of which anything can be compared, in the plan's order."""
        there = {name for name, _ in self._values}
        return tuple(name for name in self._set_names if name in there)

    @cached_property
    def leading(self) -> tuple[Column, ...]:
        """The first metric of each group that has any value, in the order of the groups.

        Scorers that say yes or no to each subject come before those that give a similarity.
        """
        found: dict[str, Column] = {}
        for column in sorted(self._having_values, key=_rank):
            found.setdefault(column.metric.group, column)
        return tuple(found[group] for group in get_args(Group) if group in found)

    @cached_property
    def primary(self) -> Column:
        """What plots and sheets show: presence, or the first group that there is."""
        return [*self.leading, *self.columns][0]

    @cached_property
    def _having_values(self) -> tuple[Column, ...]:
        return tuple(
            column
            for column in self.columns
            if any(
                np.isfinite(values.of[condition]).any()
                for name in self.sets
                if (values := self.values(name, column)) is not None
                for condition in self.conditions
            )
        )

    @property
    def _set_names(self) -> tuple[str, ...]:
        return tuple(prompts.name for prompts in self.evidence.plan.sets)

    def values(self, name: str, column: Column) -> Values | None:
        """A metric over a set; None where no condition can be compared."""
        return self._values.get((name, column.key))

    def _common(self, name: str, column: Column) -> Values:
        """What every condition has of a set and a metric, as arrays."""
        scores = self.evidence.scores
        is_own = (
            (scores["set"] == name)
            & (scores["scorer"] == column.scorer)
            & (scores["metric"] == column.metric.name)
            & scores["condition"].isin(self.conditions)
        )
        own = scores.loc[is_own]
        pairs = pd.MultiIndex.from_arrays([own["prompt"], own["seed"]])
        counts = own.groupby(["prompt", "seed"], sort=False)["condition"].nunique()
        whole = counts[counts == len(self.conditions)].index
        own = own.loc[pairs.isin(whole)]
        plan = self.evidence.plan
        there = set(own["prompt"])
        ids = next(s.prompts for s in plan.sets if s.name == name)
        prompts = tuple(prompt.id for prompt in ids if prompt.id in there)
        drawn = set(own["seed"])
        seeds = tuple(seed for seed in plan.seeds if seed in drawn)
        of = {}
        for condition in self.conditions:
            wide = own.loc[own["condition"] == condition].pivot(
                index="prompt", columns="seed", values="value"
            )
            of[condition] = wide.reindex(index=list(prompts), columns=list(seeds)).to_numpy(float)
        grid = pd.MultiIndex.from_product([prompts, seeds])
        is_there = grid.isin(whole).reshape(len(prompts), len(seeds))
        return Values(prompts, seeds, is_there, of)

    @cached_property
    def results(self) -> pd.DataFrame:
        """A row for each set (and all together), condition and metric, with intervals and cost."""
        rows = [
            {**self._head(name, condition), **numbers, **self._cost(name, condition)}
            for name, condition, numbers in self._compared()
        ]
        return pd.DataFrame(rows)

    def _compared(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for name, column, found in self._groups():
            for condition in self.conditions:
                yield name, condition, self._numbers(column, condition, found)

    def _groups(self) -> Iterator[tuple[str, Column, list[Values]]]:
        """Each set, and all together, with each metric that it has: a metric over each set."""
        for name in (*self.sets, *([MACRO] if len(self.sets) > 1 else [])):
            sets = self.sets if name == MACRO else (name,)
            for column in self.columns:
                found = [v for one in sets if (v := self.values(one, column)) is not None]
                if found:
                    yield name, column, found

    def _numbers(self, column: Column, condition: str, found: list[Values]) -> dict[str, Any]:
        own = [values.of[condition] for values in found]
        changes = [differences(values.of[condition], values.of[BASELINE]) for values in found]
        # Preservation compares to the baseline already.
        is_of_baseline = column.metric.group == "preservation"
        has_change = condition != BASELINE and not is_of_baseline
        has_value = condition != BASELINE or not is_of_baseline
        value = macro(own) if has_value else replace(NOTHING, note="the baseline itself")
        change = change_row(changes if has_change else [])
        scorer = self._facts[column.scorer]
        return {
            "scorer": column.scorer,
            "scorer_identity": json.dumps(dict(scorer.identity), sort_keys=True),
            "metric": column.metric.name,
            "group": column.metric.group,
            "higher_is_better": column.metric.higher_is_better,
            "sets": sum(bool(np.isfinite(values).any()) for values in own),
            "prompts": value.prompts,
            "seeds": len({seed for values in found for seed in values.seeds}),
            "images": value.images,
            "value": number_of(value.value),
            "low": number_of(value.low),
            "high": number_of(value.high),
            "note": value.note,
            **change,
        }

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """A row for each set (and all together), leading metric, and two methods.

        The difference is of `condition` to `against`, which stands before it in the plan.
        """
        rows = [
            {
                "set": name,
                "condition": condition,
                "against": against,
                "scorer": column.scorer,
                "metric": column.metric.name,
                "group": column.metric.group,
                "higher_is_better": column.metric.higher_is_better,
                **change_row([differences(v.of[condition], v.of[against]) for v in found]),
            }
            for name, column, found in self._groups()
            if column in self.leading
            for against, condition in combinations(self.conditions[1:], 2)
        ]
        heads = ["set", "condition", "against", "scorer", "metric", "group", "higher_is_better"]
        return pd.DataFrame(rows, columns=[*heads, *change_row([])])

    @cached_property
    def ratios(self) -> pd.DataFrame:
        """Variety, quality and cost of each method as ratios to the baseline's."""
        groups = {MACRO: self.sets} if len(self.sets) > 1 else {}
        groups |= {name: (name,) for name in self.sets}
        return Ratios(self.evidence, groups, self.conditions[1:]).table

    @cached_property
    def why(self) -> Why:
        """How the attention of found subjects differs from that of missing ones."""
        return Why(self.evidence)

    @cached_property
    def _facts(self) -> dict[str, Scored]:
        return {scorer.name: scorer for scorer in self.evidence.scorers}

    def _head(self, name: str, condition: str) -> dict[str, Any]:
        """What a published row must say of how its images were made."""
        plan = self.evidence.plan
        methods = [asdict(method) for method in plan.condition(condition).methods]
        return {
            "set": name,
            "set_sha256": "" if name == MACRO else plan.set_sha256(name),
            "condition": condition,
            "methods": json.dumps(methods, sort_keys=True),
            "model": plan.model,
            "revision": plan.revision or "",
            "weights": plan.weights or "",
            "scheduler": plan.scheduler.name,
            "steps": plan.steps,
            "guidance_scale": plan.guidance_scale,
            "size": f"{plan.size[0]}x{plan.size[1]}",
            "dtype": plan.dtype,
            "device": plan.device,
        }

    def _cost(self, name: str, condition: str) -> dict[str, Any]:
        if name == MACRO:
            each = self.costs[self.costs["condition"] == condition]
            means = {c: each[c].mean() for c in _COSTS}
            return {
                **means,
                "peak_bytes": each["peak_bytes"].max(),
                "failures": int(each["failures"].sum()),
            }
        row = self.costs[(self.costs["set"] == name) & (self.costs["condition"] == condition)]
        return {c: row.iloc[0][c] for c in (*_COSTS, "peak_bytes", "failures")}

    @cached_property
    def costs(self) -> pd.DataFrame:
        """A row for each set and condition: an image's cost, and its ratio to the baseline's.

        Ratios are of sums over the prompts and seeds that both have drawn.
        """
        costs = self.evidence.costs.set_index(UNIT).sort_index()
        failed = Counter(zip(self.failures["set"], self.failures["condition"], strict=True))
        rows = []
        for name in self.sets:
            baseline = _of(costs, BASELINE, name)
            for condition in self.conditions:
                own = _of(costs, condition, name)
                row: dict[str, Any] = {"set": name, "condition": condition}
                for what in ("seconds", "flops"):
                    beside = {"own": own[what], "baseline": baseline[what]}
                    both = pd.concat(beside, axis=1, join="inner").dropna()
                    below = both["baseline"].sum()
                    row[what] = own[what].mean()
                    row[f"{what}_ratio"] = both["own"].sum() / below if below else np.nan
                row["peak_bytes"] = own["peak_bytes"].max()
                row["failures"] = failed[name, condition]
                rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """A row for each image that could not be drawn."""
        rows = self.evidence.rows
        return rows.loc[rows["error"].notna()].reset_index(drop=True)

    @cached_property
    def prompts(self) -> pd.DataFrame:
        """A row for each prompt, metric and condition: the mean over seeds."""
        return self._means("prompt")

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """A row for each seed, metric and condition: the mean over prompts."""
        return self._means("seed")

    def _means(self, kind: str) -> pd.DataFrame:
        """A row for each prompt or seed, metric and condition."""
        rows = []
        found = ((n, c, v) for n in self.sets for c in self.columns if (v := self.values(n, c)))
        for name, column, values in found:
            keys = values.prompts if kind == "prompt" else values.seeds
            for place, key in enumerate(keys):
                text = {"text": self.text(name, str(key))} if kind == "prompt" else {}
                for condition in self.conditions:
                    own, baseline = (
                        values.of[one].take(place, axis=0 if kind == "prompt" else 1)
                        for one in (condition, BASELINE)
                    )
                    rows.append(
                        {
                            "set": name,
                            kind: key,
                            **text,
                            "condition": condition,
                            "scorer": column.scorer,
                            "metric": column.metric.name,
                            **against_baseline(own, baseline, condition),
                        }
                    )
        return pd.DataFrame(rows)

    def text(self, name: str, prompt: str) -> str:
        """The text of a prompt, by its set and id."""
        return self._texts[name, prompt]

    @cached_property
    def _texts(self) -> dict[tuple[str, str], str]:
        return {(s.name, p.id): p.text for s in self.evidence.plan.sets for p in s.prompts}

    def row(self, name: str, condition: str, column: Column) -> dict[str, Any] | None:
        """A row of `results`; None where there is none."""
        return self._rows.get((name, condition, *column.key))

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        records = self.results.to_dict("records")
        return {(r["set"], r["condition"], r["scorer"], r["metric"]): r for r in records}


_COSTS = ("seconds", "seconds_ratio", "flops", "flops_ratio")


def _rank(column: Column) -> int:
    """Where a scorer's metrics stand among those of others; its name may end in its identity."""
    name = column.scorer.split("-")[0]
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _of(costs: pd.DataFrame, condition: str, name: str) -> pd.DataFrame:
    """The costs of a condition in a set, by prompt and seed."""
    try:
        return costs.loc[(condition, name)]  # type: ignore[return-value]
    except KeyError:
        empty = pd.MultiIndex.from_tuples([], names=["prompt", "seed"])
        return pd.DataFrame(columns=costs.columns, index=empty, dtype=float)
