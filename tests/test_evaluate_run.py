"""Runs with a model: images are draw's own, and what stops a run does not change them."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adhere.cli import main
from adhere.drawing import draw
from adhere.drawing.loading import load
from adhere.drawing.png import read_recipe
from adhere.evaluation.pace import Pace, affordable
from adhere.evaluation.plan import Condition
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.store import Store
from adhere.methods import (
    SAGA,
    AttendAndExcite,
    AttentionRegulation,
    DivideAndBind,
    InitNO,
    TokenReweighting,
    make,
)
from adhere.methods.watch import Watch
from doors import saved
from families import FAMILIES
from runs import PAIRS, files, fill, small

NURSED = AttendAndExcite(max_refinements=1)
CONDITIONS = (Condition.of("nursed", NURSED), Condition.of("words", TokenReweighting()))
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    return load(saved(), device="cpu")


@pytest.fixture(scope="module")
def plan(model):
    return plan_run(model, CONDITIONS, (PAIRS,), seeds=(0, 4), steps=2, batch_size=2)


@pytest.fixture(scope="module")
def whole(model, plan, tmp_path_factory):
    """A finished run that nothing disturbed."""
    store = Store.create(tmp_path_factory.mktemp("whole") / "run", plan)
    assert draw_run(store, model).is_finished
    return store


def test_images_are_those_of_draw(model, whole):
    for batch in whole.plan.batches:
        methods = whole.plan.condition(batch.condition).built()
        prompt = whole.plan.prompt(batch)
        drawing = draw(
            prompt.text, model=model, method=methods or None, seeds=batch.seeds, steps=2
        )
        for unit, image, recipe in zip(batch.units, drawing.images, drawing.recipes, strict=True):
            stored = Image.open(whole.path(unit))
            assert (np.asarray(stored) == np.asarray(image)).all()
            assert read_recipe(whole.path(unit)) == recipe


def test_a_method_that_moves_nothing_gives_the_baseline_image_of_its_seed(model, tmp_path):
    still = Condition.of("still", AttendAndExcite(step_size=0, refine_at=()))
    plan = plan_run(model, (still,), (PAIRS,), seeds=(0, 4), steps=2)
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, model)
    images = {unit: np.asarray(Image.open(store.path(unit))) for unit in plan.units}
    for unit, image in images.items():
        assert (image == images[unit._replace(condition="none")]).all()
    assert len({image.tobytes() for image in images.values()}) == len(images) // 2


def test_the_attention_of_each_subject_is_kept_with_its_image(model, tmp_path):
    watched = Condition.of("watched", Watch(temperature=None))
    plan = plan_run(model, (watched, *CONDITIONS), (PAIRS,), seeds=(0, 4), steps=2)
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, model)
    kept = Store.open(store.folder).attentions()
    rows = {row.unit: row for row in store.rows()}
    assert {unit.condition for unit in kept} == {"watched", "nursed"}
    for unit, one in kept.items():
        assert one.subjects == tuple(s.text for s in rows[unit].recipe.subjects) != ()
    unit = next(unit for unit in kept if unit.condition == "watched")
    drawing = draw(
        plan.prompt(unit).text, model=model, method=Watch(temperature=None), seeds=(0, 4), steps=2
    )
    assert kept[unit].steps == (0, 1)
    np.testing.assert_allclose(kept[unit].means, drawing.trace.means(0), rtol=1e-3)
    np.testing.assert_allclose(kept[unit].peaks, drawing.trace.peaks(0), rtol=1e-3)
    baseline = store.path(unit._replace(condition="none"))
    assert (np.asarray(Image.open(store.path(unit))) == np.asarray(Image.open(baseline))).all()


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of the finished run, which may be damaged."""
    return Store.open(shutil.copytree(whole.folder, tmp_path / "run"))


class Stop(Exception):
    """Stands for whatever ends a run."""


