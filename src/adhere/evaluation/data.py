"""The rows and scores of a run as files that other tools read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adhere.errors import unknown
from adhere.evaluation.scorers.cache import scored
from adhere.evaluation.store import Store
from adhere.files import write_whole

FORMATS = ("jsonl", "parquet")


def export_data(store: Store, form: str, out: str | os.PathLike[str]) -> Path:
    """Writes `rows` and `scores` of a run, finished or not, as lines of JSON or as Parquet.

    Args:
        store: the run.
        form: one of `FORMATS`.
        out: a folder that is new or empty.

    Returns:
        The folder. In Parquet, `recipe` and `details` are text of JSON.

    Raises:
        ValueError: another format, a folder that holds something, or a changed database.
        OSError: the folder cannot be written to, or the disk is full.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    home = Path(out)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ValueError(f"{str(home)!r} is not an empty folder; give one that is new or empty.")
    tables = {"rows": _rows(store), "scores": _scores(store)}
    home.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        data = _lines(rows) if form == "jsonl" else _parquet(rows)
        write_whole(home / f"{name}.{form}", data)
    return home


def _rows(store: Store) -> list[dict[str, Any]]:
    taken = {measured.unit: asdict(measured) for measured in store.measurements()}
    rows = []
    for row in store.rows():
        cost = {k: v for k, v in taken.get(row.unit, {}).items() if k != "unit"}
        rows.append(row.to_dict() | cost)
    return rows


def _scores(store: Store) -> list[dict[str, Any]]:
    return [
        {**unit._asdict(), "scorer": one.name, "metric": name, "value": value}
        | {"details": dict(judgement.details)}
        for one in scored(store)
        for unit, judgement in one.judgements.items()
        for name, value in judgement.values.items()
    ]


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    from pandas import DataFrame

    flat = [
        {name: json.dumps(v) if isinstance(v, dict) else v for name, v in row.items()}
        for row in rows
    ]
    return DataFrame(flat).to_parquet(index=False, engine="pyarrow")
