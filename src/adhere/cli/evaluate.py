"""`adhere evaluate`: from prompts to a table, each part of it a verb of its own."""

from __future__ import annotations

import argparse
import json
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
    if arguments.part == "score":
        from adhere.cli.evaluate_score import run as score

        score(arguments)
        return
    {
        "report": _report,
        "export": _export,
        "verify": _verify,
        "prompts": _prompts,
    }[arguments.part](arguments)


def report_on(store: Store, out: str | None = None) -> None:
    """Writes the report, and says where."""
    from adhere.evaluation.report import report

    folder = Path(out) if out else store.folder / "report"
    report(store, folder)
    say(str(folder / "index.html"))
    say(str(folder / "report.md"))


def _report(arguments: argparse.Namespace) -> None:
    from adhere.evaluation.store import Store

    hush(arguments.debug)
    report_on(Store.open(arguments.run), arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    from adhere.evaluation.data import FORMATS, export_data
    from adhere.evaluation.export import export
    from adhere.evaluation.store import Store

    store = Store.open(arguments.run)
    if arguments.layout in FORMATS:
        say(str(export_data(store, arguments.layout, arguments.out)))
        return
    folder = export(
        store,
        arguments.layout,
        Path(arguments.out),
        condition=arguments.condition,
        prompts=arguments.set,
        questions=Path(arguments.questions) if arguments.questions else None,
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
    from adhere.evaluation.prompts import describe, prompt_set
    from adhere.evaluation.scorers.questions import set_as_tifa

    if not arguments.tifa:
        text = describe(arguments.set)
    elif arguments.set is None:
        raise ValueError("Got --tifa without a set; say whose questions, as in dvmp --tifa.")
    else:
        text = json.dumps(set_as_tifa(prompt_set(arguments.set)), indent=1)
    for line in text.splitlines():
        say(line)
