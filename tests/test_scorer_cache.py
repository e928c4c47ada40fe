import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pandas
import pytest
from PIL import Image

from adhere.evaluation.outcomes import drawn, failed
from adhere.evaluation.plan import Condition, Plan, Unit
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.scorers import Judgement, Metric, Scorer, cache
from adhere.evaluation.store import Store
from adhere.methods import AttendAndExcite
from runs import change

PROMPTS = (
    Prompt("p-0", "a cat and a frog", (Wanted("cat"), Wanted("frog"))),
    Prompt("p-1", "a red car", (Wanted("car", "red"),)),
)
SEEDS = (3, 5)


class Redness(Scorer):
    """Counts how often it is asked, which a cache must keep low."""

    name = "redness"
    metrics = (
        Metric("red", "alignment", True, "How red the first pixel is.", 0.0),
        Metric("dark", "mixing", False, "Never applies."),
    )
    identity = {"model": "none", "precision": "exact"}

    def __init__(self):
        self.asked = 0

    def judge(self, images, prompts, baseline):
        self.asked += len(images)
        return [
            Judgement({"red": p.getpixel((0, 0))[0] / 255, "dark": None}, {"size": list(p.size)})
            for p in images
        ]


class Change(Redness):
    name = "change"
    compares_to_baseline = True

    def judge(self, images, prompts, baseline):
        self.asked += len(images)
        return [
            Judgement(
                {"red": None if b is None else a.getpixel((0, 0))[0] - b.getpixel((0, 0))[0]}
                | {"dark": None}
            )
            for a, b in zip(images, baseline, strict=True)
        ]


def plan():
    prompts = PromptSet("own", "test", PROMPTS)
    conditions = (Condition.of("attend", AttendAndExcite()),)
    return Plan("mini", conditions, (prompts,), SEEDS, size=(8, 8), batch_size=2)


def colour(unit: Unit) -> int:
    return 10 * (unit.seed + 10 * (unit.prompt == "p-1")) + 7 * (unit.condition == "none")


def fill(store: Store, batches=None, colour=colour, fails=()):
    with store.writing():
        for batch in store.missing() if batches is None else batches:
            store.keep(
                [
                    failed(store.plan, unit, "out of memory", batch=batch.seeds)
                    if unit in fails
                    else drawn(
                        store.plan,
                        unit,
                        Image.new("RGB", (8, 8), (colour(unit), 0, 0)),
                        batch=batch.seeds,
                    )
                    for unit in batch.units
                ]
            )


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "run", plan())
    fill(store)
    return store


def path_of(store):
    return store.folder / "scores.sqlite"


def scores_of(store):
    """All that the database says, in the order of its keys."""
    with closing(sqlite3.connect(path_of(store))) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
            for table in ("scorers JOIN scores ON name = scorer", "scores")
        ]


def assert_the_rest_is_scored(store, left, tmp_path):
    """Scoring goes on after the rows that are left, to what an undisturbed run gives."""
    scorer = Redness()
    cache.score(store, scorer)
    assert scorer.asked == 8 - left
    other = Store.create(tmp_path / "undisturbed", plan())
    fill(other)
    cache.score(other, Redness())
    assert scores_of(store) == scores_of(other)


def test_every_image_has_the_scorers_number_and_nothing_else_is_there(store):
    scorer = Redness()
    cache.score(store, scorer)
    frame = cache.read(store)
    assert list(frame.columns) == list(cache.COLUMNS)
    assert len(frame) == len(store.plan.units) == 8
    assert set(frame["metric"]) == {"red"}
    assert frame["higher_is_better"].all() and set(frame["group"]) == {"alignment"}
    for row in frame.itertuples():
        unit = Unit(row.condition, row.set, row.prompt, row.seed)
        assert row.value == colour(unit) / 255
    assert isinstance(frame, pandas.DataFrame)
    assert frame["value"].dtype == "float64" and frame["seed"].dtype == "int64"


def test_nothing_is_scored_twice(store):
    cache.score(store, Redness())
    before = scores_of(store)
    again = Redness()
    cache.score(store, again)
    assert again.asked == 0
    assert scores_of(store) == before


