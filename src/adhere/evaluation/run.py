"""Draws what a run still lacks, here; killed at any moment and started again, it goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import PIL
import torch

from adhere import LatentMethod
from adhere.drawing import Drawing, draw, environment
from adhere.drawing.loading import Loaded, load
from adhere.drawing.recipe import Recipe
from adhere.drawing.schedulers import scheduler_from_recipe
from adhere.errors import NonFiniteLoss, SubjectNotFound, UnfitPrompt, is_out_of_memory
from adhere.evaluation.hardware import (
    empty_cache,
    enough_memory,
    forget_peak,
    machine,
    peak_of,
)
from adhere.evaluation.outcomes import Attention, Measurement, Outcome, SubjectsFrom, drawn, failed
from adhere.evaluation.pace import OnProgress, Pace, Progress, affordable
from adhere.evaluation.plan import Batch, Condition, Plan
from adhere.evaluation.prompts import Prompt, PromptSet
from adhere.evaluation.store import Store
from adhere.nursing.operations import FirstCall, Operations, Passes
from adhere.subjects import find_subjects

_WARM_UP_STEPS = 2


def plan_run(
    loaded: Loaded,
    conditions: Sequence[Condition],
    sets: Sequence[PromptSet],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3),
    steps: int = 50,
    guidance_scale: float | None = None,
    negative_prompt: str = "",
    size: tuple[int, int] | None = None,
    scheduler: str | None = None,
    batch_size: int = 4,
    baseline_only: Sequence[str] = (),
) -> Plan:
    """The plan of a run with all that a model decides by itself spelled out.

    Args:
        loaded: the model, see `adhere.drawing.loading.load`.
        conditions: what is compared; the baseline is added where it is missing.
        sets: what is drawn.
        seeds: the same ones for all.
        steps: of sampling.
        guidance_scale: None takes the pipeline's.
        negative_prompt: what guidance leads away from.
        size: width and height in pixels; None takes the model's.
        scheduler: a short name, see `adhere.drawing.schedulers.SCHEDULERS`; None takes the
            pipeline's.
        batch_size: how many seeds are sampled together.
        baseline_only: names of the sets of which no method draws.

    Returns:
        The plan. An image of a few steps was drawn to find it.

    Raises:
        ValueError: an argument out of range, an unknown name, or too little memory.
    """
    for condition in conditions:
        condition.built()
    most = loaded.pipe.scheduler.config.get("num_train_timesteps", 1_000)  # type: ignore[attr-defined]
    if not 1 <= steps <= most:
        raise ValueError(f"Got {steps} steps; this model takes from 1 to {most}.")
    seeds = tuple(seeds)
    rough = Plan(
        "",
        tuple(conditions),
        tuple(sets),
        seeds,
        batch_size=batch_size,
        baseline_only=tuple(baseline_only),
    )
    with enough_memory():
        drawing = draw(
            rough.prompt(rough.units[0]).text,
            model=loaded,
            method=None,
            seeds=seeds[:batch_size],
            steps=min(steps, _WARM_UP_STEPS),
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            size=size,
            scheduler=scheduler,
            batch_size=batch_size,
        )
    settings = _settings(loaded, drawing.recipes[0])
    return replace(rough, steps=steps, negative_prompt=negative_prompt, **settings)


def loaded_for(plan: Plan, device: str | None = None) -> Loaded:
    """The model of a plan, of the same revision, loaded anew.

    Args:
        plan: of a run.
        device: such as "cuda:1"; None takes the plan's kind.

    Raises:
        ValueError: see `adhere.drawing.loading.load`.
    """
    name = plan.model
    if plan.revision is not None:
        name = f"{name.split('@')[0]}@{plan.revision}"
    loaded = load(name, dtype=plan.dtype, device=device or plan.device)
    return Loaded(loaded.pipe, replace(loaded.source, name=plan.model))


def draw_run(
    store: Store,
    loaded: Loaded,
    *,
    minutes: float | None = None,
    repair: bool = False,
    on_progress: OnProgress | None = None,
) -> Progress:
    """Draws what a store lacks, batch after batch, with a model that is loaded here.

    Args:
        store: the run.
        loaded: its model.
        minutes: no batch is begun that would end later than this from now; None for all.
        repair: whether images that are missing or altered since, and those that failed, are
            drawn again.
        on_progress: called at the beginning and after each batch.

    Returns:
        How far the run is now.

    Raises:
        ValueError: another process is drawing into the folder; an image is missing or altered
            and `repair` is False; the model, a version or the number of threads is not the
            plan's; not even a baseline batch fits into memory.
        OSError: the folder cannot be written to, or the disk is full; all finished batches stay.
        AdhereError: what concerns every image, such as `UnsupportedPipeline`. An image that
            comes out as NaN, does not fit into memory, or whose prompt has no subject or fewer
            than the method needs, is a failure of its own: a row with its error.
    """
    pace = Pace(minutes)
    with store.writing():
        pending = to_draw(store, repair)
        pace.begin(store, pending)
        pace.tell(on_progress)
        if pending:
            drawer = Drawer(loaded, store.plan, machine(loaded.pipe.device))
            for batch in affordable(pending, pace):
                started = time.monotonic()
                outcomes = drawer.draw(batch)
                store.keep(outcomes)
                pace.note(batch, outcomes, time.monotonic() - started)
                pace.tell(on_progress)
    return pace.progress()


def to_draw(store: Store, repair: bool) -> tuple[Batch, ...]:
    """The batches that are to be drawn, once it is seen that the others are whole.

    Args:
        store: the run, which is left as it is.
        repair: whether what is missing, altered or failed is to be drawn once more.

    Raises:
        ValueError: an image is missing or altered, and `repair` is False.
    """
    if not repair:
        store.check_whole()
        return store.missing()
    damaged = [one.unit for one in store.verify()]
    failures = [row.unit for row in store.rows() if row.error is not None]
    return store.missing(also=[*damaged, *failures])


class Drawer:
    """Draws batches of a plan with a model; holds no state between batches.

    Args:
        loaded: the model.
        plan: of the run.
        worker: who draws, for the measurements.

    Raises:
        ValueError: the model, a version or the number of threads is not the plan's, or a baseline
            batch does not fit into memory.
    """

    def __init__(self, loaded: Loaded, plan: Plan, worker: str = "") -> None:
        self._loaded, self._plan, self._worker = loaded, plan, worker
        self._methods = {c.name: c.built() for c in plan.conditions}
        self._scheduler = scheduler_from_recipe(plan.scheduler, loaded.pipe.scheduler)  # type: ignore[attr-defined]
        # The first image of a process also pays for choosing kernels, which is nobody's cost.
        counts: list[int] = []
        with FirstCall(loaded.pipe) as first, enough_memory():
            warm_up = self._draw(
                plan.batches[0],
                steps=min(plan.steps, _WARM_UP_STEPS),
                on_step=lambda _, count: counts.append(count),
            )
        differences = plan.differences(replace(plan, **_settings(loaded, warm_up.recipes[0])))
        if differences:
            raise ValueError(
                f"The run was begun with other settings: {'; '.join(differences)}. Go on as it "
                "was begun, or draw into another folder; runs are never mixed."
            )
        assert first.opened is not None
        self._operations = Operations(first.family, first.opened)
        # Guidance may take a call of its own.
        self._calls_per_step = first.calls / counts[-1]

    def draw(self, batch: Batch) -> list[Outcome]:
        """What becomes of each unit of a batch, in its order.

        Raises:
            AdhereError: what concerns every image.
        """
        prompt, subjects, origin = self._plan.prompt(batch), None, "none"
        try:
            if self._methods[batch.condition]:
                subjects, origin = self._subjects(prompt)
            return self._drawn(batch, subjects, origin)
        except (SubjectNotFound, UnfitPrompt) as error:
            return self._failed(batch, error)
        except NonFiniteLoss as error:
            if len(batch.seeds) == 1:
                return self._failed(batch, error)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch.seeds) == 1:
                # What it says of bytes would differ from run to run.
                return self._failed(batch, MemoryError("out of memory; a smaller image fits"))
        empty_cache()
        # One broken image spoils its batch, and is no failure of the others; and where all do
        # not fit into memory together, each may.
        alone = (replace(batch, seeds=(seed,)) for seed in batch.seeds)
        return [outcome for one in alone for outcome in self.draw(one)]

    def _failed(self, batch: Batch, error: Exception) -> list[Outcome]:
        said = f"{type(error).__name__}: {error}"
        return [failed(self._plan, unit, said, batch=batch.seeds) for unit in batch.units]

    def _subjects(self, prompt: Prompt) -> tuple[list[Any] | None, SubjectsFrom]:
        """What the prompt set states where the prompt has those words; None to find them."""
        if prompt.wanted:
            # The whole phrase says whose a word is that the prompt has twice.
            words = [wanted.phrase for wanted in prompt.wanted]
            try:
                find_subjects(self._loaded.pipe, prompt.text, words)
            except SubjectNotFound:
                return None, "found"
            return words, "prompt set"
        return None, "found"

    def _drawn(
        self, batch: Batch, subjects: list[Any] | None, origin: SubjectsFrom
    ) -> list[Outcome]:
        steps = 0

        def on_step(done: int, count: int) -> None:
            nonlocal steps
            steps = count

        forget_peak(self._loaded.pipe.device)
        drawing = self._draw(
            batch,
            method=self._methods[batch.condition] or None,
            subjects=subjects,
            on_step=on_step,
        )
        peak = peak_of(self._loaded.pipe.device)
        outcomes = []
        for number, (unit, image) in enumerate(zip(batch.units, drawing.images, strict=True)):
            found = drawing.recipes[number].subjects
            made: dict[str, Any] = {"batch": batch.seeds, "subjects": found}
            made["subjects_from"] = origin
            # A safety checker blackens what it does not like.
            if getattr(self._loaded.pipe, "safety_checker", None) and not image.getbbox():
                error = "the model's safety checker blackened the image"
                outcomes.append(failed(self._plan, unit, error, **made))
                continue
            passes = _passes(drawing, number, round(steps * self._calls_per_step))
            measurement = Measurement(
                unit,
                seconds=drawing.seconds / len(batch.seeds),
                peak_bytes=peak,
                full_forwards=passes.full,
                truncated_forwards=passes.nursing,
                backwards=passes.gradients,
                flops=self._operations.of(passes, self._mover(batch), found),
                worker=self._worker,
            )
            seen = Attention.of(drawing.trace, number) if drawing.traces else None
            outcomes.append(
                drawn(self._plan, unit, image, measurement=measurement, attention=seen, **made)
            )
        return outcomes

    def _mover(self, batch: Batch) -> LatentMethod | None:
        movers = [m for m in self._methods[batch.condition] if isinstance(m, LatentMethod)]
        return movers[0] if movers else None

    def _draw(self, batch: Batch, *, steps: int | None = None, **others: Any) -> Drawing:
        plan = self._plan
        return draw(
            plan.prompt(batch).text,
            model=self._loaded,
            seeds=batch.seeds,
            steps=plan.steps if steps is None else steps,
            guidance_scale=plan.guidance_scale,
            negative_prompt=plan.negative_prompt,
            size=plan.size,
            scheduler=self._scheduler,
            batch_size=len(batch.seeds),
            **{"method": None, **others},
        )


def _passes(drawing: Drawing, number: int, calls: int) -> Passes:
    """What one image of a batch took: samples that are done leave the passes of the others.

    Args:
        drawing: of the batch.
        number: of the image.
        calls: of the denoiser for an image without nursing.
    """
    if not drawing.traces:
        return Passes(calls)
    trace = drawing.trace
    nursed = [record for record in trace.steps if record.truncated_forwards]
    own = sum(1 + int(record.refinements[number]) for record in nursed)
    searching = sum(record.searches[number] for record in nursed)
    gradients = sum(record.search_gradients[number] for record in nursed)
    return Passes(trace.full_forwards, own + searching, own + gradients)


def _settings(loaded: Loaded, recipe: Recipe) -> dict[str, Any]:
    """What a drawing says of the settings that a model decides, as a plan has them."""
    return {
        "model": recipe.model.name,
        "revision": recipe.model.revision,
        "weights": recipe.model.weights,
        "guidance_scale": recipe.guidance_scale,
        "size": (recipe.width, recipe.height),
        "scheduler": recipe.scheduler,
        "dtype": recipe.dtype,
        "device": recipe.device,
        "environment": environment(recipe.device),
        "platform": _platform(loaded),
    }


def _platform(loaded: Loaded) -> dict[str, str]:
    """What the bytes of a file depend on besides."""
    found = {"pillow": PIL.__version__}
    if loaded.pipe.device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(loaded.pipe.device)
    return found
