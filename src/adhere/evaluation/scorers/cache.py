"""Scores of a run, kept beside its pictures: no picture is scored twice.

    RUN/scores/<scorer>-<8 hex of its identity>.jsonl

The first line says whose scores these are, every other one what was said of one picture. A
picture is known by its content, its prompt and, where the scorer compares, the content of the
plain picture; so a picture that was drawn anew and came out otherwise is scored anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from adhere.evaluation.plan import PLAIN, Unit
from adhere.evaluation.scorers.base import Judgement, Metric, Scorer
from adhere.evaluation.sets.prompt import Prompt
from adhere.evaluation.store import Row, Store
from adhere.files import append_whole, write_whole

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
FOLDER = "scores"
COLUMNS = (
    "condition", "set", "prompt", "seed", "scorer", "metric", "group", "higher_is_better", "value",
)  # fmt: skip

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """The scores of one scorer in a run.

    Attributes:
        name: the scorer's, with eight letters of its identity added where several identities of
            the same scorer have scored the run; the column "scorer" of `read`.
        scorer: the scorer's name alone.
        identity: model, revision, precision and so on.
        metrics: what it measures.
        judgements: of each picture that was scored, failed ones included.
    """

    name: str
    scorer: str
    identity: Mapping[str, str]
    metrics: tuple[Metric, ...]
    judgements: Mapping[Unit, Judgement]


class _Key(NamedTuple):
    """What a judgement depends on besides the scorer; hashes, None where there is no picture."""

    picture: str | None
    plain: str | None
    prompt: str


def score(store: Store, scorer: Scorer, on_progress: OnProgress | None = None) -> None:
    """Scores every picture of a run that this scorer has not scored yet.

    Each batch is on disk before the next one is begun; killed at any moment, it goes on there.
    Batches are those that were drawn together, so that a score never depends on kills.

    Args:
        store: the run; what is drawn of it so far is scored.
        scorer: what scores.
        on_progress: called with the pictures that are done and all of them, at the beginning and
            after each batch.

    Raises:
        ValueError: a picture is missing or altered; another process is scoring with the same
            scorer; the file of scores was changed; a score is no number.
        OSError: the folder cannot be written to, or the disk is full; what was scored is kept.
    """
    path = store.folder / FOLDER / f"{scorer.name}-{_short(scorer.identity, scorer.metrics)}.jsonl"
    with _writing(path, _header(scorer)) as known:
        rows = {row.unit: row for row in store.rows()}
        batches = [batch.units for batch in store.plan.batches if batch.units[0] in rows]
        done, total = 0, len(rows)
        if on_progress is not None:
            on_progress(done, total)
        for units in batches:
            wanted = [(unit, _key(store, rows, unit, scorer.compares_to_plain)) for unit in units]
            if any(key not in known for _, key in wanted):
                judgements = _judged(store, rows, scorer, wanted)
                fresh = {k: j for k, j in judgements.items() if k not in known}
                _append(path, [_line(key, judgement) for key, judgement in fresh.items()])
                known.update(fresh)
            done += len(units)
            if on_progress is not None:
                on_progress(done, total)


def scored(store: Store) -> list[Scored]:
    """The scores of a run, a scorer at a time, by file name.

    Raises:
        ValueError: a file of scores was changed by hand or is of another version.
    """
    rows = {row.unit: row for row in store.rows()}
    files = sorted((store.folder / FOLDER).glob("*.jsonl"))
    heads = [_read_header(path) for path in files]
    names = [head["scorer"] for head in heads]
    found = []
    for path, head in zip(files, heads, strict=True):
        known = _known(path, path.read_bytes())
        judgements = {}
        for unit in rows:
            key = _key(store, rows, unit, head["compares_to_plain"])
            if key in known:
                judgements[unit] = known[key]
        name = path.stem if names.count(head["scorer"]) > 1 else head["scorer"]
        metrics = tuple(Metric(**metric) for metric in head["metrics"])
        found.append(Scored(name, head["scorer"], head["identity"], metrics, judgements))
    return found


def read(store: Store) -> pandas.DataFrame:
    """All scores of a run, a row for each picture and metric.

    Returns:
        Columns condition, set, prompt, seed, scorer, metric, group, higher_is_better, value. A
        picture that a metric does not apply to has no row for it.

    Raises:
        ValueError: pandas is missing, or a file of scores was changed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            "Reading scores needs pandas; install it with pip install 'adhere[evaluate]'."
        ) from error
    rows = [
        (*unit, one.name, metric.name, metric.group, metric.higher_is_better, value)
        for one in scored(store)
        for unit, judgement in one.judgements.items()
        for metric in one.metrics
        if (value := judgement.values.get(metric.name)) is not None
    ]
    kinds = {"seed": "int64", "higher_is_better": "bool", "value": "float64"}
    return pandas.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)


