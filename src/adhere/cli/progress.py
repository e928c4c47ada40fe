"""The bar that shows how far sampling is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from adhere.cli.printing import printable
from adhere.drawing import OnStep


@contextmanager
def bar(what: str) -> Iterator[OnStep]:
    """A bar on a terminal, and nothing where the output is no terminal.

    Args:
        what: stands in front.

    Yields:
        What `draw` tells its steps to.
    """
    with tqdm(desc=what, unit="step", leave=False, disable=not sys.stderr.isatty()) as shown:

        def on_step(done: int, count: int) -> None:
            shown.total = count
            shown.update(done - shown.n)

        yield on_step


def say(line: str) -> None:
    """Prints a line without tearing a bar."""
    tqdm.write(printable(line), file=sys.stdout)
    sys.stdout.flush()