def test_a_run_that_stops_after_any_batch_goes_on(model, plan, whole, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    batches = len(plan.batches)
    for turn in range(batches):
        calls = []

        def after_one(progress, calls=calls):
            calls.append(progress)
            if len(calls) == 2:
                raise Stop

        with pytest.raises(Stop):
            draw_run(store, model, on_progress=after_one)
        assert calls[0].done == 2 * turn and calls[1].done == 2 * turn + 2
        assert calls[1].total == len(plan.units)
    assert draw_run(store, model).is_finished
    assert files(store.folder) == files(whole.folder)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "kills.py"), str(tmp_path), "20", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    assert sum(map(len, runs)) == 20 and all(rows == sorted(rows) for rows in runs)
    calm = Store.open(tmp_path / "calm")
    assert any(row.error for row in calm.rows()) and not calm.missing()
    for number in range(len(runs)):
        killed = Store.open(tmp_path / f"killed-{number}")
        assert files(killed.folder) == files(calm.folder)
        units = [m.unit for m in calm.measurements()]
        assert [m.unit for m in killed.measurements()] == units
    places = {count for rows in runs for count in rows}
    assert len(places) > 2, "kills met the run at many places"


def test_failures_of_an_image_are_rows_and_the_run_goes_on(model, tmp_path):
    prompts = PromptSet("s", "these tests", (Prompt("none", "and", ()), PAIRS.prompts[0]))
    broken = Condition.of("broken", AttendAndExcite(step_size=1e38, max_refinements=0))
    plan = plan_run(model, (broken,), (prompts,), seeds=(0, 1), steps=2)
    store = Store.create(tmp_path / "run", plan)
    progress = draw_run(store, model)
    assert progress.is_finished and progress.failures == 4
    rows = {row.unit: row for row in store.rows()}
    assert len(rows) == 8
    for unit, row in rows.items():
        if unit.condition == "none":
            assert row.error is None and row.sha256
        else:
            assert row.sha256 is None and not store.path(unit).exists()
            kind = "SubjectNotFound: " if unit.prompt == "none" else "NonFiniteLoss: "
            assert row.error.startswith(kind) and "\n" not in row.error
            # An image that spoils its batch is tried alone, so that it spoils no other.
            assert len(row.recipe.batch) == (2 if unit.prompt == "none" else 1)
    assert {m.unit for m in store.measurements()} == {u for u, r in rows.items() if r.sha256}


@pytest.mark.filterwarnings("ignore:.*nursed nothing")
def test_a_prompt_of_one_subject_is_a_failure_of_what_needs_two(model, tmp_path):
    prompts = PromptSet("s", "these tests", (Prompt("one", "a cat", ()), PAIRS.prompts[0]))
    plan = plan_run(
        model, (Condition.of("conform", make("conform")),), (prompts,), seeds=(0,), steps=2
    )
    store = Store.create(tmp_path / "run", plan)
    assert draw_run(store, model).failures == 1
    [row] = [row for row in store.rows() if row.error]
    assert row.unit.prompt == "one" and row.error.startswith("UnfitPrompt: conform needs at least")


@contextmanager
def hungry(model, when):
    """The denoiser asks for more memory than any machine has, where `when(latents)` says so."""

    def ask(_, given):
        if when(given[0]):
            torch.empty(2**60, dtype=torch.uint8)

    # The nursing pass is no call of the whole denoiser, which would run its hooks.
    handle = model.pipe.unet.conv_in.register_forward_pre_hook(ask)
    try:
        yield
    finally:
        handle.remove()


def test_what_does_not_fit_into_memory_is_a_row_and_is_drawn_when_it_fits(
    model, plan, whole, tmp_path
):
    store = Store.create(tmp_path / "run", plan)
    # Baseline images need no gradient.
    with hungry(model, lambda latents: torch.is_grad_enabled()):
        progress = draw_run(store, model)
    assert progress.is_finished and progress.failures == 4
    for row in store.rows():
        assert (row.error is None) == (row.unit.condition != "nursed")
        if row.error is not None:
            assert row.error == "MemoryError: out of memory; a smaller image fits"
            assert row.sha256 is None and not store.path(row.unit).exists()
            assert row.recipe.batch == (row.unit.seed,), "the images of a batch, one by one"
    assert {m.unit.condition for m in store.measurements()} == {"none", "words"}
    told = []
    assert draw_run(store, model, repair=True, on_progress=told.append).failures == 0
    assert [(one.done, one.failures) for one in told] == [(8, 0), (10, 0), (12, 0)]
    assert files(store.folder) == files(whole.folder)


