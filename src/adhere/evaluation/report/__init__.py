"""The report of a run: one page, the same as Markdown, and all tables as data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from adhere.evaluation.store import Store
from adhere.files import write_whole

if TYPE_CHECKING:
    from pandas import DataFrame

    from adhere.evaluation.report.evidence import Evidence
    from adhere.evaluation.report.sheets import ReadImage

__all__ = ["check_packages", "report", "write"]

_NEEDS = ("pandas", "pyarrow", "scipy", "matplotlib", "jinja2")


def report(store: Store, out: str | os.PathLike[str]) -> None:
    """Writes the report of a run: the same run gives the same files, byte for byte.

        OUT/index.html             the page, whole in one file
        OUT/report.md, figures/    its tables and figures as Markdown
        OUT/results, pairs, ratios, prompts, seeds, costs, failures   each as .csv and .parquet
        OUT/why                    the same for the attention of subjects, where it was read
        OUT/plan.toml              what repeats the run

    Args:
        store: a run that is drawn and scored, or a part of it.
        out: made where it is missing; files of an earlier report are replaced.

    Raises:
        ValueError: nothing is drawn or scored yet, an image is missing or altered, also one
            that is not shown, a file of the run was changed, or a package is missing.
        OSError: the folder cannot be written to, or the disk is full.
    """
    check_packages()
    from adhere.evaluation.report.evidence import evidence

    # Numbers of images that nobody can look at any more are no evidence.
    store.check_whole()
    write(evidence(store), images_of(store), out)


def images_of(store: Store) -> ReadImage:
    """What gives the image of a unit as it was drawn; None for one that failed."""
    drawn = {row.unit: row for row in store.rows() if row.sha256 is not None}
    return lambda unit: store.image(drawn[unit]) if unit in drawn else None


def write(evidence: Evidence, image: ReadImage, out: str | os.PathLike[str]) -> None:
    """Writes a report from frames; `report` says what.

    Args:
        evidence: what came of a run.
        image: gives the image of a unit; None where there is none.
        out: the folder.

    Raises:
        ValueError: nothing can be compared yet.
        OSError: the folder cannot be written to, or the disk is full.
    """
    check_packages()
    from adhere.evaluation.planfile import to_toml
    from adhere.evaluation.report.page import html, markdown
    from adhere.evaluation.report.plots import draw_plots
    from adhere.evaluation.report.sheets import sheet, strips, webp
    from adhere.evaluation.report.tables import Tables

    tables = Tables(evidence)
    folder = Path(out)
    plots = draw_plots(tables)
    titles = {
        "cost": f"{tables.primary.metric.group.capitalize()} against cost",
        "differences": "Differences to the baseline",
        "attention": "Attention of found and of missing subjects",
    }
    figures = [
        (titles[name], f"figures/{name}.svg", plot.encode()) for name, plot in plots.items()
    ]
    for name in tables.sets:
        if chosen := strips(tables, name):
            data = webp(sheet(chosen, tables.primary, image))
            figures.append((f"Images of {name}", f"figures/{name}.webp", data))
    page = html(tables, image, plots).encode()
    text = markdown(tables, [(title, path) for title, path, _ in figures]).encode()
    for _, path, data in figures:
        _write(folder / path, data)
    named = ("results", "pairs", "ratios", "prompts", "seeds", "costs", "failures")
    frames = {name: getattr(tables, name) for name in named}
    if len(tables.why.table):
        frames["why"] = tables.why.table
    for name, frame in frames.items():
        _write(folder / f"{name}.csv", _csv(frame))
        _write(folder / f"{name}.parquet", frame.to_parquet(index=False, engine="pyarrow"))
    _write(folder / "plan.toml", to_toml(evidence.plan).encode())
    _write(folder / "report.md", text)
    _write(folder / "index.html", page)


def check_packages() -> None:
    """Makes sure that what a report is made with is installed.

    Raises:
        ValueError: a package is missing.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"The report needs {' and '.join(missing)}; install it with pip install "
            "'adhere[evaluate]'."
        )


def _csv(frame: DataFrame) -> bytes:
    """A table as CSV in which no text is a formula to a spreadsheet."""
    kept = frame.copy()
    for name in kept.columns:
        if kept[name].dtype.kind not in "biuf":
            kept[name] = [_inert(value) for value in kept[name]]
    return kept.to_csv(index=False, lineterminator="\n").encode()


def _inert(value: object) -> object:
    is_formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r")
    return f"'{value}" if is_formula else value


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
