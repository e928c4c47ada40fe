"""`adhere evaluate run`: draws, scores and reports; started again, it goes on."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from adhere.cli.choosing import hush
from adhere.cli.evaluate import report_on
from adhere.cli.evaluate_progress import drawing_bar
from adhere.cli.evaluate_score import (
    check,
    check_questions,
    default_scorers,
    loaded,
    score_with,
)
from adhere.cli.progress import say
from adhere.drawing.loading import DTYPES, SCHEDULERS, Loaded, load
from adhere.drawing.png import check_writable
from adhere.errors import unknown
from adhere.evaluation.cluster import draw_on_cluster, needed_ray
from adhere.evaluation.plan import PLAIN, Plan
from adhere.evaluation.planfile import (
    ConditionEntry,
    MethodEntry,
    PlanFile,
    needs,
    read_plan,
    told_apart,
)
from adhere.evaluation.report import check_packages
from adhere.evaluation.run import Progress, draw_run, loaded_for, plan_run
from adhere.evaluation.store import PLAN, Store
from adhere.methods import METHODS

# What makes a run another run; without any of them a run that is there goes on as it was begun.
_SETTINGS = (
    "sets", "methods", "model", "seeds", "steps", "guidance_scale", "negative_prompt", "size",
    "scheduler", "dtype", "batch_size",
)  # fmt: skip
_FORMER = "=:+*"


def run(arguments: argparse.Namespace) -> None:
    """Draws what is missing, scores it where a scorer is at hand, and writes the report."""
    file, folder = _file(arguments)
    check_writable(arguments.run)
    hush(arguments.debug)
    scorers = _scorers(arguments, file)
    _check_later(arguments, scorers)
    store, model = _opened(arguments, file, folder)
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


def _file(arguments: argparse.Namespace) -> tuple[PlanFile | None, Path]:
    """The plan that the words give or are, and the folder of its files; None to go on.

    Of words that name a plan, `run` becomes the folder of its run.
    """
    said = [name for name in _SETTINGS if getattr(arguments, name) is not None]
    if arguments.run.endswith(".toml"):
        path = Path(arguments.run)
        if said:
            raise ValueError(
                f"Got a plan and --{said[0].replace('_', '-')}; write it into the plan, or leave "
                "it out."
            )
        if arguments.out is None and (path.parent / PLAN).exists():
            raise ValueError(f"{str(path)!r} is of a run; give a folder for the new one by --out.")
        file = read_plan(path)
        arguments.run = arguments.out or str(path.with_suffix(""))
        arguments.device = arguments.device or file.device
        return file, path.parent
    if arguments.out is not None:
        raise ValueError("Got --out without a plan; RUN is the folder, as in evaluate run RUN.")
    is_there = (Path(arguments.run) / PLAN).exists()
    if is_there and not said:
        return None, Path()
    if arguments.sets is None:
        raise ValueError(
            f"Got no prompts for a run with settings of its own ({', '.join(said) or 'a new one'})"
            "; say which, as in --sets attend-and-excite-animals. `adhere evaluate prompts` lists "
            "the sets."
        )
    given = {name: getattr(arguments, name) for name in _SETTINGS if name in said}
    conditions = _conditions(given.pop("methods", None))
    return PlanFile(**given, conditions=conditions), Path()


def _conditions(text: str | None) -> tuple[ConditionEntry, ...] | None:
    """A condition for each of the methods in `--methods`, by commas."""
    if text is None:
        return None
    if any(sign in text for sign in _FORMER):
        raise ValueError(
            f"Got --methods {text!r}, which takes names of methods only; methods with parameters, "
            "weights or names of their own stand in a plan ([[conditions]] in plan.toml), and "
            "`adhere evaluate run plan.toml` draws it."
        )
    names = [name.strip() for name in text.split(",")]
    return tuple(ConditionEntry(name, (MethodEntry(name),)) for name in names if name != PLAIN)


def _scorers(arguments: argparse.Namespace, file: PlanFile | None) -> list[str]:
    """Which scorers follow the drawing; none for a model that nothing at hand knows."""
    if arguments.scorers is not None:
        return arguments.scorers
    return default_scorers(file.model if file else Store.open(arguments.run).plan.model)


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


def _opened(
    arguments: argparse.Namespace, file: PlanFile | None, folder: Path
) -> tuple[Store, Loaded | None]:
    """The run that is there, or a new one; and its model where it had to be loaded to know."""
    import torch

    if file is None:
        store = Store.open(arguments.run)
        if arguments.ray is None:
            _set_threads(arguments.threads or _threads(store.plan))
        return store, None
    _check_names(file)
    sets, chosen = file.prompt_sets(folder), file.built()
    if file.conditions is None:
        for name in METHODS:
            if needed := needs(name):
                say(f"{name} is left out: it needs {needed}; name it in a plan to try it")
    threads = arguments.threads or file.threads
    if threads is None and (Path(arguments.run) / PLAN).exists():
        # A run goes on with its own number of threads, whatever this machine would take.
        threads = _threads(Store.open(arguments.run).plan)
    model = load(file.model, dtype=file.dtype, device=arguments.device)
    before = torch.get_num_threads()
    # On a cluster, the more workers have room, the more is drawn.
    _set_threads(threads or (None if arguments.ray is None else 1))
    plan = plan_run(
        model,
        chosen,
        sets,
        seeds=file.seeds,
        steps=file.steps,
        guidance_scale=file.guidance_scale,
        negative_prompt=file.negative_prompt,
        size=file.size,
        scheduler=file.scheduler,
        batch_size=file.batch_size,
        baseline_only=file.baseline_only,
    )
    for line in told_apart(file, plan):
        say(f"not as in the run that the plan repeats: {line}")
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


def _check_names(file: PlanFile) -> None:
    """Refuses unknown names before anything is loaded."""
    if file.scheduler is not None and file.scheduler not in SCHEDULERS:
        raise unknown("scheduler", file.scheduler, SCHEDULERS)
    if file.dtype is not None and file.dtype not in DTYPES:
        raise unknown("dtype", file.dtype, DTYPES)


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