def _judged(
    store: Store, rows: Mapping[Unit, Row], scorer: Scorer, wanted: Sequence[tuple[Unit, _Key]]
) -> dict[_Key, Judgement]:
    """What a scorer says of a batch."""
    judgements = {}
    shown = []
    for unit, key in wanted:
        if key.picture is None:
            judgements[key] = scorer.judge_failed(store.plan.prompt(unit))
        else:
            plain = None
            if key.plain is not None:
                plain = _picture(store, rows[_plain(unit)])
            shown.append((key, _picture(store, rows[unit]), store.plan.prompt(unit), plain))
    if shown:
        keys, pictures, prompts, plain = zip(*shown, strict=True)
        said = scorer.judge(pictures, prompts, plain)
        judgements.update(zip(keys, said, strict=True))
    for judgement in judgements.values():
        _check(scorer, judgement)
    return judgements


def _check(scorer: Scorer, judgement: Judgement) -> None:
    """Refuses what is no number, which half precision can give."""
    for name, value in judgement.values.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(
                f"The scorer {scorer.name!r} gave {value} as {name}; its model or precision "
                f"({scorer.identity.get('precision')}) does not work here."
            )


def _picture(store: Store, row: Row) -> Image.Image:
    """A picture as it was drawn."""
    path = store.path(row.unit)
    remedy = "`adhere evaluate run` with --repair draws it again."
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ValueError(f"The picture {str(path)!r} of the run is missing; {remedy}") from None
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise ValueError(
            f"The picture {str(path)!r} was altered since it was drawn, so its score would not "
            f"be the run's; {remedy}"
        )
    try:
        return Image.open(io.BytesIO(data), formats=["PNG"]).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"The picture {str(path)!r} cannot be read ({error}); {remedy}") from None


def _key(store: Store, rows: Mapping[Unit, Row], unit: Unit, compares: bool) -> _Key:
    plain = rows.get(_plain(unit)) if compares else None
    prompt = prompt_hash(store.plan.prompt(unit))
    return _Key(rows[unit].sha256, plain.sha256 if plain else None, prompt)


def _plain(unit: Unit) -> Unit:
    """The paired control of a picture."""
    return unit._replace(condition=PLAIN)


def prompt_hash(prompt: Prompt) -> str:
    """SHA-256 over a prompt and all that it wants; its id does not count."""
    data = asdict(prompt)
    del data["id"]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _short(identity: Mapping[str, str], metrics: Sequence[Metric]) -> str:
    """Eight letters that tell identities apart, and versions that measure other things."""
    text = json.dumps([dict(identity), [asdict(metric) for metric in metrics]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _header(scorer: Scorer) -> str:
    return json.dumps(
        {
            "schema": SCHEMA,
            "scorer": scorer.name,
            "compares_to_plain": scorer.compares_to_plain,
            "identity": dict(scorer.identity),
            "metrics": [asdict(metric) for metric in scorer.metrics],
        }
    )


def _line(key: _Key, judgement: Judgement) -> str:
    return json.dumps({**key._asdict(), **asdict(judgement)}, allow_nan=False)


def _read_header(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return _parsed_header(path, file.readline())


def _parsed_header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line)
        is_ours = head["schema"] == SCHEMA and isinstance(head["compares_to_plain"], bool)
        is_ours = is_ours and isinstance(head["scorer"], str)
        metrics = [Metric(**metric) for metric in head["metrics"]]
        is_ours = is_ours and path.stem == f"{head['scorer']}-{_short(head['identity'], metrics)}"
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ValueError(
            f"{str(path)!r} holds no scores that this version of adhere can read; move it away, "
            "and `adhere evaluate score` scores the run again."
        )
    return head


def _known(path: Path, data: bytes) -> dict[_Key, Judgement]:
    """What a file of scores says; a last line that was not written to its end is left out."""
    known = {}
    for number, line in enumerate(data.split(b"\n")[1:-1], 2):
        try:
            entry = json.loads(line)
            key = _Key(entry["picture"], entry["plain"], entry["prompt"])
            known[key] = Judgement(_numbers(entry["values"]), dict(entry["details"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(
                f"Line {number} of {str(path)!r} was not written by adhere; move the file away, "
                "and `adhere evaluate score` scores the run again."
            ) from None
    return known


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    numbers = {name: None if value is None else float(value) for name, value in values.items()}
    if not all(value is None or math.isfinite(value) for value in numbers.values()):
        raise ValueError("a score is no number")
    return numbers


@contextmanager
def _writing(path: Path, header: str) -> Iterator[dict[_Key, Judgement]]:
    """What is known already, while no other process writes to the same file."""
    import filelock

    with _telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ValueError(
                f"Another process is writing to {str(path)!r}; wait until it ends."
            ) from None
    try:
        if not path.exists():
            _create(path, header)
        data = path.read_bytes()
        _parsed_header(path, data.partition(b"\n")[0])
        whole = data[: data.rfind(b"\n") + 1]
        known = _known(path, whole)
        if len(whole) < len(data):
            with _telling(path):
                os.truncate(path, len(whole))
        yield known
    finally:
        lock.release()


def _create(path: Path, header: str) -> None:
    with _telling(path):
        write_whole(path, f"{header}\n".encode())


def _append(path: Path, lines: Sequence[str]) -> None:
    with _telling(path):
        append_whole(path, "".join(line + "\n" for line in lines).encode())


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the file system name the file, and say what became of the rest."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}. What was scored before is kept; once the folder can be written "
            "to, the same command goes on",
            str(path),
        ) from error
