"""`adhere evaluate run`: draws, scores and reports; started again, it goes on."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from adhere.cli.choosing import hush
from adhere.cli.evaluate import report_on
from adhere.cli.evaluate_score import (
    check,
    check_questions,
    default_scorers,
    loaded,
    score_with,
)
from adhere.cli.progress import bar, say
from adhere.cli.values import folder, names
from adhere.drawing.loading import DTYPES, Loaded, load
from adhere.drawing.png import check_writable
from adhere.drawing.schedulers import SCHEDULERS
from adhere.errors import unknown
from adhere.evaluation.cluster import draw_on_cluster, needed_ray
from adhere.evaluation.pace import OnProgress, Progress
from adhere.evaluation.plan import BASELINE
from adhere.evaluation.planfile import (
    ConditionEntry,
    MethodEntry,
    PlanFile,
    needs,
    read_plan,
    told_apart,
)
from adhere.evaluation.report import check_packages
from adhere.evaluation.run import draw_run, loaded_for, plan_run
from adhere.evaluation.store import PLAN, Store
from adhere.methods import METHODS
from adhere.typed import NonNegative, PositiveCount, Threads, typed

_SECONDS_BETWEEN_LINES = 60.0


@typed
class Settings:
    """What makes a run another run; without any of it a run that is there goes on.

    Attributes:
        sets: prompt sets or files, separated by commas.
        methods: which, separated by commas; all that need neither boxes nor joint
            attention without it.
        model: mini or mini-joint (bundled), a folder in diffusers' layout, or a hub id such as
            owner/name@revision.
        seeds: the same for all methods, as in 7, 0-3 or 0,2,5-9; 0-3 without it.
        steps: of sampling; 50 without it.
        guidance_scale: of classifier-free guidance; the pipeline's without it.
        negative_prompt: what guidance leads away from.
        size: in pixels; the model's without it.
        scheduler: ddim, ddpm, dpm++2m, dpm++2m-sde, euler, euler-a, heun, lcm, pndm or unipc; the
            model's without it.
        dtype: float32, bfloat16 or float16.
        batch_size: images sampled together; 4 without it.
    """

    sets: str | None = None
    methods: str | None = None
    model: str | None = None
    seeds: tuple[int, ...] | None = None
    steps: PositiveCount | None = None
    guidance_scale: NonNegative | None = None
    negative_prompt: str | None = None
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    dtype: str | None = None
    batch_size: PositiveCount | None = None


@typed
class How:
    """How a run is drawn, whatever it is.

    Attributes:
        out: folder of a plan's run; the plan's name without it.
        minutes: draw no longer than this.
        repair: draw again what is missing, altered or failed.
        device: cpu, cuda, cuda:1 or mps; a GPU without it, where there is one.
        threads: of PyTorch, on a CPU.
        ray: the address of a Ray cluster to draw on; local starts one here.
        workers: how many on Ray; as many as fit without it.
        scorers: which, separated by commas, as NAME or NAME=MODEL; mini and pixels for the bundled
            model without it.
        questions: a file of TIFA's in its own format.
    """

    out: str | None = None
    minutes: NonNegative | None = None
    repair: bool = False
    device: str | None = None
    threads: Threads | None = None
    ray: str | None = None
    workers: PositiveCount | None = None
    scorers: str | None = None
    questions: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.ray is None:
            raise ValueError(
                f"Got --workers {self.workers} without --ray; add --ray local, or leave it out."
            )


def run(run: str, *, settings: Settings, how: How) -> None:
    """Draw every prompt with every method on the same seeds, score the images, and report.

      adhere evaluate run RUN --sets attend-and-excite-animals --seeds 0-3 --minutes 120
      adhere evaluate run RUN --sets prompts.txt --methods none,attend-and-excite
      adhere evaluate run plan.toml --out RUN
      adhere evaluate run RUN

    A run that was stopped or killed goes on with the last of these. Methods with other parameters,
    or several together, stand in a plan. RUN/plan.toml repeats a run. The baseline is always
    drawn.

    Args:
        run: folder of the run, or a plan.
        settings: what is drawn.
        how: on what machine, for how long, and what scores it.
    """
    home, file, beside = _file(folder(run), settings, how)
    if file is not None:
        how = replace(how, device=how.device or file.device)
    check_writable(home)
    hush()
    chosen = names(how.scorers) if how.scorers else None
    if chosen is None:
        chosen = default_scorers(file.model if file else Store.open(home).plan.model)
    _check_later(how, chosen)
    store, model = _opened(home, file, beside, how)
    check_questions(store.plan, how.questions)
    go_on = _go_on(home, how)
    try:
        progress = _draw(store, model, how)
        say(_told(progress, go_on))
        if not chosen:
            say(f"not scored; say which scorers, as in: {go_on} --scorers clip,owlv2")
        elif progress.done and (progress.is_finished or not how.repair):
            score_with(store, chosen, how.questions)
            report_on(store)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; every finished batch is kept, and this goes on: {go_on}"
        ) from None


def _file(run: str, settings: Settings, how: How) -> tuple[str, PlanFile | None, Path]:
    """The folder of the run, the plan that the words give or name, and the folder of its files.

    There is no plan where a run goes on.
    """
    given = {n: v for n, v in vars(settings).items() if v is not None and n[0] != "_"}
    if run.endswith(".toml"):
        path = Path(run)
        if given:
            raise ValueError(
                f"Got a plan and --{next(iter(given)).replace('_', '-')}; write it into the plan, "
                "or leave it out."
            )
        if how.out is None and (path.parent / PLAN).exists():
            raise ValueError(f"{str(path)!r} is of a run; give a folder for the new one by --out.")
        return how.out or str(path.with_suffix("")), read_plan(path), path.parent
    if how.out is not None:
        raise ValueError("Got --out without a plan; RUN is the folder, as in evaluate run RUN.")
    if (Path(run) / PLAN).exists() and not given:
        return run, None, Path()
    if "sets" not in given:
        raise ValueError(
            "Got no prompts for a run with settings of its own "
            f"({', '.join(given) or 'a new one'}); say which, as in --sets "
            "attend-and-excite-animals. `adhere evaluate prompts` lists the sets."
        )
    conditions = _conditions(given.pop("methods", None))
    sets = tuple(names(given.pop("sets")))
    return run, PlanFile(**given, sets=sets, conditions=conditions), Path()


def _conditions(text: str | None) -> tuple[ConditionEntry, ...] | None:
    """A condition for each of the methods in `--methods`, by commas."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    return tuple(ConditionEntry(name, (MethodEntry(name),)) for name in names if name != BASELINE)


