"""The same run on Ray: a real cluster on this machine, two workers, one of them killed."""

import os
import shutil
import signal
import threading
from contextlib import suppress

import pytest
import torch

from adhere.cli import main
from adhere.drawing.loading import load
from adhere.evaluation.cluster import draw_on_cluster
from adhere.evaluation.hardware import machine
from adhere.evaluation.plan import Condition
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.store import Store
from adhere.methods import TokenReweighting
from doors import saved
from runs import PAIRS, files, fill

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")


def workers():
    """Processes of workers of a cluster that was started here."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("_Worker" in word for word in process.cmdline()[:1]):
                found.append(process.pid)
        except psutil.Error:
            pass
    return found


@pytest.fixture(scope="module")
def model():
    # One thread here and in every worker.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load(saved(), device="cpu")
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_draw_the_same_run(model, tmp_path):
    conditions = (Condition.of("words", TokenReweighting()),)
    plan = plan_run(model, conditions, (PAIRS,), seeds=range(12), steps=4, batch_size=2)
    here = Store.create(tmp_path / "here", plan)
    draw_run(here, model)
    there = Store.create(tmp_path / "there", plan)
    told, killed = [], []

    def on_progress(progress):
        told.append(progress)
        if progress.done >= 4 and not killed:
            os.kill(workers()[0], signal.SIGKILL)
            killed.append(progress.done)

    assert draw_on_cluster(there, "local", workers=2, on_progress=on_progress).is_finished
    assert killed and killed[0] < len(plan.units)
    assert files(there.folder) == files(here.folder)
    assert [m.unit for m in there.measurements()] == list(plan.units)
    assert [one.done for one in told] == sorted({one.done for one in told})
    # Each says who it was, and on what.
    crew = {f"worker {number} on {machine(model.pipe.device)}" for number in (0, 1)}
    assert {m.worker for m in there.measurements()} <= crew
    assert {m.worker for m in here.measurements()} == {machine(model.pipe.device)} != {""}
    assert {m.flops for m in there.measurements()} == {m.flops for m in here.measurements()}
    # A finished run needs no cluster.
    assert draw_on_cluster(there, "192.0.2.1:6379").is_finished


@pytest.mark.slow
def test_a_workers_own_error_is_told_as_it_is_here(model, tmp_path, capsys):
    folder = shutil.copytree(saved(), tmp_path / "model")
    plan = plan_run(load(folder, device="cpu"), (), (PAIRS,), seeds=(0,), steps=1)
    store = Store.create(tmp_path / "run", plan)
    shutil.rmtree(folder)
    words = ["evaluate", "run", str(store.folder), "--ray", "local", "--workers", "1"]
    capsys.readouterr()
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"adhere: Unknown model '{folder}'") and "Traceback" not in line
    assert store.rows() == []


@pytest.mark.slow
def test_a_run_whose_workers_are_always_lost_ends_and_keeps_what_it_has(model, tmp_path, capsys):
    plan = plan_run(model, (), (PAIRS,), seeds=range(3), steps=1, batch_size=1)
    store = fill(Store.create(tmp_path / "run", plan), most=2)
    before = files(store.folder)
    is_over = threading.Event()

    def kill():
        while not is_over.wait(0.05):
            for worker in workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    capsys.readouterr()
    killer.start()
    try:
        status = main(["evaluate", "run", str(store.folder), "--ray", "local", "--workers", "1"])
    finally:
        is_over.set()
        killer.join()
    [line] = capsys.readouterr().err.splitlines()
    assert status == 2 and "Workers were lost 3 times" in line
    assert files(store.folder) == before


def test_a_cluster_that_is_not_there_is_told(model, tmp_path):
    plan = plan_run(model, (), (PAIRS,), seeds=(0,), steps=1)
    store = Store.create(tmp_path / "run", plan)
    with pytest.raises(ValueError, match="No Ray cluster answers"):
        draw_on_cluster(store, "nowhere")
    assert store.rows() == []
