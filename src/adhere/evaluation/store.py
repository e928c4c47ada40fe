"""The folder of a run: pictures, a row for each, and what drawing them took.

    RUN/plan.json                                  every setting, see `adhere.evaluation.plan`
    RUN/manifest.jsonl                             a row for each picture, also for a failed one
    RUN/measurements.jsonl                         what differs from run to run: seconds, memory
    RUN/<condition>/<set>/<prompt id>/<seed>.png   the pictures

A batch is there once its rows are in the manifest, which come last; whatever a kill leaves
before that is drawn once more, and comes out the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

from PIL import Image

from adhere.drawing.png import png
from adhere.drawing.recipe import Recipe, from_json
from adhere.evaluation.plan import Batch, Plan, Unit, plan_from_json
from adhere.files import append_whole, write_whole
from adhere.subjects import Subject

PLAN, MANIFEST, MEASUREMENTS, LOCK = "plan.json", "manifest.jsonl", "measurements.jsonl", ".lock"
SubjectsFrom = Literal["prompt set", "found", "none"]
_ORIGINS = ("prompt set", "found", "none")
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Row:
    """What the manifest says of one picture.

    Attributes:
        unit: which one.
        recipe: everything it was made from: prompt, methods with all numbers, subjects with their
            token indices, model, revision and hash of its weights, scheduler, steps, guidance,
            precision, device, versions. The same stands in the picture.
        set_sha256: hash of its prompt set.
        subjects_from: whether the prompt set stated the subjects, or they were found in the
            prompt; "none" for a plain picture, or where there are none.
        sha256: of the file; None where there is no picture.
        error: why there is none, in a line; None where there is one.
    """

    unit: Unit
    recipe: Recipe
    set_sha256: str
    subjects_from: SubjectsFrom
    sha256: str | None
    error: str | None

    @property
    def text(self) -> str:
        """The prompt, letter for letter."""
        return self.recipe.prompt

    def to_json(self) -> str:
        """The row as one line."""
        data = {
            **self.unit._asdict(),
            "text": self.text,
            "sha256": self.sha256,
            "error": self.error,
            "set_sha256": self.set_sha256,
            "subjects_from": self.subjects_from,
            "recipe": json.loads(self.recipe.to_json()),
        }
        return json.dumps(data, allow_nan=False)


@dataclass(frozen=True)
class Measurement:
    """What drawing one picture took; never the same twice, so not in the manifest.

    Attributes:
        unit: which picture.
        seconds: of its batch, divided by the pictures in it.
        peak_bytes: most memory of the GPU during its batch; None elsewhere.
        full_forwards: calls of the denoiser by the pipeline.
        truncated_forwards: passes for nursing, which end after the last layer read.
        backwards: gradients for nursing.
        flops: floating-point operations of the denoiser for this picture, all branches; None
            where they could not be counted.
        worker: who drew it: its name on a cluster, and the kind of its processor or GPU.
    """

    unit: Unit
    seconds: float
    peak_bytes: int | None = None
    full_forwards: int = 0
    truncated_forwards: int = 0
    backwards: int = 0
    flops: int | None = None
    worker: str = ""

    def to_json(self) -> str:
        """The measurement as one line."""
        data = asdict(self)
        del data["unit"]
        return json.dumps({**self.unit._asdict(), **data}, allow_nan=False)


@dataclass(frozen=True)
class Outcome:
    """What came of one unit: a row, and for a picture its file and what it took."""

    row: Row
    data: bytes | None = None
    measurement: Measurement | None = None


@dataclass(frozen=True)
class Damage:
    """A picture that is not as it was drawn."""

    unit: Unit
    kind: Literal["missing", "altered"]


def drawn(
    plan: Plan,
    unit: Unit,
    picture: Image.Image,
    *,
    batch: tuple[int, ...] | None = None,
    subjects: tuple[Subject, ...] = (),
    subjects_from: SubjectsFrom = "none",
    measurement: Measurement | None = None,
) -> Outcome:
    """The outcome of a unit that became a picture.

    Args:
        plan: of the run.
        unit: which picture.
        picture: as drawn.
        batch: seeds sampled together, this one among them; None for it alone.
        subjects: what was nursed.
        subjects_from: where they came from.
        measurement: what it took.
    """
    recipe = plan.recipe(unit, subjects, batch)
    data = png(picture, {"parameters": recipe.parameters_text(), "adhere": recipe.to_json()})
    digest = hashlib.sha256(data).hexdigest()
    row = Row(unit, recipe, plan.set_sha256(unit.set), subjects_from, digest, None)
    return Outcome(row, data, measurement)


def failed(
    plan: Plan,
    unit: Unit,
    error: str,
    *,
    batch: tuple[int, ...] | None = None,
    subjects: tuple[Subject, ...] = (),
    subjects_from: SubjectsFrom = "none",
) -> Outcome:
    """The outcome of a unit that became no picture; the arguments are those of `drawn`.

    Args:
        plan: of the run.
        unit: which picture.
        error: why; its first line is kept.
        batch: seeds sampled together.
        subjects: what was nursed.
        subjects_from: where they came from.
    """
    line = next(iter(error.strip().splitlines()), "")[:_LONGEST_ERROR] or "unknown error"
    recipe = plan.recipe(unit, subjects, batch)
    return Outcome(Row(unit, recipe, plan.set_sha256(unit.set), subjects_from, None, line))


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
        # Lines that were read once are not parsed again.
        self._rows: dict[bytes, Row] = {}
        self._measured: dict[bytes, Measurement] = {}

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
                "new run; the pictures in this one are left alone."
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
        with _telling(home):
            home.mkdir(parents=True, exist_ok=True)
            # What a kill has left of a run that had not begun is no reason to refuse.
            others = {p.name for p in home.iterdir()} - {LOCK, f".{PLAN}.part"}
            if others:
                raise ValueError(
                    f"{str(home)!r} is not empty and holds no run ({sorted(others)[0]!r} is "
                    "there); choose a new folder."
                )
        with store._locked():
            if not (home / PLAN).exists():
                _write(home / PLAN, plan.to_json().encode())
        return cls.create(home, plan)

    def path(self, unit: Unit) -> Path:
        """Where a picture is or will be."""
        return self.folder / unit.condition / unit.set / unit.prompt / f"{unit.seed}.png"

    def rows(self) -> list[Row]:
        """The rows of all batches that are done, in the plan's order.

        Raises:
            ValueError: the manifest was changed since it was written; the message names the line.
        """
        rows = self._read(MANIFEST, self._row, self._rows)
        found = {row.unit for row in rows}
        return [row for row in rows if found.issuperset(self._batch_of[row.unit].units)]

    def measurements(self) -> list[Measurement]:
        """What the pictures took, in the plan's order; of those in `rows()` that are pictures.

        Raises:
            ValueError: the file was changed since it was written; the message names the line.
        """
        done = {row.unit for row in self.rows() if row.sha256}
        measured = self._read(MEASUREMENTS, self._measurement, self._measured)
        return [m for m in measured if m.unit in done]

    def missing(self, also: Sequence[Unit] = ()) -> tuple[Batch, ...]:
        """The batches that are still to be drawn, in order.

        Args:
            also: pictures that are there, whose batches are to be drawn once more.
        """
        again = {self._batch_of[unit] for unit in also}
        done = {row.unit for row in self.rows()}
        return tuple(
            batch for batch in self.plan.batches if batch in again or batch.units[0] not in done
        )

    def verify(self) -> list[Damage]:
        """Which pictures are not there any more, or not as they were drawn, in order."""
        found = []
        for row in self.rows():
            if row.sha256 is None:
                continue
            try:
                data = self.path(row.unit).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                found.append(Damage(row.unit, "missing"))
                continue
            if hashlib.sha256(data).hexdigest() != row.sha256:
                found.append(Damage(row.unit, "altered"))
        return found

    def check_whole(self) -> None:
        """Makes sure that the pictures are as they were drawn.

        Raises:
            ValueError: one is missing or altered.
        """
        damaged = self.verify()
        if damaged:
            first = damaged[0]
            raise ValueError(
                f"{len(damaged)} of the pictures in {str(self.folder)!r} are missing or altered "
                f"since they were drawn (first: {self.path(first.unit)} is {first.kind}). "
                "`adhere evaluate verify` lists them, and `adhere evaluate run` with --repair "
                "draws them again."
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which `keep` and `forget` may be called, by this process alone.

        It mends what a kill has left: a torn last line, rows of half a batch, temporary files.
        When the block ends and all is drawn, the files of rows are in the plan's order.

        Raises:
            ValueError: another process is drawing into this folder.
            OSError: the folder cannot be written to, or the disk is full.
        """
        with self._locked():
            self._mend()
            yield
            if not self.missing():
                self._mend()

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Writes a batch: its pictures, then what they took, and its rows last.

        Args:
            outcomes: one for each unit of one batch; of rows that it has already these are
                the ones that count.

        Raises:
            OSError: the folder cannot be written to, or the disk is full; the batch is then as
                good as never drawn, and all earlier ones are whole.
        """
        for outcome in outcomes:
            if outcome.data is not None:
                path = self.path(outcome.row.unit)
                with _telling(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, outcome.data)
        taken = [o.measurement.to_json() for o in outcomes if o.measurement is not None]
        self._append(MEASUREMENTS, taken)
        self._append(MANIFEST, [outcome.row.to_json() for outcome in outcomes])

    def forget(self, units: Sequence[Unit]) -> None:
        """Takes the rows of these units' batches away, so that they are drawn again."""
        batches = {self._batch_of[unit] for unit in units}
        self._mend(lambda unit: self._batch_of[unit] not in batches)

    def _row(self, line: str) -> Row:
        data = json.loads(line)
        unit = self._unit(data)
        recipe = from_json(json.dumps(data["recipe"]))
        row = Row(
            unit,
            recipe,
            self.plan.set_sha256(unit.set),
            data["subjects_from"],
            data["sha256"],
            data["error"],
        )
        whole = self._batch_of[unit].seeds
        is_ours = recipe.batch in (whole, (unit.seed,))
        # A row that this plan would not have written is no row of this run.
        expected = self.plan.recipe(unit, recipe.subjects, recipe.batch)
        if not is_ours or recipe.to_json() != expected.to_json() or row.to_json() != line:
            raise ValueError("it does not fit the plan")
        if row.subjects_from not in _ORIGINS or (row.sha256 is None) == (row.error is None):
            raise ValueError("it is no row")
        return row

    def _measurement(self, line: str) -> Measurement:
        data = json.loads(line)
        unit = self._unit(data)
        return Measurement(unit, **{k: v for k, v in data.items() if k not in Unit._fields})

    def _read(
        self, name: str, parse: Callable[[str], _Line], known: dict[bytes, _Line]
    ) -> list[_Line]:
        """The lines of a file in the plan's order; a torn last one is left out."""
        try:
            lines = (self.folder / name).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        # What follows the last newline was not written to its end.
        found: dict[Unit, _Line] = {}
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = known.get(line) or parse(line.decode())
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError(
                    f"Line {number} of {str(self.folder / name)!r} was not written by this run "
                    f"({type(error).__name__}: {error}); put back the file as it was, or draw "
                    "into another folder."
                ) from None
            # What was drawn once more has a later line.
            found[entry.unit] = known[line] = entry
        return [found[unit] for unit in self.plan.units if unit in found]

    def _unit(self, data: dict) -> Unit:
        unit = Unit(data["condition"], data["set"], data["prompt"], data["seed"])
        if unit not in self._batch_of or isinstance(unit.seed, bool):
            raise ValueError("the plan has no such picture")
        return unit

    def _mend(self, keeps: Callable[[Unit], bool] = lambda unit: True) -> None:
        """Leaves what whole batches have, in the plan's order, and nothing else."""
        rows = [row for row in self.rows() if keeps(row.unit)]
        done = {row.unit for row in rows if row.sha256}
        # Writing a row anew takes longer than finding the line that it was read from.
        said = {id(row): line.decode() for line, row in self._rows.items()}
        # The manifest first: measurements without a row do no harm.
        self._replace(MANIFEST, [said[id(row)] for row in rows])
        measured = self._read(MEASUREMENTS, self._measurement, self._measured)
        self._replace(MEASUREMENTS, [m.to_json() for m in measured if m.unit in done])
        for left in (*self.folder.glob(".*.part"), *self.folder.glob("*/*/*/.*.png.part")):
            with suppress(FileNotFoundError):
                left.unlink()

    def _replace(self, name: str, lines: Sequence[str]) -> None:
        path = self.folder / name
        data = "".join(line + "\n" for line in lines).encode()
        if not path.exists() or path.read_bytes() != data:
            _write(path, data)

    def _append(self, name: str, lines: Sequence[str]) -> None:
        path = self.folder / name
        with _telling(path):
            append_whole(path, "".join(line + "\n" for line in lines).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import filelock

        with _telling(self.folder):
            lock = filelock.FileLock(self.folder / LOCK)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise ValueError(
                    f"Another process is drawing into {str(self.folder)!r}; wait until it ends, "
                    "or choose another folder."
                ) from None
        try:
            yield
        finally:
            lock.release()


_Line = TypeVar("_Line", Row, Measurement)


def _write(path: Path, data: bytes) -> None:
    with _telling(path):
        write_whole(path, data)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the file system name the file, and say what became of the rest."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}. Everything finished before is kept; once the folder can be "
            "written to, the same command goes on",
            str(path),
        ) from error
