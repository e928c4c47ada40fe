"""Runs on disk: nothing lost, nothing twice, nothing half, and never two runs in one folder."""

import errno
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from adhere.drawing.png import read_recipe
from adhere.drawing.recipe import SchedulerRecipe
from adhere.evaluation.outcomes import failed
from adhere.evaluation.plan import Condition, Plan, Unit, plan_from_json
from adhere.evaluation.prompts import Joined, Prompt, PromptSet, Wanted
from adhere.evaluation.run import draw_run
from adhere.evaluation.store import Store
from adhere.methods import AttendAndExcite
from runs import CROWD, PAIRS, PLAN, change, files, fill, filled, outcomes, small

CHANGES = {
    "model": "another",
    "conditions": (
        Condition("none"),
        Condition.of("attend-and-excite", AttendAndExcite(stop=0.4)),
    ),
    "sets": (PAIRS,),
    "seeds": (0, 1, 2),
    "steps": 49,
    "guidance_scale": 7.0,
    "negative_prompt": "blurry",
    "size": (128, 136),
    "scheduler": SchedulerRecipe("DDIMScheduler", {"beta_start": 0.0009}),
    "dtype": "bfloat16",
    "device": "cuda",
    "batch_size": 3,
    "revision": "abc",
    "weights": "cd" * 32,
    "environment": {**PLAN.environment, "adhere": "0.2.0"},
    "platform": {"pillow": "12.0.0"},
    "baseline_only": ("crowd",),
}


# The plan.


def test_every_setting_is_in_the_fingerprint_and_named_where_it_differs():
    assert set(CHANGES) == set(Plan.__dataclass_fields__)
    for name, value in CHANGES.items():
        changed = replace(PLAN, **{name: value})
        assert changed.fingerprint != PLAN.fingerprint
        said = PLAN.differences(changed)
        assert said and all(line.startswith(name) for line in said), said
    assert PLAN.differences(replace(PLAN)) == []
    text = CROWD.prompts[0]
    other = PromptSet(CROWD.name, CROWD.source, (replace(text, wanted=()), *CROWD.prompts[1:]))
    assert PLAN.differences(replace(PLAN, sets=(PAIRS, other))) == [
        "sets: 'crowd' is not what it was"
    ]
    [line] = PLAN.differences(replace(PLAN, environment=CHANGES["environment"]))
    assert line == "environment adhere: 0.1.0, now 0.2.0"
    assert (
        "stop 0.5, now 0.4"
        in PLAN.differences(replace(PLAN, conditions=CHANGES["conditions"]))[-1]
    )


def test_a_run_that_is_stopped_anywhere_is_balanced():
    batches = PLAN.batches
    assert sorted(PLAN.units) == sorted(
        Unit(condition.name, s.name, prompt.id, seed)
        for condition in PLAN.conditions
        for s in PLAN.sets
        for prompt in s.prompts
        for seed in PLAN.seeds
    )
    conditions = [c.name for c in PLAN.conditions]
    prompts = len(PAIRS.prompts) + len(CROWD.prompts)
    for start in range(0, len(batches), len(conditions)):
        row = batches[start : start + len(conditions)]
        assert [batch.condition for batch in row] == conditions
        assert len({(batch.set, batch.prompt, batch.seeds) for batch in row}) == 1
    rows = batches[:: len(conditions)]
    for turn, seeds in enumerate([(0, 1), (2, 3), (7,)]):
        assert {row.seeds for row in rows[turn * prompts : (turn + 1) * prompts]} == {seeds}
    for stop in range(1, prompts + 1):
        shares = [
            Fraction(sum(row.set == s.name for row in rows[:stop]), len(s.prompts))
            for s in PLAN.sets
        ]
        assert abs(shares[0] - shares[1]) <= Fraction(1, 2)


def test_a_plan_comes_back_from_its_file():
    assert plan_from_json(PLAN.to_json()) == PLAN
    assert plan_from_json(PLAN.to_json()).fingerprint == PLAN.fingerprint
    assert plan_from_json(PLAN.to_json()).conditions[1].built() == (AttendAndExcite(),)


