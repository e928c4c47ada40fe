"""Processor seconds of each file of tests, of its process and of the programs that it waits for.

Usage:
    python -m pytest -p benchmarks.seconds -n 0 [FILES]

Time that a test waits is not in them, so other work on the machine changes them little. What a
fixture of a module or the first import takes counts for the file that asks first.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

SPENT: Counter[str] = Counter()


def now() -> float:
    """Seconds of processor so far."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: Any) -> Iterator[None]:
    """Counts what it takes to import a file."""
    before = now()
    report = yield
    if isinstance(collector, pytest.Module):
        SPENT[collector.nodeid] += now() - before
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    """Counts what a test and its fixtures take."""
    before = now()
    done = yield
    SPENT[item.nodeid.split("::")[0]] += now() - before
    return done


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the files, the longest first."""
    for file, seconds in SPENT.most_common():
        terminalreporter.write_line(f"{seconds:7.1f} s {file}")