def _check_later(how: How, scorers: list[str]) -> None:
    """Refuses before hours of drawing what would fail only during or after them.

    Each scorer is loaded for that, and let go.
    """
    check(scorers, how.questions)
    if how.ray is not None:
        needed_ray()
    if scorers:
        check_packages()
    for one in scorers:
        loaded(one, how.questions)


def _draw(store: Store, model: Loaded | None, how: How) -> Progress:
    with _drawing_bar() as on_progress:
        if how.ray is None:
            return draw_run(
                store,
                model or loaded_for(store.plan, how.device),
                minutes=how.minutes,
                repair=how.repair,
                on_progress=on_progress,
            )
        return draw_on_cluster(
            store,
            how.ray,
            workers=how.workers,
            minutes=how.minutes,
            repair=how.repair,
            on_progress=on_progress,
        )


@contextmanager
def _drawing_bar() -> Iterator[OnProgress]:
    """Shows how far a run is and how long it will take: a bar, or a line a minute elsewhere."""
    last = time.monotonic()
    with bar("draw") as tell:

        def on_progress(progress: Progress) -> None:
            nonlocal last
            left = "time left not known yet"
            if progress.seconds_left is not None:
                left = f"about {duration(progress.seconds_left)} left"
            tell(progress.done, progress.total, left)
            if not sys.stderr.isatty() and time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                line = f"{progress.done:,} of {progress.total:,} images, {left}"
                print(f"adhere: {line}", file=sys.stderr, flush=True)

        yield on_progress


def duration(seconds: float) -> str:
    """A time in the two units that matter: "2 h 5 min", "3 min 20 s", "45 s"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3_600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _opened(
    run: str, file: PlanFile | None, beside: Path, how: How
) -> tuple[Store, Loaded | None]:
    """The run that is there, or a new one; and its model where it had to be loaded to know."""
    import torch

    if file is None:
        store = Store.open(run)
        if how.ray is None:
            _set_threads(how.threads or store.plan.threads)
        elif how.threads or how.device:
            given = "--threads" if how.threads else "--device"
            raise ValueError(
                f"Got {given} for a run that goes on on a cluster, where workers draw as the run "
                "was begun; leave it out."
            )
        return store, None
    _check_names(file)
    sets, chosen = file.prompt_sets(beside), file.built()
    threads = how.threads or file.threads
    if threads is None and (Path(run) / PLAN).exists():
        # A run goes on with its own number of threads, whatever this machine would take.
        threads = Store.open(run).plan.threads
    model = load(file.model, dtype=file.dtype, device=how.device)
    before = torch.get_num_threads()
    # On a cluster, the more workers have room, the more is drawn.
    _set_threads(threads or (None if how.ray is None else 1))
    plan = plan_run(model, chosen, sets, **file.settings)
    for line in told_apart(file, plan):
        say(f"not as in the run that the plan repeats: {line}")
    store = Store.create(run, plan)
    if file.conditions is None:
        for name in METHODS:
            if needed := needs(name):
                say(f"{name} is left out: it needs {needed}; name it in a plan to try it")
    if how.ray is None:
        return store, model
    # Workers load it themselves, and this one would only take their room; scorers follow here.
    _set_threads(before)
    return store, None


def _go_on(run: str, how: How) -> str:
    """The command that continues."""
    words = ["adhere", "evaluate", "run", run]
    # Workers go on with the run's own device.
    for name in ("device",) if how.ray is None else ("ray", "workers"):
        if (value := getattr(how, name)) is not None:
            words += [f"--{name}", str(value)]
    if how.repair:
        words.append("--repair")
    if how.scorers:
        words += ["--scorers", ",".join(names(how.scorers))]
    if how.questions is not None:
        words += ["--questions", how.questions]
    return shlex.join(words)


def _check_names(file: PlanFile) -> None:
    """Refuses unknown names before anything is loaded."""
    if file.scheduler is not None and file.scheduler not in SCHEDULERS:
        raise unknown("scheduler", file.scheduler, SCHEDULERS)
    if file.dtype is not None and file.dtype not in DTYPES:
        raise unknown("dtype", file.dtype, DTYPES)


def _set_threads(count: int | None) -> None:
    import torch

    if count:
        torch.set_num_threads(count)


def _told(progress: Progress, go_on: str) -> str:
    failures = f", {progress.failures:,} of them failures" if progress.failures else ""
    said = f"{progress.done:,} of {progress.total:,} images are done{failures}"
    return said if progress.is_finished else f"{said}; this goes on: {go_on}"
