"""`adhere evaluate`: from prompts to a table, each part of it a verb of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from adhere.cli.progress import say

if TYPE_CHECKING:
    from adhere.evaluation.store import Store

PARTS = {
    "run": ("adhere.cli.evaluate_run:run", "Draw, score and report."),
    "score": ("adhere.cli.evaluate_score:score", "Score the images of a run."),
    "report": ("adhere.cli.evaluate:report", "Write the report of a run."),
    "export": ("adhere.cli.evaluate:export", "Lay a run out for a benchmark's script."),
    "verify": ("adhere.cli.evaluate:verify", "Check the images of a run."),
    "prompts": ("adhere.cli.evaluate:prompts", "List prompt sets."),
}
"""Part to its function, and a summary. A new part is one line here."""


def report_on(store: Store, out: str | None = None) -> None:
    """Writes the report, and says where."""
    from adhere.evaluation import report

    folder = Path(out) if out else store.folder / "report"
    report.report(store, folder)
    say(str(folder / "index.html"))
    say(str(folder / "report.md"))


def report(run: str, *, out: str | None = None) -> None:
    """Write the report of a run that is scored.

    Args:
        run: folder of the run.
        out: where the report goes; RUN/report without it.
    """
    from adhere.cli.choosing import hush
    from adhere.evaluation.store import Store

    hush()
    report_on(Store.open(run), out)


def export(
    run: str,
    layout: str,
    out: str,
    *,
    condition: str | None = None,
    set: str | None = None,  # noqa: A002
    questions: str | None = None,
    copy: bool = False,
) -> None:
    """Lay a run out so that the official script of a benchmark reads it.

    Args:
        run: folder of the run.
        layout: attend-and-excite, geneval, tifa, tifa-result or t2i-compbench; or jsonl or
            parquet, for the rows and scores as data.
        out: a new folder.
        condition: one method's images; all without it.
        set: one prompt set; all without it.
        questions: a file of TIFA's in its own format.
        copy: copy images instead of linking them.
    """
    from adhere.cli.values import folder
    from adhere.evaluation.data import FORMATS, export_data
    from adhere.evaluation.export import export as lay_out
    from adhere.evaluation.store import Store

    folder(out)
    store = Store.open(run)
    if layout in FORMATS:
        given = {"condition": condition, "set": set, "questions": questions, "copy": copy}
        if extra := [name for name, value in given.items() if value]:
            raise ValueError(
                f"The layout {layout} holds all rows and no images, so that it takes no "
                f"--{extra[0]}; leave it out."
            )
        say(str(export_data(store, layout, out)))
        return
    made = lay_out(
        store,
        layout,
        Path(out),
        condition=condition,
        prompts=set,
        questions=Path(questions) if questions else None,
        copy=copy,
    )
    say(str(made))


def verify(run: str) -> None:
    """Check that the images of a run are as they were drawn.

    Args:
        run: folder of the run.
    """
    from adhere.evaluation.store import Store

    store = Store.open(run)
    damaged = store.verify()
    for one in damaged:
        say(f"{one.kind:8} {store.path(one.unit)}")
    rows = store.rows()
    failures = sum(row.error is not None for row in rows)
    said = f"{len(rows):,} of {len(store.plan.units):,} images are done, {failures:,} of them"
    say(f"{said} failures; {len(damaged):,} are missing or altered")
    if damaged:
        raise ValueError(
            f"{len(damaged):,} images in {run!r} are not as they were drawn; "
            f"`adhere evaluate run {run} --repair` draws them again."
        )


def prompts(set: str = "", *, tifa: bool = False) -> None:  # noqa: A002
    """List the sets of prompts, or the prompts of one.

    Args:
        set: a set or a file.
        tifa: print its questions in TIFA's own format.
    """
    from adhere.evaluation.prompts import describe, prompt_set
    from adhere.evaluation.scorers.questions import set_as_tifa

    if not tifa:
        text = describe(set or None)
    elif not set:
        raise ValueError("Got --tifa without a set; say whose questions, as in dvmp --tifa.")
    else:
        text = json.dumps(set_as_tifa(prompt_set(set)), indent=1)
    for line in text.splitlines():
        say(line)
