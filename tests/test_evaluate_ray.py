"""The same run on Ray: a real cluster on this machine, two workers, one of them killed."""

import os
import signal

import pytest
import torch

from adhere.evaluation.cluster import draw_on_cluster
from adhere.evaluation.plan import Condition
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.store import Store
from adhere.loading import load
from adhere.methods import TokenReweighting
from doors import saved
from runs import PAIRS, files

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
    assert {m.flops for m in there.measurements()} == {m.flops for m in here.measurements()}
    # A finished run needs no cluster.
    assert draw_on_cluster(there, "192.0.2.1:6379").is_finished


def test_a_cluster_that_is_not_there_is_told(model, tmp_path):
    plan = plan_run(model, (), (PAIRS,), seeds=(0,), steps=1)
    store = Store.create(tmp_path / "run", plan)
    with pytest.raises(ValueError, match="No Ray cluster answers"):
        draw_on_cluster(store, "nowhere")
    assert store.rows() == []
