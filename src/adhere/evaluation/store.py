"""The folder of a run: its images, a row for each, and what drawing them took.

    RUN/plan.toml                                  what repeats the run
    RUN/plan.json                                  every setting, see `adhere.evaluation.plan`
    RUN/run.sqlite                                 a row for each image, also for a failed one
    RUN/<condition>/<set>/<prompt id>/<seed>.png   the images

The rows of a batch are written in one transaction, after its images. Whatever a kill leaves before
that is drawn once more and comes out the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image
from pydantic import TypeAdapter

from adhere.errors import first_line
from adhere.evaluation.database import Database, telling
from adhere.evaluation.outcomes import Attention, Measurement, Outcome, Row, SubjectsFrom
from adhere.evaluation.plan import Batch, Plan, Unit, plan_from_json
from adhere.evaluation.planfile import to_toml
from adhere.files import write_whole
from adhere.subjects import Subject

PLAN, REPEAT, DATABASE, LOCK = "plan.json", "plan.toml", "run.sqlite", ".lock"
_LEFT = {LOCK, REPEAT, f".{PLAN}.part", f".{REPEAT}.part"}
KEPT = (
    "Everything finished before is kept; once the folder can be written to, the same command goes "
    "on"
)
_SCHEMA = """
CREATE TABLE images (
    condition TEXT NOT NULL, "set" TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
    batch TEXT NOT NULL, subjects TEXT NOT NULL, subjects_from TEXT NOT NULL,
    sha256 TEXT, error TEXT,
    seconds REAL, peak_bytes INTEGER, full_forwards INTEGER, truncated_forwards INTEGER,
    backwards INTEGER, flops INTEGER, worker TEXT, attention TEXT,
    PRIMARY KEY (condition, "set", prompt, seed),
    CHECK ((sha256 IS NULL) != (error IS NULL))
);
"""
_UNIT = 'condition, "set", prompt, seed'
_ROW = f"{_UNIT}, batch, subjects, subjects_from, sha256, error"
_TAKEN = "seconds, peak_bytes, full_forwards, truncated_forwards, backwards, flops, worker"
_INSERT = (
    f"INSERT OR REPLACE INTO images ({_ROW}, {_TAKEN}, attention) VALUES ({', '.join('?' * 17)})"
)
_SUBJECTS = TypeAdapter(tuple[Subject, ...])
_ATTENTION = TypeAdapter(Attention)


@dataclass(frozen=True)
class Damage:
    """An image that is not as it was drawn."""

    unit: Unit
    kind: Literal["missing", "altered"]


class Store:
    """A run on disk.

    Any number of processes may read it; one at a time writes, inside `writing()`.

    Attributes:
        folder: RUN.
        plan: what is drawn into it.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._batch_of = {unit: batch for batch in plan.batches for unit in batch.units}
        self._database = Database(folder / DATABASE, _SCHEMA, KEPT)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Store:
        """A run that is there.

        Raises:
            ValueError: the folder is no run, or its plan is broken or of another version.
        """
        home = Path(folder)
        try:
            text = (home / PLAN).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(
                f"{str(home)!r} is no run: it has no {PLAN}. Give the folder that `adhere "
                "evaluate run` has drawn into."
            ) from None
        except UnicodeDecodeError:
            text = ""
        try:
            return cls(home, plan_from_json(text))
        except ValueError as error:
            raise ValueError(
                f"{PLAN} in {str(home)!r} cannot be read: {error}. Choose another folder for a "
                "new run; the images in this one are left alone."
            ) from None

    @classmethod
    def create(cls, folder: str | os.PathLike[str], plan: Plan) -> Store:
        """A new run, or the one that is there where it has the same plan.

        Args:
            folder: made where it is missing.
            plan: what is to be drawn.

        Raises:
            ValueError: a run with another plan is there, or files that are no run.
            OSError: the folder cannot be written to.
        """
        home = Path(folder)
        if (home / PLAN).exists():
            store = cls.open(home)
            differences = store.plan.differences(plan)
            if differences:
                raise ValueError(
                    f"{str(home)!r} holds a run with other settings: {'; '.join(differences)}. "
                    "Choose another folder for this one; runs are never mixed."
                )
            return store
        store = cls(home, plan)
        with telling(home, KEPT):
            home.mkdir(parents=True, exist_ok=True)
            # What a kill has left of a run that had not begun is no reason to refuse.
            others = {p.name for p in home.iterdir()} - _LEFT
            if others:
                raise ValueError(
                    f"{str(home)!r} is not empty and holds no run ({sorted(others)[0]!r} is "
                    "there); choose a new folder."
                )
        with store._database.locked(LOCK, store._drawing):
            if not (home / PLAN).exists():
                # What makes the folder a run comes last.
                _write(home / REPEAT, to_toml(plan).encode())
                _write(home / PLAN, plan.to_json().encode())
        return cls.create(home, plan)

    def path(self, unit: Unit) -> Path:
        """Where an image is or will be."""
        return self.folder / unit.condition / unit.set / unit.prompt / f"{unit.seed}.png"

    def rows(self) -> list[Row]:
        """The rows of all batches that are done, in the plan's order.

        Raises:
            ValueError: the database was changed since it was written.
        """
        found = {}
        for *unit, batch, subjects, origin, sha256, error in self._read(_ROW):
            try:
                row = self._row(Unit(*unit), json.loads(batch), subjects, origin, sha256, error)
            except (ValueError, TypeError) as wrong:
                raise self._changed(unit, wrong) from None
            found[row.unit] = row
        return [found[unit] for unit in self.plan.units if unit in found]

    def measurements(self) -> list[Measurement]:
        """What the images took, in the plan's order; failed ones have none.

        Raises:
            ValueError: the database was changed since it was written.
        """
        rows = [(Unit(*row[:4]), row[4:]) for row in self._read(f"{_UNIT}, {_TAKEN}")]
        done = {unit: Measurement(unit, *taken) for unit, taken in rows if taken[0] is not None}
        return [done[unit] for unit in self.plan.units if unit in done]

    def attentions(self) -> dict[Unit, Attention]:
        """The attention of the images of which it was read, in the plan's order.

        Raises:
            ValueError: the database was changed since it was written.
        """
        found = {}
        for *unit, text in self._read(f"{_UNIT}, attention"):
            if text is not None:
                try:
                    found[Unit(*unit)] = _ATTENTION.validate_json(text)
                except ValueError as wrong:
                    raise self._changed(unit, wrong) from None
        return {unit: found[unit] for unit in self.plan.units if unit in found}

    def missing(self, also: Sequence[Unit] = ()) -> tuple[Batch, ...]:
        """The batches that are still to be drawn, in order.

        Args:
            also: images that are there, whose batches are to be drawn once more.
        """
        again = {self._batch_of[unit] for unit in also}
        done = {Unit(*unit) for unit in self._read(_UNIT)}
        return tuple(
            batch for batch in self.plan.batches if batch in again or batch.units[0] not in done
        )

    def verify(self) -> list[Damage]:
        """Which images are not there any more, or not as they were drawn, in order."""
        rows = [row for row in self.rows() if row.sha256 is not None]
        return [Damage(row.unit, kind) for row in rows if (kind := self._file(row)[1])]

    def image(self, row: Row) -> Image.Image:
        """An image as it was drawn, RGB.

        Args:
            row: of one that did not fail.

        Raises:
            ValueError: it is missing, was altered since, or cannot be read.
        """
        data, damage = self._file(row)
        said = "is missing" if damage == "missing" else "was altered since it was drawn"
        if damage is None:
            try:
                return Image.open(io.BytesIO(data), formats=["PNG"]).convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                said = f"cannot be read ({error})"
        raise ValueError(
            f"The image {str(self.path(row.unit))!r} of the run {said}; `adhere evaluate run` "
            "with --repair draws it again."
        )

    def _file(self, row: Row) -> tuple[bytes, Literal["missing", "altered"] | None]:
        """The file of an image, and how it differs from what was drawn."""
        try:
            data = self.path(row.unit).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return b"", "missing"
        is_same = hashlib.sha256(data).hexdigest() == row.sha256
        return data, None if is_same else "altered"

    def check_whole(self) -> None:
        """Makes sure that the images are as they were drawn.

        Raises:
            ValueError: one is missing or altered.
        """
        damaged = self.verify()
        if damaged:
            first = damaged[0]
            raise ValueError(
                f"{len(damaged)} of the images in {str(self.folder)!r} are missing or altered "
                f"since they were drawn (first: {self.path(first.unit)} is {first.kind}). "
                "`adhere evaluate verify` lists them, and `adhere evaluate run` with --repair "
                "draws them again."
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which `keep` may be called, by this process alone.

        Raises:
            ValueError: another process is drawing into this folder.
            OSError: the folder cannot be written to, or the disk is full.
        """
        with self._database.writing(LOCK, self._drawing):
            for left in (*self.folder.glob(".*.part"), *self.folder.glob("*/*/*/.*.png.part")):
                with suppress(FileNotFoundError):
                    left.unlink()
            yield

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Writes a batch: its images, then all its rows in one transaction.

        Args:
            outcomes: one for each unit of one batch; they replace rows that it has already.

        Raises:
            OSError: the folder cannot be written to, or the disk is full; the batch then counts
                as never drawn, and all earlier ones are whole.
        """
        for outcome in outcomes:
            if outcome.data is not None:
                path = self.path(outcome.row.unit)
                with telling(path, KEPT):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(path, outcome.data)
        self._database.write([(_INSERT, [_values(outcome) for outcome in outcomes])])

    @property
    def _drawing(self) -> str:
        return f"drawing into {str(self.folder)!r}"

    def _read(self, columns: str) -> list[tuple[Any, ...]]:
        rows = self._database.read(f"SELECT {columns} FROM images")
        for unit in (row[:4] for row in rows):
            if unit not in self._batch_of:
                raise self._changed(unit, ValueError("the plan has no such image"))
        return rows

    def _row(
        self,
        unit: Unit,
        batch: list[int],
        subjects: str,
        origin: SubjectsFrom,
        sha256: str | None,
        error: str | None,
    ) -> Row:
        seeds = tuple(batch)
        if seeds not in (self._batch_of[unit].seeds, (unit.seed,)):
            raise ValueError(f"it was not drawn with the seeds {batch}")
        if origin not in get_args(SubjectsFrom):
            raise ValueError(f"subjects come from {origin!r}")
        if (sha256 is None) == (error is None):
            raise ValueError("a row has either an image or an error")
        recipe = self.plan.recipe(unit, _SUBJECTS.validate_json(subjects, strict=True), seeds)
        return Row(unit, recipe, self.plan.set_sha256(unit.set), origin, sha256, error)

    def _changed(self, unit: Sequence[Any], wrong: Exception) -> ValueError:
        return ValueError(
            f"The row {tuple(unit)} of {str(self.folder / DATABASE)!r} was not written by this "
            f"run ({first_line(wrong)}); put back the file as it was, or draw into another folder."
        )


def _values(outcome: Outcome) -> tuple[Any, ...]:
    """What the database keeps of an image; the plan says the rest."""
    row, taken = outcome.row, outcome.measurement
    recipe = row.recipe
    subjects = _SUBJECTS.dump_json(recipe.subjects).decode()
    own = (json.dumps(recipe.batch), subjects, row.subjects_from, row.sha256, row.error)
    names = [field.name for field in fields(Measurement) if field.name != "unit"]
    cost = (None if taken is None else getattr(taken, name) for name in names)
    seen = outcome.attention
    attention = None if seen is None else _ATTENTION.dump_json(seen).decode()
    return (*row.unit, *own, *cost, attention)


def _write(path: Path, data: bytes) -> None:
    with telling(path, KEPT):
        write_whole(path, data)
