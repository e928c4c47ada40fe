"""What a report is made from: the plan of a run, and data frames of what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adhere.evaluation.measures import Seen
from adhere.evaluation.outcomes import Attention
from adhere.evaluation.plan import Plan, Unit
from adhere.evaluation.scorers.base import things_in
from adhere.evaluation.scorers.cache import Scored, scored

if TYPE_CHECKING:
    from pandas import DataFrame

    from adhere.evaluation.store import Store

UNIT = ["condition", "set", "prompt", "seed"]


@dataclass(frozen=True)
class Evidence:
    """All that the report's numbers come from. Frames have the columns of a unit first.

    Attributes:
        plan: every setting.
        rows: a row for each image that is done; text, and error where there is no image.
        scores: a row for each image, scorer and metric; value is NaN where it does not apply.
        costs: a row for each image; seconds, flops, peak_bytes, worker.
        scorers: those that have scored the run, in the order of their columns.
        seen: what each scorer that finds things found in each image, the scorer by its name.
        attention: of each image of which it was read.
    """

    plan: Plan
    rows: DataFrame
    scores: DataFrame
    costs: DataFrame
    scorers: tuple[Scored, ...]
    seen: Mapping[str, Mapping[Unit, Seen]] = field(default_factory=dict)
    attention: Mapping[Unit, Attention] = field(default_factory=dict)


def evidence(store: Store) -> Evidence:
    """What a store has.

    Raises:
        ValueError: nothing is drawn or nothing is scored yet, or a file was changed.
    """
    from pandas import DataFrame

    done = store.rows()
    if not done:
        raise ValueError(
            f"Nothing is drawn in {str(store.folder)!r} yet, so there is nothing to report; "
            "`adhere evaluate run` draws."
        )
    found = [one for one in scored(store) if one.judgements]
    if not found:
        raise ValueError(
            f"The images in {str(store.folder)!r} are not scored yet; `adhere evaluate score` "
            "scores them."
        )
    rows = [(*row.unit, row.text, row.error) for row in done]
    scores = [
        (*unit, one.name, metric.name, judgement.values.get(metric.name))
        for one in found
        for unit, judgement in one.judgements.items()
        for metric in one.metrics
    ]
    seen = {
        one.name: {
            unit: Seen(things, tuple(judgement.details.get("features", ())))
            for unit, judgement in one.judgements.items()
            if (things := things_in(judgement.details)) is not None
        }
        for one in found
    }
    costs = [(*m.unit, m.seconds, m.flops, m.peak_bytes, m.worker) for m in store.measurements()]
    numbers = {"seed": "int64", "seconds": "float64", "flops": "float64", "peak_bytes": "float64"}
    return Evidence(
        store.plan,
        DataFrame(rows, columns=[*UNIT, "text", "error"]).astype({"seed": "int64"}),
        DataFrame(scores, columns=[*UNIT, "scorer", "metric", "value"]).astype(
            {"seed": "int64", "value": "float64"}
        ),
        DataFrame(costs, columns=[*UNIT, *list(numbers)[1:], "worker"]).astype(numbers),
        tuple(found),
        {name: units for name, units in seen.items() if units},
        store.attentions(),
    )
