"""What a table has a column for, and the values behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adhere.evaluation.scorers.base import Metric


@dataclass(frozen=True)
class Column:
    """One metric of one scorer.

    Attributes:
        scorer: its name.
        metric: the metric.
    """

    scorer: str
    metric: Metric

    @property
    def key(self) -> tuple[str, str]:
        """What tells it apart in the frames."""
        return self.scorer, self.metric.name


@dataclass(frozen=True)
class Values:
    """A metric over a prompt set, for all that every condition has.

    Attributes:
        prompts: their ids, in the order of the set.
        seeds: in the order of the plan.
        is_there: (prompts, seeds), whether every condition has the image scored; a run that
            was stopped has fewer seeds of some prompts.
        of: condition to (prompts, seeds), NaN where there is no value.
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    is_there: np.ndarray
    of: Mapping[str, np.ndarray]
