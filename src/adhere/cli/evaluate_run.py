"""`adhere evaluate run`: draws, scores and reports; started again, it goes on."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from adhere.cli.choosing import BATCH_SIZE, STEPS, hush
from adhere.cli.evaluate import report_on
from adhere.cli.evaluate_conditions import conditions
from adhere.cli.evaluate_progress import drawing_bar
from adhere.cli.evaluate_score import (
    check,
    check_questions,
    default_scorers,
    loaded,
    score_with,
)
from adhere.cli.progress import say
from adhere.drawing.loading import DTYPES, MINI, SCHEDULERS, Loaded, load
from adhere.drawing.png import check_writable
from adhere.errors import unknown
from adhere.evaluation.cluster import draw_on_cluster, needed_ray
from adhere.evaluation.plan import Plan
from adhere.evaluation.prompts import prompt_set
from adhere.evaluation.report import check_packages
from adhere.evaluation.run import Progress, draw_run, loaded_for, plan_run
from adhere.evaluation.store import PLAN, Store
from adhere.methods import METHODS

# What makes a run another run; without any of them a run that is there goes on as it was begun.
_SETTINGS = (
    "sets", "methods", "model", "seeds", "steps", "guidance_scale", "negative_prompt", "size",
    "scheduler", "dtype", "batch_size",
)  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Draws what is missing, scores it where a scorer is at hand, and writes the report."""
    check_writable(arguments.run)
    hush(arguments.debug)
    scorers = _scorers(arguments)
    _check_later(arguments, scorers)
    store, model = _opened(arguments)
    check_questions(store.plan, arguments.questions)
    go_on = _go_on(arguments)
    try:
        progress = _draw(arguments, store, model)
        say(_told(progress, go_on))
        if not scorers:
            say(f"not scored; say which scorers, as in: {go_on} --scorers clip,owlv2")
        elif progress.done and (progress.is_finished or not arguments.repair):
            score_with(store, scorers, arguments.questions)
            report_on(store)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; every finished batch is kept, and this goes on: {go_on}"
        ) from None


def _scorers(arguments: argparse.Namespace) -> list[str]:
    """Which scorers follow the drawing; none for a model that nothing at hand knows."""
    if arguments.scorers is not None:
        return arguments.scorers
    is_there = (Path(arguments.run) / PLAN).exists()
    return default_scorers(
        Store.open(arguments.run).plan.model if is_there else arguments.model or MINI
    )


def _check_later(arguments: argparse.Namespace, scorers: list[str]) -> None:
    """Refuses before hours of drawing what would fail only during or after them.

    Each scorer is loaded for that, and let go.
    """
    check(scorers, arguments.questions)
    if arguments.ray is not None:
        needed_ray()
    if scorers:
        check_packages()
    for one in scorers:
        loaded(one, arguments.questions)


def _draw(arguments: argparse.Namespace, store: Store, model: Loaded | None) -> Progress:
    with drawing_bar() as on_progress:
        if arguments.ray is None:
            return draw_run(
                store,
                model or loaded_for(store.plan, arguments.device),
                minutes=arguments.minutes,
                repair=arguments.repair,
                on_progress=on_progress,
            )
        return draw_on_cluster(
            store,
            arguments.ray,
            workers=arguments.workers,
            minutes=arguments.minutes,
            repair=arguments.repair,
            on_progress=on_progress,
        )


def _opened(arguments: argparse.Namespace) -> tuple[Store, Loaded | None]:
    """The run that is there, or a new one; and its model where it had to be loaded to know."""
    import torch

    is_there = (Path(arguments.run) / PLAN).exists()
    said = [name for name in _SETTINGS if getattr(arguments, name) is not None]
    if is_there and not said:
        store = Store.open(arguments.run)
        if arguments.ray is None:
            _set_threads(arguments.threads or _threads(store.plan))
        return store, None
    if arguments.sets is None:
        raise ValueError(
            f"Got no prompts for a run with settings of its own ({', '.join(said) or 'a new one'})"
            "; say which, as in --sets attend-and-excite-animals. `adhere evaluate prompts` lists "
            "the sets."
        )
    _check_names(arguments)
    sets = tuple(prompt_set(name) for name in arguments.sets)
    chosen = conditions(arguments.methods or ",".join(("none", *METHODS)), arguments.model or MINI)
    if is_there:
        # A run goes on with its own number of threads, whatever this machine would take.
        arguments.threads = arguments.threads or _threads(Store.open(arguments.run).plan)
    model = load(arguments.model or MINI, dtype=arguments.dtype, device=arguments.device)
    before = torch.get_num_threads()
    # On a cluster, the more workers have room, the more is drawn.
    _set_threads(arguments.threads or (None if arguments.ray is None else 1))
    plan = plan_run(
        model,
        chosen,
        sets,
        seeds=arguments.seeds or (0, 1, 2, 3),
        steps=arguments.steps or STEPS,
        guidance_scale=arguments.guidance_scale,
        negative_prompt=arguments.negative_prompt or "",
        size=arguments.size,
        scheduler=arguments.scheduler,
        batch_size=arguments.batch_size or BATCH_SIZE,
    )
    store = Store.create(arguments.run, plan)
    if arguments.ray is None:
        return store, model
    # Workers load it themselves, and this one would only take their room; scorers follow here.
    _set_threads(before)
    return store, None


def _go_on(arguments: argparse.Namespace) -> str:
    """The command that continues."""
    words = ["adhere", "evaluate", "run", arguments.run]
    for name in ("ray", "workers", "device"):
        if getattr(arguments, name) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    if arguments.repair:
        words.append("--repair")
    if arguments.scorers is not None:
        words += ["--scorers", ",".join(arguments.scorers)]
    if arguments.questions is not None:
        words += ["--questions", arguments.questions]
    return shlex.join(words)


def _check_names(arguments: argparse.Namespace) -> None:
    """Refuses unknown names before anything is loaded."""
    if arguments.scheduler is not None and arguments.scheduler not in SCHEDULERS:
        raise unknown("scheduler", arguments.scheduler, SCHEDULERS)
    if arguments.dtype is not None and arguments.dtype not in DTYPES:
        raise unknown("dtype", arguments.dtype, DTYPES)


def _threads(plan: Plan) -> int | None:
    said = plan.environment.get("threads", "")
    return int(said) if said.isascii() and said.isdigit() and 0 < len(said) < 5 else None


def _set_threads(count: int | None) -> None:
    import torch

    if count:
        torch.set_num_threads(count)


def _told(progress: Progress, go_on: str) -> str:
    failures = f", {progress.failures:,} of them failures" if progress.failures else ""
    said = f"{progress.done:,} of {progress.total:,} pictures are done{failures}"
    return said if progress.is_finished else f"{said}; this goes on: {go_on}"
