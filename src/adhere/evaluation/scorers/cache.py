"""Scores of a run, kept beside its images: no image is scored twice.

    RUN/scores.sqlite

A scorer is known by its name and eight hexadecimal digits of its identity. An image is known by
its content, its prompt and, where the scorer compares, the content of the baseline image. So an
image that was drawn again and is another one is scored again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from adhere.evaluation.database import Database
from adhere.evaluation.outcomes import Row
from adhere.evaluation.plan import BASELINE, Unit
from adhere.evaluation.scorers.base import Judgement, Metric, Scorer
from adhere.evaluation.sets.prompt import Prompt
from adhere.evaluation.store import Store

if TYPE_CHECKING:
    import pandas

DATABASE = "scores.sqlite"
COLUMNS = (
    "condition", "set", "prompt", "seed", "scorer", "metric", "group", "higher_is_better", "value",
)  # fmt: skip

_SCHEMA = """
CREATE TABLE scorers (name TEXT PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE scores (
    scorer TEXT NOT NULL REFERENCES scorers,
    image TEXT NOT NULL, plain TEXT NOT NULL, prompt TEXT NOT NULL,
    "values" TEXT NOT NULL, details TEXT NOT NULL,
    PRIMARY KEY (scorer, image, plain, prompt)
);
"""
_SCORERS = "SELECT name, facts FROM scorers ORDER BY name"
_INSERT_SCORER = "INSERT OR REPLACE INTO scorers VALUES (?, ?)"
_INSERT = "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = 'SELECT image, plain, prompt, "values", details FROM scores WHERE scorer = ?'
_KEPT = (
    "What was scored before is kept; once the folder can be written to, the same command goes on"
)

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
        judgements: of each image that was scored, failed ones included.
    """

    name: str
    scorer: str
    identity: Mapping[str, str]
    metrics: tuple[Metric, ...]
    judgements: Mapping[Unit, Judgement]


class _Key(NamedTuple):
    """What a judgement depends on besides the scorer: hashes, empty where there is no image."""

    image: str
    baseline: str
    prompt: str


def score(store: Store, scorer: Scorer, on_progress: OnProgress | None = None) -> None:
    """Scores every image of a run that this scorer has not scored yet.

    Each batch is on disk before the next one is begun; killed at any moment, it goes on there.
    Batches are those that were drawn together, so that a score never depends on kills.

    Args:
        store: the run; what is drawn of it so far is scored.
        scorer: what scores.
        on_progress: called with the images that are done and all of them, at the beginning and
            after each batch.

    Raises:
        ValueError: an image is missing or altered; another process is scoring with the same
            scorer; the database was changed; a score is no finite number.
        OSError: the folder cannot be written to, or the disk is full; what was scored is kept.
    """
    name = f"{scorer.name}-{_short(scorer.identity, scorer.metrics)}"
    database = _database(store)
    with database.writing(f".{name}.lock", f"scoring {str(store.folder)!r} with {scorer.name}"):
        database.write([(_INSERT_SCORER, [(name, _facts(scorer))])])
        known = _known(database, name)
        rows = {row.unit: row for row in store.rows()}
        batches = [batch.units for batch in store.plan.batches if batch.units[0] in rows]
        done, total = 0, len(rows)
        if on_progress is not None:
            on_progress(done, total)
        for units in batches:
            wanted = [
                (unit, _key(store, rows, unit, scorer.compares_to_baseline)) for unit in units
            ]
            if any(key not in known for _, key in wanted):
                judgements = _judged(store, rows, scorer, wanted)
                fresh = {k: j for k, j in judgements.items() if k not in known}
                values = [(name, *key, *_values(judged)) for key, judged in fresh.items()]
                database.write([(_INSERT, values)])
                known.update(fresh)
            done += len(units)
            if on_progress is not None:
                on_progress(done, total)


def scored(store: Store) -> list[Scored]:
    """The scores of a run, a scorer at a time, by name.

    Raises:
        ValueError: the database was changed by hand or is of another version.
    """
    rows = {row.unit: row for row in store.rows()}
    database = _database(store)
    heads = {name: _parsed_facts(database, name, facts) for name, facts in database.read(_SCORERS)}
    names = [head["scorer"] for head in heads.values()]
    found = []
    for name, head in heads.items():
        known = _known(database, name)
        keys = {unit: _key(store, rows, unit, head["compares_to_plain"]) for unit in rows}
        judgements = {unit: known[key] for unit, key in keys.items() if key in known}
        shown = name if names.count(head["scorer"]) > 1 else head["scorer"]
        metrics = tuple(Metric(**metric) for metric in head["metrics"])
        found.append(Scored(shown, head["scorer"], head["identity"], metrics, judgements))
    return found


def read(store: Store) -> pandas.DataFrame:
    """All scores of a run, a row for each image and metric.

    Returns:
        Columns condition, set, prompt, seed, scorer, metric, group, higher_is_better, value. An
        image that a metric does not apply to has no row for it.

    Raises:
        ValueError: pandas is missing, or the database was changed.
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
        if not key.image:
            judgements[key] = scorer.judge_failed(store.plan.prompt(unit))
        else:
            baseline = store.image(rows[_baseline(unit)]) if key.baseline else None
            shown.append((key, store.image(rows[unit]), store.plan.prompt(unit), baseline))
    if shown:
        keys, images, prompts, baseline = zip(*shown, strict=True)
        said = scorer.judge(images, prompts, baseline)
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


def _key(store: Store, rows: Mapping[Unit, Row], unit: Unit, compares: bool) -> _Key:
    baseline = rows.get(_baseline(unit)) if compares else None
    prompt = prompt_hash(store.plan.prompt(unit))
    return _Key(rows[unit].sha256 or "", (baseline and baseline.sha256) or "", prompt)


def _baseline(unit: Unit) -> Unit:
    """The paired baseline of an image."""
    return unit._replace(condition=BASELINE)


def prompt_hash(prompt: Prompt) -> str:
    """SHA-256 over a prompt and all that it wants; its id does not count."""
    data = asdict(prompt)
    del data["id"]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _short(identity: Mapping[str, str], metrics: Sequence[Metric]) -> str:
    """Eight letters that tell identities apart, and versions that measure other things."""
    text = json.dumps([dict(identity), [asdict(metric) for metric in metrics]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _database(store: Store) -> Database:
    return Database(store.folder / DATABASE, _SCHEMA, _KEPT)


def _facts(scorer: Scorer) -> str:
    """All that tells a scorer from others."""
    return json.dumps(
        {
            "scorer": scorer.name,
            "compares_to_plain": scorer.compares_to_baseline,
            "identity": dict(scorer.identity),
            "metrics": [asdict(metric) for metric in scorer.metrics],
        }
    )


def _values(judgement: Judgement) -> tuple[str, str]:
    return (
        json.dumps(judgement.values, allow_nan=False),
        json.dumps(dict(judgement.details), allow_nan=False),
    )


def _parsed_facts(database: Database, name: str, facts: str) -> dict[str, Any]:
    try:
        head = json.loads(facts)
        metrics = [Metric(**metric) for metric in head["metrics"]]
        is_ours = isinstance(head["compares_to_plain"], bool)
        is_ours = is_ours and name == f"{head['scorer']}-{_short(head['identity'], metrics)}"
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise _changed(database, f"scorer {name!r}")
    return head


def _known(database: Database, name: str) -> dict[_Key, Judgement]:
    """What a scorer has said."""
    known = {}
    for image, baseline, prompt, values, details in database.read(_SELECT, (name,)):
        try:
            judgement = Judgement(_numbers(json.loads(values)), dict(json.loads(details)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise _changed(database, f"score of image {image[:8]} by {name!r}") from None
        known[_Key(image, baseline, prompt)] = judgement
    return known


def _changed(database: Database, what: str) -> ValueError:
    return ValueError(
        f"The {what} in {str(database.path)!r} was not written by adhere; move the file away, and "
        "`adhere evaluate score` scores the run again."
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    numbers = {name: None if value is None else float(value) for name, value in values.items()}
    if not all(value is None or math.isfinite(value) for value in numbers.values()):
        raise ValueError("a score is not finite")
    return numbers