def test_progress_goes_from_nothing_to_all(store):
    told = []
    cache.score(store, Redness(), lambda done, total: told.append((done, total)))
    assert told == [(n, 8) for n in (0, 2, 4, 6, 8)]


def test_a_run_that_went_on_is_scored_where_it_is_new(tmp_path):
    store = Store.create(tmp_path / "run", plan())
    fill(store, store.missing()[:1])
    scorer = Redness()
    cache.score(store, scorer)
    assert scorer.asked == 2 and len(cache.read(store)) == 2
    fill(store)
    cache.score(store, scorer)
    assert scorer.asked == 8 and len(cache.read(store)) == 8


def test_a_failed_image_counts_as_a_miss_where_the_metric_says_so(tmp_path):
    store = Store.create(tmp_path / "run", plan())
    lost = Unit("attend", "own", "p-0", 3)
    fill(store, fails={lost})
    scorer = Redness()
    cache.score(store, scorer)
    assert scorer.asked == 7
    frame = cache.read(store)
    row = frame[(frame.condition == "attend") & (frame.prompt == "p-0") & (frame.seed == 3)]
    assert row.value.tolist() == [0.0]


def test_a_comparing_scorer_gets_the_baseline_image_of_the_same_prompt_and_seed(store):
    cache.score(store, Change())
    frame = cache.read(store)
    assert frame[frame.condition == "none"].value.tolist() == [0] * 4
    assert frame[frame.condition == "attend"].value.tolist() == [-7] * 4


def test_where_the_baseline_image_failed_there_is_nothing_to_compare_with(tmp_path):
    store = Store.create(tmp_path / "run", plan())
    fill(store, fails={Unit("none", "own", "p-0", 3)})
    cache.score(store, Change())
    frame = cache.read(store)
    lost = frame[(frame.prompt == "p-0") & (frame.seed == 3) & (frame.condition == "attend")]
    assert lost.empty
    assert len(frame[frame.condition == "attend"]) == 3


def test_an_altered_or_missing_image_is_refused_and_what_was_scored_stays(store):
    batch = store.plan.batches[2]
    path = store.path(batch.units[0])
    whole = path.read_bytes()
    Image.new("RGB", (8, 8), (255, 255, 255)).save(path)
    with pytest.raises(ValueError, match="altered since it was drawn.*--repair"):
        cache.score(store, Redness())
    assert len(cache.read(store)) == 4
    path.unlink()
    with pytest.raises(ValueError, match="is missing.*--repair"):
        cache.score(store, Redness())
    path.write_bytes(whole)
    scorer = Redness()
    cache.score(store, scorer)
    assert scorer.asked == 4 and len(cache.read(store)) == 8


def test_an_image_that_was_drawn_anew_and_is_another_is_scored_anew(store):
    cache.score(store, Redness())
    batch = store.plan.batches[0]
    fill(store, [batch], colour=lambda unit: 200)
    scorer = Redness()
    cache.score(store, scorer)
    assert scorer.asked == 2
    frame = cache.read(store)
    changed = frame[(frame.condition == batch.condition) & (frame.prompt == batch.prompt)]
    assert changed.value.tolist() == [200 / 255] * 2
    assert len(frame) == 8


def test_another_identity_is_another_file_and_another_name(store):
    cache.score(store, Redness())
    other = Redness()
    other.identity = {**Redness.identity, "precision": "half"}
    cache.score(store, other)
    assert other.asked == 8
    found = cache.scored(store)
    assert len({one.name for one in found}) == 2
    assert {one.scorer for one in found} == {"redness"}
    assert {one.identity["precision"] for one in found} == {"exact", "half"}
    assert len(cache.read(store)) == 16


def test_another_set_of_metrics_is_another_file(store):
    cache.score(store, Redness())
    other = Redness()
    other.metrics = (replace(Redness.metrics[0], description="Otherwise."), Redness.metrics[1])
    cache.score(store, other)
    assert other.asked == 8


