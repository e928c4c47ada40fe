"""What is told while an evaluation goes on: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from adhere.evaluation.run import OnProgress, Progress

_SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def drawing_bar() -> Iterator[OnProgress]:
    """Shows how far a run is, and how long it will take.

    Yields:
        What the run tells its progress to.
    """
    is_terminal = sys.stderr.isatty()
    last = time.monotonic()
    form = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
    with tqdm(
        desc="draw", leave=False, disable=not is_terminal, bar_format=form, unit="picture"
    ) as shown:

        def on_progress(progress: Progress) -> None:
            nonlocal last
            if is_terminal:
                shown.total = progress.total
                shown.set_postfix_str(_left(progress), refresh=False)
                shown.update(progress.done - shown.n)
                shown.refresh()
            elif time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                line = f"{progress.done:,} of {progress.total:,} pictures, {_left(progress)}"
                print(f"adhere: {line}", file=sys.stderr, flush=True)

        yield on_progress


@contextmanager
def counting(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal for work that tells how many are done of how many.

    Args:
        what: stands in front.
        unit: of what is counted.

    Yields:
        What is told both numbers.
    """
    with tqdm(desc=what, unit=unit, leave=False, disable=not sys.stderr.isatty()) as shown:

        def on_progress(done: int, count: int) -> None:
            shown.total = count
            shown.update(done - shown.n)

        yield on_progress


def duration(seconds: float) -> str:
    """A time in the two units that matter: "2 h 5 min", "3 min 20 s", "45 s"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3_600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _left(progress: Progress) -> str:
    if progress.seconds_left is None:
        return "time left not known yet"
    return f"about {duration(progress.seconds_left)} left"
