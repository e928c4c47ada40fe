"""How long batches take, how much time there is, and how far a run is."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from adhere.evaluation.outcomes import Outcome
from adhere.evaluation.plan import Batch
from adhere.evaluation.store import Store


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: images that need not be drawn any more, failures included.
        total: images of the whole run.
        failures: of those done.
        seconds_left: an estimate; None where nothing is known yet.
    """

    done: int
    total: int
    failures: int = 0
    seconds_left: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to draw."""
        return self.done == self.total


OnProgress = Callable[[Progress], None]


class Pace:
    """How long batches take, how much time there is, and how far the run is.

    Args:
        minutes: the budget, from now on; None where there is none.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._started = time.monotonic()
        self._budget = float("inf") if minutes is None else 60 * minutes
        self._taken: dict[str, float] = defaultdict(float)
        self._drawn: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._done = self._total = self._failures = 0
        self.workers = 1

    def begin(self, store: Store, pending: Sequence[Batch]) -> None:
        """Learns from what the store holds already."""
        for taken in store.measurements():
            self._taken[taken.unit.condition] += taken.seconds
            self._drawn[taken.unit.condition] += 1
        for batch in pending:
            self._left[batch.condition] += len(batch.seeds)
        self._total = len(store.plan.units)
        self._done = self._total - sum(self._left.values())
        again = {unit for batch in pending for unit in batch.units}
        failures = {row.unit for row in store.rows() if row.error is not None}
        self._failures = len(failures - again)

    def note(self, batch: Batch, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Learns from a batch that was drawn just now."""
        self._taken[batch.condition] += seconds
        self._drawn[batch.condition] += len(batch.seeds)
        self._left[batch.condition] -= len(batch.seeds)
        self._done += len(batch.seeds)
        self._failures += sum(outcome.row.error is not None for outcome in outcomes)

    def expected(self, batch: Batch) -> float:
        """Seconds that a batch will take; 0 where nothing was drawn yet."""
        return len(batch.seeds) * self._each(batch.condition)

    def fits(self, batches: Sequence[Batch]) -> bool:
        """Whether these batches would end within the budget."""
        elapsed = time.monotonic() - self._started
        return elapsed + sum(map(self.expected, batches)) <= self._budget

    def progress(self) -> Progress:
        """How far the run is."""
        left = None
        if self._drawn:
            left = sum(n * self._each(name) for name, n in self._left.items()) / self.workers
        return Progress(self._done, self._total, self._failures, left)

    def tell(self, on_progress: OnProgress | None) -> None:
        """Tells whoever wants to know."""
        if on_progress is not None:
            on_progress(self.progress())

    def _each(self, condition: str) -> float:
        """Seconds of an image; a condition that was never drawn is taken for the slowest."""
        if self._drawn[condition]:
            return self._taken[condition] / self._drawn[condition]
        return max(
            (self._taken[n] / self._drawn[n] for n in self._drawn if self._drawn[n]), default=0
        )


def affordable(pending: Sequence[Batch], pace: Pace) -> Iterator[Batch]:
    """The batches that the budget has room for, in order.

    A prompt is begun only where there is room for all of its conditions, so that what is there
    when time is up can be compared.
    """
    for _, row in groupby(pending, key=lambda batch: (batch.set, batch.prompt, batch.seeds)):
        batches = list(row)
        for number, batch in enumerate(batches):
            if not pace.fits([batch] if number else batches):
                return
            yield batch