def test_what_was_said_of_an_image_is_kept_with_its_number(store):
    cache.score(store, Redness())
    (one,) = cache.scored(store)
    assert one.name == "redness"
    assert set(one.judgements) == set(store.plan.units)
    assert all(j.details == {"size": [8, 8]} for j in one.judgements.values())


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_write_that_is_torn_is_scored_again_and_nothing_else(store, share, tmp_path):
    class Copied(Redness):
        """Copies the run as a kill at its last batch would leave it."""

        def judge(self, images, prompts, baseline):
            if self.asked == 6:
                shutil.copytree(store.folder, tmp_path / "torn")
            return super().judge(images, prompts, baseline)

    cache.score(store, Copied())
    torn = Store.open(tmp_path / "torn")
    log = tmp_path / "torn" / "scores.sqlite-wal"
    os.truncate(log, int(log.stat().st_size * share))
    (tmp_path / "torn" / "scores.sqlite-shm").unlink()
    left = len(cache.read(torn))
    assert left in (0, 2, 4), "half a batch is none"
    scorer = Redness()
    cache.score(torn, scorer)
    assert scorer.asked == 8 - left
    assert scores_of(torn) == scores_of(store)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE scores SET \"values\" = '[1]' WHERE rowid = 2", "score of image"),
        ('UPDATE scores SET "values" = \'{"red": NaN}\' WHERE rowid = 2', "score of image"),
        ("UPDATE scores SET details = '{' WHERE rowid = 2", "score of image"),
        ("UPDATE scorers SET facts = replace(facts, 'exact', 'other')", "scorer 'redness-"),
    ],
)
def test_a_database_that_somebody_changed_is_named(store, statement, said):
    cache.score(store, Redness())
    change(path_of(store), statement)
    with pytest.raises(ValueError, match=f"The {said}.*was not written by adhere; move the file"):
        cache.read(store)
    path_of(store).unlink()
    cache.score(store, Redness())
    assert len(cache.read(store)) == 8


def test_what_is_no_number_is_never_written(store):
    class Broken(Redness):
        def judge(self, images, prompts, baseline):
            return [Judgement({"red": float("nan"), "dark": None}) for _ in images]

    with pytest.raises(ValueError, match="gave nan as red"):
        cache.score(store, Broken())
    assert cache.read(store).empty


def test_two_processes_never_write_one_file(store):
    class Nested(Redness):
        def judge(self, images, prompts, baseline):
            with pytest.raises(ValueError, match="Another process is scoring"):
                cache.score(store, Redness())
            return super().judge(images, prompts, baseline)

    nested = Nested()
    cache.score(store, nested)
    assert nested.asked == 8 and len(cache.read(store)) == 8


@pytest.mark.parametrize("room", [1, 5000, 9000])
def test_a_file_that_cannot_grow_leaves_what_was_scored(store, tmp_path, room):
    """Part of a batch fits, and none of it stays."""

    class Limited(Redness):
        def judge(self, images, prompts, baseline):
            if self.asked == 4:
                log = path_of(store).with_name("scores.sqlite-wal")
                resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + room, hard))
            return super().judge(images, prompts, baseline)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="What was scored before is kept"):
            cache.score(store, Limited())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = len(cache.read(store))
    assert left >= 4 and left % 2 == 0
    assert_the_rest_is_scored(store, left, tmp_path)


def test_a_run_without_scores_has_an_empty_table(store):
    frame = cache.read(store)
    assert frame.empty and list(frame.columns) == list(cache.COLUMNS)


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from test_scorer_cache import Redness
from adhere.evaluation.scorers import cache
from adhere.evaluation.store import Store

class Slow(Redness):
    def judge(self, images, prompts, baseline):
        time.sleep(60 if self.asked >= 4 else 0.15)
        print("judged", flush=True)
        return super().judge(images, prompts, baseline)

cache.score(Store.open({run!r}), Slow())
"""


def test_killed_at_any_moment_it_goes_on_and_ends_as_if_never_killed(store, tmp_path):
    code = SLOW.format(tests=os.path.dirname(__file__), run=str(store.folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.readline()
    time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = len(cache.read(store))
    assert 2 <= left < 8
    assert_the_rest_is_scored(store, left, tmp_path)
