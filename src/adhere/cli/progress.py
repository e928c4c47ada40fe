"""The bar that shows how far sampling is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adhere.printing import printable


@contextmanager
def bar(what: str) -> Iterator[Callable[..., None]]:
    """A bar on a terminal, and nothing where the output is no terminal.

    Args:
        what: stands in front.

    Yields:
        What is told how many are done and how many there are, and a note to stand behind.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Lines go above the bar where both are on one terminal, and to their file where not.
        redirect_stdout=sys.stdout.isatty(),
    ) as shown:
        task = shown.add_task(printable(what), total=None)

        def tell(done: int, count: int, note: str = "") -> None:
            text = printable(f"{what}, {note}" if note else what)
            shown.update(task, completed=done, total=count, description=text)

        yield tell


def say(line: str) -> None:
    """Prints a line, above a bar that is shown."""
    print(printable(line), flush=True)