def test_a_plan_keeps_relations_and_older_plans_keep_their_fingerprints():
    joined = Prompt(
        "a", "a cat on a car", (Wanted("cat"), Wanted("car")), relations=(Joined("on", 0, 1),)
    )
    plan = replace(PLAN, sets=(PromptSet("joined", "here", (joined,)),))
    assert plan_from_json(plan.to_json()) == plan
    apart = replace(plan, sets=(PromptSet("joined", "here", (replace(joined, relations=()),)),))
    assert plan.fingerprint != apart.fingerprint
    assert "relations" not in apart.to_json()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["sets"][0]["prompts"][0].update(relations=[{"kind": "on"}]), "no plan"),
        (lambda d: d["sets"][0]["prompts"][0].update(relations=[[0]]), "no plan"),
        (lambda d: d.update(steps=51), "changed by hand"),
        (lambda d: d.update(schema=2), "schema 2"),
        (lambda d: d.pop("seeds"), "`seeds` is missing"),
        (lambda d: d["sets"][0]["prompts"][0].update(id="../../up"), "folder"),
        (lambda d: d["conditions"][1].update(name="a/b"), "folder"),
        (lambda d: d.update(size=["8", "8"]), "size"),
        (lambda d: d.update(seeds=[0, 0]), "seeds"),
        (lambda d: d.update(seeds=[]), "seeds"),
        (lambda d: d["environment"].update(threads="two"), "'two' threads; give a whole number"),
        (lambda d: d.update(sets=7), "no plan"),
        (lambda d: d["sets"][0]["prompts"][0]["wanted"][0].update(count="two"), "count"),
    ],
)
def test_a_plan_of_a_stranger_is_not_believed(change, said, tmp_path):
    data = json.loads(PLAN.to_json())
    change(data)
    (tmp_path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=said) as caught:
        Store.open(tmp_path)
    assert "left alone" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\udcff"])
