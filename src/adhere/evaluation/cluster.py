"""Draws what a run still lacks on a Ray cluster: the same pictures as here, by several workers.

Each worker is an actor that holds the pipeline, on a GPU or on as many CPU slots as the plan has
threads. Batches are handed out one at a time; only the driver writes to the store. A batch whose
worker was lost is handed out again, and comes out the same.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from adhere.evaluation.outcomes import Outcome
from adhere.evaluation.plan import Batch, Plan
from adhere.evaluation.run import (
    Drawer,
    OnProgress,
    Pace,
    Progress,
    affordable,
    empty_cache,
    loaded_for,
    machine,
    to_draw,
)
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
                pace.workers = max(count, 1)
                crew = _Crew(ray, store.plan, count)
                try:
                    work = crew.work(affordable(pending, pace))
                    for batch, outcomes, seconds in work:
                        store.keep(outcomes)
                        pace.note(batch, outcomes, seconds)
                        pace.tell(on_progress)
                finally:
                    crew.dismiss()
    return pace.progress()


@dataclass(frozen=True)
class _Job:
    """A batch that a worker is at."""

    batch: Batch
    worker: int = 0
    started: float = 0.0
    losses: int = 0


class _Crew:
    """Workers, and the batches that they are at."""

    def __init__(self, ray: Any, plan: Plan, count: int) -> None:
        if count < 1:
            what = "GPU" if plan.device == "cuda" else f"slot of {_threads(plan)} CPUs"
            raise ValueError(
                f"The cluster has no {what} for a worker; add a machine, or draw with fewer "
                "threads."
            )
        self._ray, self._plan = ray, plan
        needs = {"num_gpus": 1} if plan.device == "cuda" else {"num_cpus": _threads(plan)}
        # What is lost is noticed here, so that its batch is handed to whoever is free.
        self._kind = ray.remote(**needs, max_restarts=0)(_Worker)
        self._plan_at = ray.put(plan)
        self._workers: dict[int, Any] = {}
        self._arriving: dict[Any, int] = {}
        self._starting: dict[Any, int] = {}
        self._jobs: dict[Any, _Job] = {}
        self._lost: list[_Job] = []
        self._deaths_at_birth = 0
        for number in range(count):
            self._hire(number)

    def work(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[Outcome], float]]:
        """Each batch with what became of it and the seconds that it took, as they come.

        Raises:
            ValueError: no worker finds room on the cluster, or workers are lost again and again.
        """
        gone = _losses(self._ray)
        idle: list[int] = []
        while True:
            while idle and (job := self._next(batches)) is not None:
                number = idle.pop(0)
                future = self._workers[number].draw.remote(job.batch)
                self._jobs[future] = replace(job, worker=number, started=time.monotonic())
            if idle and not self._jobs:
                return
            future = self._first_done()
            job = self._jobs.pop(future, None)
            has_arrived, has_begun = future in self._arriving, future in self._starting
            number = self._number(future) if job is None else job.worker
            try:
                outcomes = self._ray.get(future)
            except self._ray.exceptions.RayTaskError as error:
                # The worker's own error, as it would have been raised here.
                raise error.cause from error
            except gone as lost:
                self._mourn(job, lost)
                self._hire(number)
                continue
            if has_arrived:
                self._starting[self._workers[number].begin.remote()] = number
                continue
            if has_begun:
                self._deaths_at_birth = 0
            idle.append(number)
            if job is not None:
                yield job.batch, outcomes, time.monotonic() - job.started

    def dismiss(self) -> None:
        """Ends all workers."""
        for worker in self._workers.values():
            self._ray.kill(worker)

    def _first_done(self) -> Any:
        """The next future that has something to say."""
        waiting = [*self._jobs, *self._starting]
        # While others draw, or fetch the model, a worker may wait for room as long as it likes.
        timeout = None if waiting else _SECONDS_TO_START
        done, _ = self._ray.wait([*waiting, *self._arriving], num_returns=1, timeout=timeout)
        if not done:
            raise ValueError(
                f"No worker has found room within {_SECONDS_TO_START / 60:g} minutes; the cluster "
                "is full of other work, or has lost its machines. `ray status` shows it."
            )
        return done[0]

    def _number(self, future: Any) -> int:
        """The worker that has arrived, or begun."""
        return (self._arriving if future in self._arriving else self._starting).pop(future)

    def _next(self, batches: Iterator[Batch]) -> _Job | None:
        if self._lost:
            return self._lost.pop(0)
        batch = next(batches, None)
        return None if batch is None else _Job(batch)

    def _mourn(self, job: _Job | None, error: Exception) -> None:
        """Puts the batch of a lost worker first in line."""
        self._deaths_at_birth += job is None
        losses = self._deaths_at_birth if job is None else job.losses + 1
        if losses >= _MOST_LOSSES:
            while_at = "it began" if job is None else f"it drew {job.batch}"
            raise ValueError(
                f"Workers were lost {losses} times while {while_at}: {_first_line(error)}. There "
                "may be too little memory. The batches finished before are kept."
            ) from error
        if job is not None:
            self._lost.append(replace(job, losses=losses))

    def _hire(self, number: int) -> None:
        worker = self._kind.remote(self._plan_at, f"worker {number}")
        self._workers[number] = worker
        self._arriving[worker.arrive.remote()] = number


class _Worker:
    """Holds a pipeline on one GPU, or on a slot of CPUs."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan, self._name = plan, name

    def arrive(self) -> None:
        """Says that there was room."""

    def begin(self) -> None:
        """Takes its time: the model may have to be fetched first."""
        import torch

        plan = self._plan
        if plan.device == "cpu":
            torch.set_num_threads(_threads(plan))
        loaded = loaded_for(plan)
        name = f"{self._name} on {machine(loaded.pipe.device)}"
        self._drawer = Drawer(loaded, plan, name)

    def draw(self, batch: Batch) -> list[Outcome]:
        return self._drawer.draw(batch)


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


def _losses(ray: Any) -> tuple[type[Exception], ...]:
    """Errors that say that a worker is gone, and nothing of what it was at."""
    found = ray.exceptions
    return (
        found.RayActorError,
        found.ObjectLostError,
        found.WorkerCrashedError,
        found.NodeDiedError,
        # Ray ends a worker before its machine is out of memory.
        found.OutOfMemoryError,
    )


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
                said = f"Ray did not start here ({_first_line(error)}); this machine may be busy "
                said += "or short of memory: try again, or draw without --ray."
            else:
                said = f"No Ray cluster answers at {address!r} ({_first_line(error)}); start one "
                said += "with `ray start --head`, or give `local`."
            raise ValueError(said) from error
    try:
        yield ray
    finally:
        if not was_connected:
            ray.shutdown()


def _slots(ray: Any, plan: Plan) -> int:
    """How many workers the cluster has room for."""
    there = ray.cluster_resources()
    if plan.device == "cuda":
        return int(there.get("GPU", 0))
    if there.get("GPU", 0):
        warnings.warn(
            "The cluster has GPUs, but the run is one for CPUs. To use them, begin a new run with "
            "--device cuda, on a machine that has one.",
            stacklevel=2,
        )
    return int(there.get("CPU", 0)) // _threads(plan)


def _threads(plan: Plan) -> int:
    return int(plan.environment.get("threads", "1"))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
