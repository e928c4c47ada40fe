"""Draws what a run still lacks on a Ray cluster: the same images as here, by several workers.

Each worker is an actor that holds the pipeline, on a GPU or on as many CPU slots as the plan has
threads. Only the driver writes to the store. Ray hands batches out, starts lost workers again and
repeats what they were drawing, which comes out the same.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from adhere.errors import AdhereWarning, first_line
from adhere.evaluation.hardware import empty_cache, machine
from adhere.evaluation.outcomes import Outcome
from adhere.evaluation.pace import OnProgress, Pace, Progress, affordable
from adhere.evaluation.plan import Batch, Plan
from adhere.evaluation.run import Drawer, loaded_for, to_draw
from adhere.evaluation.store import Store

LOCAL = "local"
_MOST_LOSSES = 3
_SECONDS_TO_START = 600.0


def draw_on_cluster(
    store: Store,
    address: str,
    *,
    workers: int | None = None,
    minutes: float | None = None,
    repair: bool = False,
    on_progress: OnProgress | None = None,
) -> Progress:
    """Draws what a store lacks on a Ray cluster.

    Args:
        store: the run; its model must be found under the same name on every machine.
        address: of the cluster's head, such as "10.0.0.1:6379" or "ray://10.0.0.1:10001";
            "auto" for the one of this machine; "local" starts one here for this run.
        workers: how many at the most; None takes one for each GPU, or on a CPU for each slot of
            as many CPUs as the plan has threads.
        minutes: see `adhere.evaluation.run.draw_run`.
        repair: see there.
        on_progress: see there.

    Returns:
        How far the run is now.

    Raises:
        ValueError: what `draw_run` raises; ray is not installed; no such cluster; a cluster with
            no room for a worker; one batch has lost three workers.
    """
    pace = Pace(minutes)
    with store.writing():
        pending = to_draw(store, repair)
        pace.begin(store, pending)
        pace.tell(on_progress)
        if pending:
            # What a model that was let go has left behind is room for a worker here.
            empty_cache()
            with _cluster(address, store.plan, workers) as ray:
                count = min(_slots(ray, store.plan), workers or len(pending), len(pending))
                pace.workers = count
                for batch, outcomes, seconds in _drawn(
                    ray, store.plan, count, affordable(pending, pace)
                ):
                    store.keep(outcomes)
                    pace.note(batch, outcomes, seconds)
                    pace.tell(on_progress)
    return pace.progress()


def _drawn(
    ray: Any, plan: Plan, count: int, batches: Iterator[Batch]
) -> Iterator[tuple[Batch, list[Outcome], float]]:
    """Each batch with its outcomes and the seconds that it took, as workers finish them.

    Raises:
        ValueError: no worker finds room on the cluster, or one batch has lost several workers.
    """
    needs = {"num_gpus": 1} if plan.device == "cuda" else {"num_cpus": _threads(plan)}
    again = _MOST_LOSSES - 1
    kind = ray.remote(**needs, max_restarts=again, max_task_retries=again)(_Worker)
    actors = [kind.remote(plan, f"worker {number}") for number in range(count)]
    try:
        _wait_for_room(ray, actors)
        pool = ray.util.ActorPool(actors)
        while True:
            while pool.has_free() and (batch := next(batches, None)) is not None:
                pool.submit(lambda actor, batch: actor.draw.remote(batch), batch)
            # A worker that was lost with its machine needs the room of one that is done.
            while (done := pool.pop_idle()) is not None:
                ray.kill(done)
            if not pool.has_next():
                return
            yield pool.get_next_unordered()
    except ray.exceptions.RayTaskError as error:
        # The worker's own error, as it would have been raised here.
        raise error.cause from error
    except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
        raise ValueError(
            f"Workers were lost {_MOST_LOSSES} times with the same work: "
            f"{first_line(error)}. There may be too little memory. The batches finished before "
            "are kept."
        ) from error
    finally:
        for actor in actors:
            ray.kill(actor)


def _wait_for_room(ray: Any, actors: list[Any]) -> None:
    arrived, _ = ray.wait(
        [actor.arrive.remote() for actor in actors], num_returns=1, timeout=_SECONDS_TO_START
    )
    if not arrived:
        raise ValueError(
            f"No worker has found room within {_SECONDS_TO_START / 60:g} minutes; the cluster is "
            "full of other work, or has lost its machines. `ray status` shows it."
        )
    ray.get(arrived)


class _Worker:
    """Holds a pipeline on one GPU, or on a slot of CPUs."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan, self._name = plan, name

    def arrive(self) -> None:
        """Says that there was room."""

    @cached_property
    def _drawer(self) -> Drawer:
        """Takes its time: the model may have to be fetched first."""
        import torch

        plan = self._plan
        if plan.device == "cpu":
            torch.set_num_threads(_threads(plan))
        loaded = loaded_for(plan)
        return Drawer(loaded, plan, f"{self._name} on {machine(loaded.pipe.device)}")

    def draw(self, batch: Batch) -> tuple[Batch, list[Outcome], float]:
        drawer = self._drawer
        started = time.monotonic()
        return batch, drawer.draw(batch), time.monotonic() - started


def needed_ray() -> Any:
    """The package.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "Drawing on a cluster needs Ray; install it with pip install 'adhere[ray]'."
        ) from error
    return ray


@contextmanager
def _cluster(address: str, plan: Plan, workers: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster; disconnected afterwards unless it was connected before."""
    ray = needed_ray()
    was_connected = ray.is_initialized()
    if not was_connected:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == LOCAL:
            options["include_dashboard"] = False
            if plan.device == "cpu":
                options["num_gpus"] = 0
            if workers and plan.device == "cpu":
                options["num_cpus"] = workers * _threads(plan)
        try:
            ray.init(address=address, **options)
        # A machine that is too slow to start is a bare Exception to Ray.
        except Exception as error:
            if address == LOCAL:
                said = f"Ray did not start here ({first_line(error)}); this machine may be busy "
                said += "or short of memory: try again, or draw without --ray."
            else:
                said = f"No Ray cluster answers at {address!r} ({first_line(error)}); start one "
                said += "with `ray start --head`, or give `local`."
            raise ValueError(said) from error
    try:
        yield ray
    finally:
        if not was_connected:
            ray.shutdown()


def _slots(ray: Any, plan: Plan) -> int:
    """How many workers the cluster has room for.

    Raises:
        ValueError: for none.
    """
    there = ray.cluster_resources()
    if plan.device == "cuda":
        what, slots = "GPU", int(there.get("GPU", 0))
    else:
        what, slots = f"slot of {_threads(plan)} CPUs", int(there.get("CPU", 0)) // _threads(plan)
    if not slots:
        raise ValueError(
            f"The cluster has no {what} for a worker; add a machine, or draw with fewer threads."
        )
    if plan.device != "cuda" and there.get("GPU", 0):
        warnings.warn(
            "The cluster has GPUs, but the run is one for CPUs. To use them, begin a new run with "
            "--device cuda, on a machine that has one.",
            AdhereWarning,
            stacklevel=2,
        )
    return slots


def _threads(plan: Plan) -> int:
    return plan.threads or 1