def test_a_broken_plan_is_told(text, tmp_path):
    (tmp_path / "plan.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="cannot be read"):
        Store.open(tmp_path)


@pytest.mark.parametrize("name", ["report", "scores", "exports", "Two", "a b", "", "-a", ".."])
def test_names_that_cannot_be_folders_are_refused(name):
    with pytest.raises(ValueError, match="folder"):
        replace(PLAN, conditions=(Condition.of(name, AttendAndExcite()),))


def test_the_baseline_control_is_always_there():
    plan = replace(PLAN, conditions=(Condition.of("mine", AttendAndExcite()),))
    assert [c.name for c in plan.conditions] == ["none", "mine"]
    for wrong in (Condition.of("none", AttendAndExcite()), Condition("mine")):
        with pytest.raises(ValueError, match="baseline"):
            replace(PLAN, conditions=(wrong,))


# The store.


def test_what_is_kept_comes_back(tmp_path):
    store = filled(tmp_path / "run")
    assert sorted(files(store.folder)) == sorted(
        [".lock", "plan.json", "plan.toml", "rows"]
        + [f"{u.condition}/{u.set}/{u.prompt}/{u.seed}.png" for u in store.plan.units]
    )
    again = Store.open(store.folder)
    assert again.plan == store.plan and again.missing() == () and again.verify() == []
    assert [row.unit for row in again.rows()] == list(store.plan.units)
    assert [m.unit for m in again.measurements()] == list(store.plan.units)
    for row in again.rows():
        assert row.recipe == read_recipe(again.path(row.unit))
        assert row.text == again.plan.prompt(row.unit).text
        assert row.set_sha256 == PAIRS.sha256


def test_failures_are_rows(tmp_path):
    store = Store.create(tmp_path / "run", small())
    batch = store.missing()[1]
    with store.writing():
        store.keep([failed(store.plan, u, "bad\nluck", batch=batch.seeds) for u in batch.units])
    rows = Store.open(store.folder).rows()
    assert [(row.unit, row.error, row.sha256) for row in rows] == [
        (unit, "bad", None) for unit in batch.units
    ]
    assert store.verify() == [] and store.measurements() == []
    assert batch not in store.missing()


def test_a_write_that_is_torn_at_any_place_is_healed(tmp_path):
    """The write-ahead log, cut as a kill or a power failure may leave it."""
    whole = files(filled(tmp_path / "whole").folder)
    store = Store.create(tmp_path / "run", small())
    with store.writing():
        for batch in store.missing()[:2]:
            store.keep(outcomes(store.plan, batch))
        shutil.copytree(store.folder, tmp_path / "killed")
    log = tmp_path / "killed" / "run.sqlite-wal"
    length = log.stat().st_size
    seen = set()
    for number, cut in enumerate((0, 1, 40, length // 3, length // 2, length - 4096, length - 1)):
        folder = shutil.copytree(tmp_path / "killed", tmp_path / f"torn-{number}")
        (folder / "run.sqlite-shm").unlink()
        os.truncate(folder / "run.sqlite-wal", cut)
        torn = Store.open(folder)
        seen.add(len(torn.rows()))
        assert len(torn.missing()) == len(torn.plan.batches) - len(torn.rows()) // 2
        fill(torn)
        assert files(folder) == whole
        assert [m.unit for m in torn.measurements()] == list(torn.plan.units)
    assert len(seen) > 1 and seen <= {0, 2, 4}, "half a batch is none"


def test_what_a_kill_leaves_is_swept(tmp_path):
    whole = files(filled(tmp_path / "whole").folder)
    store = fill(Store.create(tmp_path / "run", small()), most=3)
    for left in (".report.part", "none/pairs/cat-frog/.1.png.part", ".plan.json.part"):
        (store.folder / left).write_bytes(b"half")
    fill(Store.open(store.folder))
    assert files(store.folder) == whole


def test_a_kill_before_there_is_a_plan_is_no_obstacle(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".plan.json.part").write_bytes(b"half")
    (tmp_path / "run" / ".lock").touch()
    assert filled(tmp_path / "run").missing() == ()


def test_rows_in_any_order_end_in_the_plans(tmp_path):
    whole = files(filled(tmp_path / "whole").folder)
    store = Store.create(tmp_path / "run", small())
    with store.writing():
        for batch in reversed(store.missing()):
            store.keep(outcomes(store.plan, batch))
    assert files(store.folder) == whole


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE images SET seed = 9 WHERE seed = 1", "no such image"),
        ("UPDATE images SET condition = '../..' WHERE condition = 'none'", "no such image"),
        ("UPDATE images SET batch = '[0]' WHERE seed = 1", "seeds"),
        ("UPDATE images SET batch = '[' WHERE seed = 1", "not written by this run"),
        ("UPDATE images SET error = 'none of it' WHERE seed = 1", "either an image or an error"),
        ("UPDATE images SET subjects = '[{}]' WHERE seed = 1", "not written by this run"),
        ("UPDATE images SET subjects_from = 'me' WHERE seed = 1", "'me'"),
        ("PRAGMA user_version = 7", "version 7"),
        ("ALTER TABLE images RENAME TO others", "no such table"),
    ],
)
def test_a_database_that_was_changed_is_told(statement, said, tmp_path):
    store = filled(tmp_path / "run")
    before = files(store.folder)
    del before["rows"]
    change(store.folder / "run.sqlite", statement)
    for attempt in (
        lambda: Store.open(store.folder).rows(),
        lambda: draw_run(Store.open(store.folder), None),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            attempt()
        assert "run.sqlite" in str(caught.value) and "folder" in str(caught.value)
        assert "\n" not in str(caught.value)
    for path, data in before.items():
        assert (store.folder / path).read_bytes() == data


@pytest.mark.parametrize("data", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_database_is_told(data, tmp_path):
    store = filled(tmp_path / "run")
    (store.folder / "run.sqlite").write_bytes(data)
    with pytest.raises(ValueError, match="run.sqlite.*cannot be read.*folder"):
        Store.open(store.folder).rows()
    with pytest.raises(ValueError, match="run.sqlite.*cannot be read"):
        fill(Store.open(store.folder))
    assert (store.folder / "run.sqlite").read_bytes() == data


def test_an_image_that_was_drawn_again_has_one_row(tmp_path):
    """As when a repair was killed after it had drawn what failed before."""
    store = filled(tmp_path / "run")
    whole, batch = store.rows(), store.plan.batches[0]
    with store.writing():
        store.keep([failed(store.plan, u, "no memory", batch=batch.seeds) for u in batch.units])
    assert [row.unit for row in store.rows() if row.error] == list(batch.units)
    assert len(store.rows()) == len(whole) and len(store.measurements()) == len(whole) - 2
    with store.writing():
        store.keep(outcomes(store.plan, batch))
    assert Store.open(store.folder).rows() == whole


def test_a_finished_run_is_read_where_nothing_can_be_written(tmp_path):
    store = filled(tmp_path / "run")
    assert sorted(p.name for p in store.folder.glob("run.sqlite*")) == ["run.sqlite"]
    with store.writing():
        assert Store.open(store.folder).rows() == store.rows(), "readers do not wait"
    assert sorted(p.name for p in store.folder.glob("run.sqlite*")) == ["run.sqlite"]


def test_missing_and_altered_images_are_found_and_drawn_again(tmp_path):
    store = filled(tmp_path / "run")
    whole = files(store.folder)
    gone, changed = store.plan.units[2], store.plan.units[5]
    store.path(gone).unlink()
    data = bytearray(store.path(changed).read_bytes())
    data[-20] ^= 1
    store.path(changed).write_bytes(data)
    damaged = Store.open(store.folder).verify()
    assert [(one.unit, one.kind) for one in damaged] == [(gone, "missing"), (changed, "altered")]
    assert store.missing() == ()
    again = store.missing([gone, changed])
    assert [batch.units[0] for batch in again] == [store.plan.units[2], store.plan.units[4]]
    with store.writing():
        for batch in again:
            store.keep(outcomes(store.plan, batch))
    assert files(store.folder) == whole and store.verify() == []


def test_runs_are_never_mixed(tmp_path):
    store = fill(Store.create(tmp_path / "run", small()), most=2)
    before = files(store.folder, without=())
    for changed, said in (
        (small(steps=20), "steps: 50, now 20"),
        (small(environment={**PLAN.environment, "adhere": "0.9.0"}), "adhere: 0.1.0, now 0.9.0"),
    ):
        with pytest.raises(ValueError, match="other settings") as caught:
            Store.create(store.folder, changed)
        assert said in str(caught.value)
    assert files(store.folder, without=()) == before
    assert Store.create(store.folder, small()).rows() == store.rows()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    with pytest.raises(ValueError, match="thesis.txt"):
        Store.create(tmp_path / "home", small())
    with pytest.raises(ValueError, match="is no run"):
        Store.open(tmp_path / "home")


def _hold(folder, begun):
    with Store.open(folder).writing():
        begun.set()
        time.sleep(30)


def test_two_processes_do_not_draw_into_one_folder(tmp_path):
    store = fill(Store.create(tmp_path / "run", small()), most=1)
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    other = context.Process(target=_hold, args=(store.folder, begun))
    other.start()
    try:
        assert begun.wait(20)
        with pytest.raises(ValueError, match="Another process is drawing"):
            fill(Store.open(store.folder))
        assert len(store.rows()) == 2, "reading is free"
        other.kill()
        other.join()
        assert fill(store).missing() == (), "a kill leaves no lock behind"
    finally:
        other.kill()


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems can be mounted by root only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(tiny_disk, tmp_path):
    whole = files(filled(tmp_path / "whole").folder)
    run = tiny_disk / "run"
    ballast = tiny_disk / "ballast"
    store = Store.create(run, small())
    # Wherever the disk becomes full: in the database as it begins, in its log, in an image.
    failures = 0
    for room in range(4096, 1 << 18, 4096):
        free = os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_bsize
        ballast.write_bytes(b"\0" * max(free - room, 0))
        before = store.rows()
        try:
            fill(Store.open(run))
            break
        except OSError as error:
            failures += 1
            assert error.errno == errno.ENOSPC and str(run) in error.filename
            assert "No space left on device" in error.strerror and "kept" in error.strerror
        assert list(run.rglob("*.part")) == []
        # SQLite needs room for an index even to read a log.
        ballast.unlink()
        now = Store.open(run)
        assert now.rows()[: len(before)] == before and now.verify() == []
    assert failures > 5 and Store.open(run).verify() == []
    assert files(run) == whole


def test_a_file_that_cannot_grow_is_an_error_that_can_be_mended(tmp_path):
    whole = files(filled(tmp_path / "whole").folder)
    store = fill(Store.create(tmp_path / "run", small()), most=2)
    before = files(store.folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, ((store.folder / "run.sqlite").stat().st_size // 2, hard)
    )
    try:
        with pytest.raises(OSError, match="run.sqlite") as caught:
            fill(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EIO and "kept" in caught.value.strerror
    assert files(store.folder)["rows"] == before["rows"], "no half of a batch stays"
    assert files(fill(store).folder) == whole


def _as_nobody(folder, said):
    os.setgid(65534)
    os.setuid(65534)
    for attempt in (
        lambda: fill(Store.open(folder)),
        lambda: Store.create(Path(folder).parent / "new", small()),
    ):
        try:
            attempt()
        except OSError as error:
            said.put((error.errno, error.filename, error.strerror))
        else:
            said.put(None)


def test_an_unwritable_folder_is_told(tmp_path):
    if os.getuid():
        pytest.skip("only root can become somebody else")
    store = fill(Store.create(tmp_path / "run", small()), most=1)
    before = files(store.folder)
    for place in (store.folder, *store.folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    # Folders above must be open to whoever comes.
    for place in tmp_path.parents:
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    other = context.Process(target=_as_nobody, args=(store.folder, said))
    other.start()
    for name in ("run", "new"):
        code, filename, told = said.get(timeout=20)
        assert code == errno.EACCES and name in filename and "kept" in told
    other.join()
    assert files(store.folder) == before
    assert fill(store).missing() == ()