def test_what_fits_into_memory_one_by_one_is_no_failure(model, plan, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    with hungry(model, lambda latents: torch.is_grad_enabled() and len(latents) > 1):
        assert draw_run(store, model).failures == 0
    for row in store.rows():
        assert len(row.recipe.batch) == (1 if row.unit.condition == "nursed" else 2)
    assert Store.open(store.folder).verify() == []


def test_a_repair_that_is_stopped_keeps_what_it_has_not_come_to(model, plan, whole, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    with hungry(model, lambda latents: torch.is_grad_enabled()):
        draw_run(store, model)

    def stop(progress):
        if progress.done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_run(store, model, repair=True, on_progress=stop)
    rows = Store.open(store.folder).rows()
    assert len(rows) == 12 and sum(row.error is not None for row in rows) == 2
    assert draw_run(store, model, repair=True).failures == 0
    assert files(store.folder) == files(whole.folder)


def test_a_run_of_which_nothing_fits_into_memory_is_told(model, plan, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    with hungry(model, lambda latents: True):
        with pytest.raises(ValueError, match="even without a method; give a smaller --batch-size"):
            draw_run(store, model)
        with pytest.raises(ValueError, match="even without a method"):
            plan_run(model, (), (PAIRS,), steps=2)
    assert store.rows() == []


def test_pace_begins_a_prompt_only_where_all_its_conditions_fit(tmp_path):
    store = fill(Store.create(tmp_path / "run", small(batch_size=1)), most=3)
    pending = store.missing()
    for seconds, count in ((2.5, 0), (3.5, len(pending))):
        pace = Pace(seconds / 60)
        pace.begin(store, pending)
        assert len(list(affordable(pending, pace))) == count
        assert pace.progress().seconds_left == pytest.approx(len(pending))
    # Inside a prompt that was begun, a batch needs room for itself alone.
    pace = Pace(1.5 / 60)
    pace.begin(store, pending[1:])
    assert len(list(affordable(pending[2:], pace))) == 1


def test_a_budget_stops_before_the_batch_that_does_not_fit(model, plan, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    progress = draw_run(store, model, minutes=0)
    assert progress.done == 0 and not progress.is_finished
    progress = draw_run(store, model, minutes=60)
    assert progress.is_finished
    assert draw_run(store, model, minutes=0).is_finished


def test_damage_is_told_and_repaired_when_asked(model, plan, whole, copied):
    store = copied
    gone, changed = plan.units[1], plan.units[6]
    store.path(gone).unlink()
    store.path(changed).write_bytes(store.path(plan.units[0]).read_bytes())
    before = files(store.folder)
    with pytest.raises(ValueError, match="2 of the images .* missing .*--repair"):
        draw_run(store, model)
    assert files(store.folder) == before
    assert draw_run(store, model, repair=True).is_finished
    assert files(store.folder) == files(whole.folder) and store.verify() == []


def test_a_machine_that_cannot_repair_loses_nothing(model, plan, copied):
    store = copied
    store.path(plan.units[1]).unlink()
    before = files(store.folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(ValueError, match="threads: .*never mixed"):
            draw_run(store, model, repair=True)
    finally:
        torch.set_num_threads(threads)
    assert files(store.folder) == before


def test_another_model_or_another_number_of_threads_is_refused(model, plan, tmp_path):
    store = Store.create(tmp_path / "run", plan)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(ValueError, match=f"threads: {threads}, now {threads + 1}"):
            draw_run(store, model)
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(ValueError, match="weights: .*never mixed"):
        draw_run(store, load(saved("sd2"), device="cpu"))
    assert store.rows() == []


def test_subjects_are_those_the_set_states_where_the_prompt_has_them(model, tmp_path):
    prompts = (
        Prompt(
            "stated", "a red car beside a cat and a tree", (Wanted("cat"), Wanted("car", "red"))
        ),
        Prompt(
            "shared",
            "a pink old apple and a pink frog",
            (Wanted("apple", "pink", attributes=("old",)), Wanted("frog", "pink")),
        ),
        Prompt("plural", "two cats", (Wanted("cat", count=2),)),
        Prompt("unsaid", "a frog", ()),
    )
    plan = plan_run(
        model, CONDITIONS[1:], (PromptSet("s", "tests", prompts),), seeds=(0,), steps=1
    )
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, model)
    found = {
        (row.unit.condition, row.unit.prompt): (
            row.subjects_from,
            [(s.text, [a.text for a in s.attributes]) for s in row.recipe.subjects],
        )
        for row in store.rows()
    }
    assert found["words", "stated"] == ("prompt set", [("cat", []), ("car", ["red"])])
    assert found["words", "shared"] == (
        "prompt set",
        [("apple", ["pink", "old"]), ("frog", ["pink"])],
    )
    [apple, frog] = next(
        row.recipe.subjects for row in store.rows() if row.unit[:3] == ("words", "s", "shared")
    )
    assert apple.attributes[0].token_indices < frog.attributes[0].token_indices
    assert found["words", "plural"] == ("found", [("cats", [])])
    assert found["words", "unsaid"] == ("found", [("frog", [])])
    assert all(found["none", prompt.id] == ("none", []) for prompt in prompts)


# Operations.


def denoiser_operations(model, method, steps):
    """All operations of the U-Net while an image is drawn, counted while they happen."""
    totals = []
    unet = model.pipe.unet
    forward = unet.forward

    def counted(*args, **kwargs):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            try:
                return forward(*args, **kwargs)
            finally:
                totals.append(counter.get_total_flops())

    unet.forward = counted
    try:
        draw(PAIRS.prompts[0].text, model=model, method=method, seeds=(0,), steps=steps)
    finally:
        del unet.forward
    return sum(totals)


def all_operations(model, method):
    """All operations of drawing an image, gradients too, counted while they happen."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        draw(PAIRS.prompts[0].text, model=model, method=method, seeds=(0,), steps=2)
    return counter.get_total_flops()


@pytest.mark.parametrize("scheduler", ["ddim", "pndm", "heun"])
def test_operations_of_baseline_images_are_counted_exactly(model, scheduler, tmp_path):
    plan = plan_run(model, (), (PAIRS,), seeds=(0, 1), steps=3, scheduler=scheduler)
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, model)
    calls = {"ddim": 3, "pndm": 4, "heun": 5}[scheduler]
    one = denoiser_operations(model, None, 3) // 3
    for taken in store.measurements():
        assert (taken.full_forwards, taken.backwards) == (calls, 0)
        assert taken.flops == calls * one


@pytest.mark.parametrize("kind", ["cogview4", "sd3"])
def test_operations_are_those_of_all_calls_where_guidance_has_its_own(kind, tmp_path):
    FAMILIES[kind].build().save_pretrained(tmp_path / kind)
    loaded = load(tmp_path / kind)
    edits = Condition.of("reweighted", TokenReweighting())
    plan = plan_run(
        loaded, (edits,), (PAIRS,), seeds=(0,), steps=3, guidance_scale=4.0, size=(32, 32)
    )
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, loaded)
    taken = store.measurements()
    calls = {"cogview4": 6, "sd3": 3}[kind]
    assert {m.full_forwards for m in taken} == {calls}
    assert len({m.flops for m in taken}) == 1 and taken[0].flops > 0


def test_operations_of_nursing_are_counted_once_and_multiplied(model, tmp_path):
    chosen = {
        "still": AttendAndExcite(start=0, stop=1, refine_at=()),
        "refined": AttendAndExcite(stop=0.5, refine_at=((0.0, 0.99),), max_refinements=3),
        "finer": DivideAndBind(stop=0.5, refine_at=(), max_refinements=0),
        "searching": SAGA(start=0.0, stop=0.0, rounds=2, draws=3),
        "finding": InitNO(stop=0.0, refine_at=(), least_peak=0.0, most_overlap=1.0),
        "edited": AttentionRegulation(),
    }
    plan = plan_run(
        model,
        [Condition.of(name, method) for name, method in chosen.items()],
        (PromptSet("s", "tests", PAIRS.prompts[:1]),),
        seeds=(0, 1),
        steps=2,
    )
    store = Store.create(tmp_path / "run", plan)
    draw_run(store, model)
    taken = {m.unit.condition: m for m in store.measurements()}
    baseline = taken["none"].flops
    nursing = (taken["still"].flops - baseline) // 2
    assert taken["still"].truncated_forwards == taken["still"].backwards == 2
    assert taken["refined"].truncated_forwards == 4
    assert taken["refined"].flops == baseline + 4 * nursing
    # Two rounds of three draws, and the pass that looks at what was found.
    assert taken["searching"].truncated_forwards == 7
    assert taken["searching"].flops == baseline + 7 * nursing
    # The first noise is good enough, so that its pass needs no gradient.
    found = taken["finding"]
    assert (found.truncated_forwards, found.backwards) == (2, 1)
    assert nursing < found.flops - baseline < 2 * nursing
    assert taken["edited"].flops == baseline and taken["edited"].full_forwards == 2
    # What is counted here while it happens has the smoothing of maps on top, which is little.
    added = all_operations(model, chosen["still"]) - all_operations(model, None)
    assert 2 * nursing == pytest.approx(added, rel=0.02)
    assert 2 * nursing <= added


# The command.


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """Runs a command in an empty folder; gives status, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        status = main(["evaluate", *map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err.splitlines()

    return run


BEGIN = ("run", "RUN", "--model", saved, "--sets", "mine.txt", "--steps", "2", "--seeds", "0-1")


def begin(*more):
    return [word() if callable(word) else word for word in BEGIN] + [
        *("--methods", "none,token-reweighting"),
        *more,
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a run that the command drew."""
    home = tmp_path_factory.mktemp("finished")
    (home / "mine.txt").write_text("a cat and a frog\n")
    words = [str(home / word) if word in ("RUN", "mine.txt") else str(word) for word in begin()]
    assert main(["evaluate", *words]) == 0
    return home


@pytest.fixture
def drawn(finished, tmp_path):
    """A copy of it, in the folder that `shell` is in."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


@pytest.mark.usefixtures("drawn")
def test_a_repair_that_has_no_time_left_says_how_it_goes_on(shell, tmp_path):
    next((tmp_path / "RUN").glob("token-reweighting/*/*/*.png")).unlink()
    status, out, err = shell("run", "RUN", "--repair", "--minutes", "0", "--scorers", "pixels")
    assert (status, err) == (0, [])
    assert out == [
        "2 of 4 images are done; this goes on: adhere evaluate run RUN --repair --scorers pixels"
    ]
    assert shell("run", "RUN", "--repair", "--scorers", "pixels")[0] == 0
    assert Store.open(tmp_path / "RUN").verify() == []


def test_the_command_draws_goes_on_and_refuses_another_run(shell, tmp_path):
    (tmp_path / "mine.txt").write_text("a cat and a frog\n")
    status, out, err = shell(*begin("--minutes", "0"))
    assert (status, err) == (0, [])
    assert out[0] == "0 of 4 images are done; this goes on: adhere evaluate run RUN"
    # Nothing at hand knows what this model draws.
    whole = [
        "4 of 4 images are done",
        "not scored; say which scorers, as in: adhere evaluate run RUN --scorers clip,owlv2",
    ]
    status, out, err = shell("run", "RUN")
    assert (status, out, err) == (0, whole, [])
    assert shell(*begin())[:2] == (0, whole)
    before = files(tmp_path / "RUN", without=())
    for words, told in (
        (begin("--guidance-scale", "3"), "guidance_scale: 7.5, now 3.0"),
        (begin("--batch-size", "1"), "batch_size: 4, now 1"),
        (("run", "RUN", "--steps", "3"), "--sets"),
        (begin("--threads", "7"), "threads"),
    ):
        status, out, err = shell(*words)
        assert status == 2 and len(err) == 1 and told in err[0], err
    (tmp_path / "mine.txt").write_text("a cat and a dog\n")
    status, _, err = shell(*begin())
    assert status == 2 and "sets: 'own-mine' is not what it was" in err[0]
    assert files(tmp_path / "RUN", without=()) == before


def test_the_plan_of_a_finished_run_repeats_it(shell, tmp_path):
    (tmp_path / "mine.txt").write_text("a cat and a frog\n")
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "mine.csv").write_text("prompt\na cat and a frog\n")
    (tmp_path / "plans" / "two.toml").write_text(
        f"""
        model = '{saved()}'
        sets = ["mine.csv"]
        seeds = [0, 1]
        steps = 2
        threads = 1
        [[conditions]]
        name = "both"
        [[conditions.methods]]
        name = "attend-and-excite"
        parameters = {{ step_size = 40, max_refinements = 1 }}
        [[conditions.methods]]
        name = "divide-and-bind"
        weight = 0.5
        [[conditions.methods]]
        name = "token-reweighting"
        """
    )
    status, out, err = shell("run", "plans/two.toml", "--out", "RUN", "--scorers", "pixels")
    assert (status, err) == (0, []) and out[0] == "4 of 4 images are done"
    status, _, err = shell("run", "RUN/plan.toml")
    assert status == 2 and "--out" in err[0]
    assert (tmp_path / "RUN/report/plan.toml").read_bytes() == (
        tmp_path / "RUN/plan.toml"
    ).read_bytes()
    again = ("run", "RUN/report/plan.toml", "--out", "AGAIN", "--scorers", "pixels")
    status, out, err = shell(*again)
    assert (status, err) == (0, []) and not [line for line in out if "not as in" in line]
    first, second = (files(tmp_path / name) for name in ("RUN", "AGAIN"))
    others = ("scores.sqlite", "report/")  # They hold seconds.
    kept = [{k: v for k, v in one.items() if not k.startswith(others)} for one in (first, second)]
    assert kept[0] == kept[1] and len(kept[0]) > 5
    plan = (tmp_path / "RUN/plan.toml").read_text().replace('torch = "', 'torch = "0.')
    (tmp_path / "other.toml").write_text(re.sub('fingerprint = "..', 'fingerprint = "xx', plan))
    status, out, err = shell("run", "other.toml", "--minutes", "0")
    assert status == 0 and out[0].startswith("not as in the run that the plan repeats: torch: 0.")


@pytest.mark.usefixtures("drawn")
def test_the_command_tells_of_damage_and_repairs(shell, tmp_path):
    store = Store.open(tmp_path / "RUN")
    before = files(store.folder)
    store.path(store.plan.units[2]).unlink()
    status, out, err = shell("verify", "RUN")
    assert (
        status == 2
        and out[0]
        == f"missing  {Path('RUN') / store.path(store.plan.units[2]).relative_to(store.folder)}"
    )
    for words in (("run", "RUN"), ("score", "RUN", "--scorers", "mini"), ("report", "RUN")):
        status, _, err = shell(*words)
        assert status == 2 and "missing or altered" in err[0] and "--repair" in err[0]
    assert shell("run", "RUN", "--repair")[0] == 0
    assert files(store.folder) == before
    status, out, err = shell("verify", "RUN")
    assert (status, err) == (0, []) and "0 are missing" in out[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "RUN"), "--sets"),
        (("run", "RUN", "--sets", "attend-and-excite-animal"), "attend-and-excite-animals"),
        (("run", "RUN", "--sets", "gone.txt"), "gone.txt"),
        (("run", "RUN", "--sets", "bad.jsonl"), "bad.jsonl, line 2"),
        (("run", "RUN", "--sets", "dvmp", "--methods", "nursing"), "Unknown method"),
        (("run", "RUN", "--sets", "dvmp", "--scorers", "eyes"), "Unknown scorer 'eyes'"),
        (("run", "RUN", "--sets", "dvmp", "--scheduler", "dim"), "did you mean 'ddim'"),
        (("run", "RUN", "--sets", "dvmp", "--seeds", "3-1"), "backwards"),
        (("run", "RUN", "--sets", "dvmp", "--minuts", "3"), "did you mean --minutes"),
        (("run", "full", "--sets", "dvmp", "--steps", "1"), "holds no run"),
        (("score", "gone"), "is no run"),
        (("report", "."), "is no run"),
        (("verify", "bad.jsonl"), "is no run"),
        (("export", "gone", "geneval", "out"), "is no run"),
        (("run", "RUN", "--sets", "dvmp", "--workers", "2"), "without --ray"),
        (("run", "RUN", "--sets", "dvmp", "--scorers", "clip=full"), "has no config.json"),
        (("run", "RUN", "--sets", "dvmp", "--questions", "bad.jsonl"), "--scorers tifa"),
        (("score", "gone", "--scorers", "tifa", "--questions", "gone"), "is no run"),
        (("prompts", "gone"), "gone"),
        (("prompts", "--tifa"), "without a set"),
        (("run",), "RUN"),
        (("run", "RUN", "--sets", "dvmp", "--out", "X"), "--out without a plan"),
        (("run", "gone.toml"), "gone.toml"),
        (("run", "bad.toml"), "must be a list"),
        (("run", "bad.toml", "--steps", "3"), "write it into the plan"),
        ((), "Missing command"),
        (("draw",), "No such command 'draw'"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(shell, tmp_path, words, told):
    (tmp_path / "bad.toml").write_text("sets = 3")
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a cat"}\n{"prompt": \n')
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    before = files(tmp_path)
    status, out, err = shell(*words)
    assert (status, out) == (2, []) and len(err) == 1 and told in err[0], err
    assert "Traceback" not in err[0] and files(tmp_path) == before


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("ray", ("--ray", "local"), "adhere[ray]"),
        ("skimage", ("--model", "mini"), "adhere[evaluate]"),
        ("jinja2", ("--model", "mini"), "adhere[evaluate]"),
    ],
)
def test_a_missing_extra_is_told_before_anything_is_drawn(
    shell, tmp_path, monkeypatch, package, words, extra
):
    monkeypatch.setitem(sys.modules, package, None)
    status, out, [line] = shell("run", "RUN", "--sets", "dvmp", *words)
    assert (status, out) == (2, []) and f"pip install '{extra}'" in line
    assert not (tmp_path / "RUN").exists()


@pytest.mark.usefixtures("drawn")
def test_scores_are_told_with_all_that_they_depend_on(shell, tmp_path):
    status, out, err = shell("score", "RUN", "--scorers", "pixels,mini")
    assert (status, err) == (0, [])
    assert out[0].startswith("pixels: model none, revision scikit-image ")
    assert "precision" in out[0] and "scale" in out[0]
    assert out[1] == ("  none, 2 images: pixel-difference 0.000, structural-similarity 1.000")
    assert re.fullmatch(r"  token-reweighting, 2 images: pixel-difference 0\.\d{3}, .*", out[2])
    assert out[3].startswith("mini: model adhere mini scorer, revision sha256:")
    assert [line.split(",")[0] for line in out[4:]] == ["  none", "  token-reweighting"]
    assert shell("score", "RUN", "--scorers", "pixels,mini")[1] == out


def test_prompts_that_a_scorer_cannot_judge_are_told(shell, tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("prompt,subjects\na cat,cat\na zebra,zebra\na zebra and a dog,zebra; dog\n")
    words = ["--sets", str(path), "--model", saved(), "--methods", "none", "--seeds", "0"]
    words += ["--steps", "1", "--scorers", "mini"]
    status, out, _ = shell("run", tmp_path / "run", *words)
    told = "cannot judge 2 of 3 prompts by what they want: 'a zebra' (zebra); 'a zebra and a dog' "
    assert status == 0 and any(line.strip().startswith(told) for line in out)


@pytest.mark.usefixtures("drawn")
def test_one_view_of_a_run_is_exported(shell, tmp_path):
    one = ("--condition", "none", "--set", "own-mine", "--copy")
    status, out, _ = shell("export", "RUN", "attend-and-excite", "view", *one)
    assert (status, out) == (0, ["view"])
    images = sorted((tmp_path / "view").rglob("*.png"))
    assert [path.name for path in images] == ["0.png", "1.png"]
    assert all(path.stat().st_nlink == 1 for path in images)
    status, out, [line] = shell("export", "RUN", "jsonl", "rows", "--set", "other")
    assert (status, out) == (2, []) and "takes no --set" in line
    status, _, err = shell("export", "RUN", "attend-and-excite", "more", "--set", "other")
    assert status == 2 and "own-mine" in err[0] and not (tmp_path / "more").exists()


def test_prompts_are_listed(shell):
    status, out, _ = shell("prompts")
    assert status == 0 and any("dvmp" in line for line in out)
    status, out, _ = shell("prompts", "attend-and-excite-animals")
    assert status == 0 and any("a cat and a dog" in line for line in out)


# A shell's background jobs begin with interrupts ignored, and so would their children.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from adhere.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_ends_cleanly_and_says_how_to_go_on(tmp_path):
    (tmp_path / "mine.txt").write_text("a cat and a frog\na car\n")
    words = [*begin("--batch-size", "1"), "--threads", "1"]
    words[words.index("0-1")] = "0-200"
    command = [sys.executable, "-c", INTERRUPTIBLE, "evaluate", *map(str, words)]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    # An interrupt takes back the row that is being written, so there is to be one before it.
    for _ in range(1200):
        if (tmp_path / "RUN" / "run.sqlite").exists() and Store.open(tmp_path / "RUN").rows():
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    line = said.splitlines()[-1]
    assert line.endswith("this goes on: adhere evaluate run RUN")
    store = Store.open(tmp_path / "RUN")
    assert store.rows() and store.missing() and store.verify() == []
    assert list(store.folder.rglob("*.part")) == []
