"""`adhere evaluate`: from prompts to a table, each part of it a verb of its own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adhere.cli.choosing import hush
from adhere.cli.progress import say

if TYPE_CHECKING:
    from adhere.evaluation.store import Store


def run(arguments: argparse.Namespace) -> None:
    """Runs one part."""
    if arguments.part == "run":
        from adhere.cli.evaluate_run import run as run_all

        run_all(arguments)
        return
    {
        "score": _score,
        "report": _report,
        "export": _export,
        "verify": _verify,
        "prompts": _prompts,
    }[arguments.part](arguments)


def whole_store(folder: str) -> Store:
    """A run whose pictures are as they were drawn.

    Raises:
        ValueError: it is no run, or a picture is missing or altered.
    """
    from adhere.evaluation.run import check_whole
    from adhere.evaluation.store import Store

    store = Store.open(folder)
    check_whole(store)
    return store


def score_with(store: Store, scorers: list[str]) -> None:
    """Scores a run.

    Args:
        store: the run.
        scorers: names, each with "=model" behind it where it is to load another one.
    """
    from adhere.cli.evaluate_progress import counting
    from adhere.evaluation.scorers import scorer
    from adhere.evaluation.scorers.cache import score

    for one in scorers:
        name, _, model = one.partition("=")
        with counting(f"score {name}", "picture") as on_progress:
            score(store, scorer(name, model or None), on_progress)


def report_on(store: Store, out: str | None = None) -> None:
    """Writes the report, and says where."""
    from adhere.evaluation.report import report

    folder = Path(out) if out else store.folder / "report"
    report(store, folder)
    say(str(folder / "index.html"))
    say(str(folder / "report.md"))


def _score(arguments: argparse.Namespace) -> None:
    hush(arguments.debug)
    store = whole_store(arguments.run)
    score_with(store, arguments.scorers or default_scorers(store))


def default_scorers(store: Store) -> list[str]:
    """What needs no download: the exact scorer of the bundled model, and what it left as it was.

    Raises:
        ValueError: the run is of another model.
    """
    from adhere.loading import MINI

    if store.plan.model != MINI:
        raise ValueError(
            f"This run is of {store.plan.model!r}, and the exact scorer knows the bundled model's "
            "pictures only; say which scorers, as in --scorers clip,owlv2."
        )
    return ["mini", "pixels"]


def _report(arguments: argparse.Namespace) -> None:
    hush(arguments.debug)
    report_on(whole_store(arguments.run), arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    from adhere.evaluation.export import export

    folder = export(
        whole_store(arguments.run),
        arguments.layout,
        Path(arguments.out),
        condition=arguments.condition,
        prompts=arguments.set,
        copy=arguments.copy,
    )
    say(str(folder))


def _verify(arguments: argparse.Namespace) -> None:
    from adhere.evaluation.store import Store

    store = Store.open(arguments.run)
    damaged = store.verify()
    for one in damaged:
        say(f"{one.kind:8} {store.path(one.unit)}")
    rows = store.rows()
    failures = sum(row.error is not None for row in rows)
    said = f"{len(rows):,} of {len(store.plan.units):,} pictures are done, {failures:,} of them"
    say(f"{said} failures; {len(damaged):,} are missing or altered")
    if damaged:
        raise ValueError(
            f"{len(damaged):,} pictures in {arguments.run!r} are not as they were drawn; "
            f"`adhere evaluate run {arguments.run} --repair` draws them again."
        )


def _prompts(arguments: argparse.Namespace) -> None:
    from adhere.evaluation.prompts import describe

    for line in describe(arguments.set).splitlines():
        say(line)
