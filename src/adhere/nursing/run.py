"""One sampling run of a nursed pipeline: where its loop is, and what this step does to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall, uncast
from adhere.attention.edits import LayerEdit, attend
from adhere.attention.tap import check_read, tapped
from adhere.errors import NonFiniteLoss
from adhere.families import Family, Layer, Opened, batched
from adhere.methods.base import AttentionMethod, LatentMethod, LayerContext
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing.hooks import eager
from adhere.nursing.noise import check_noise
from adhere.nursing.passes import Context, Reader, notes, nurse_latents
from adhere.nursing.prompts import Prompts
from adhere.nursing.schedulers import (
    begin_of,
    evaluations,
    ignores_sample,
    input_scale,
    keeping_sample,
)
from adhere.nursing.trace import RunTrace, StepRecord


class Run:
    """The state of one run, from its first call of the denoiser to its last step."""

    def __init__(
        self,
        family: Family,
        prompts: Prompts,
        mover: LatentMethod | None,
        editors: Sequence[AttentionMethod],
        trace: RunTrace,
    ) -> None:
        self.family, self.prompts, self.mover, self.editors = family, prompts, mover, editors
        self.trace = trace
        self.scheduler = family.pipe.scheduler
        self.begin: int | None = None
        self.calls = 0
        self.has_begun_step = False
        self.shift: Tensor | None = None
        self.context: Context | None = None
        self.previous: Reading | None = None
        self.memories: dict[tuple[int, str], dict[str, Tensor]] = {}
        self.shared: list[dict[Any, Any]] = [{} for _ in editors]
        self.readings: list[Reading] = []
        self.taps = ExitStack()
        self.tapped: set[str] = set()
        self.met: set[str] = set()
        self.is_touched = False

    @property
    def total(self) -> int:
        """Scheduler calls of this run."""
        return len(self.scheduler.timesteps) - (self.begin or 0)

    @property
    def is_over(self) -> bool:
        """Whether the scheduler has taken the last step."""
        return self.begin is not None and self.calls >= self.total

    def step(self) -> Step:
        """Where the loop is."""
        each = evaluations(self.scheduler)
        place = (self.begin or 0) + self.calls
        after = self._times[place + each] if place + each < len(self._times) else 0.0
        return Step(self.calls // each, -(-self.total // each), self._times[place], after)

    @functools.cached_property
    def _times(self) -> list[float]:
        return [float(time) for time in torch.as_tensor(self.scheduler.timesteps).tolist()]

    def before_denoiser(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Nurse at the first call of a step, tap that call, and add the shift to every call."""
        if self.begin is None:
            self.begin = begin_of(self.scheduler, self.family.timestep(args, kwargs))
        self.trace.full_forwards += 1
        if not self.has_begun_step:
            self.has_begun_step = True
            self._act(args, kwargs)
        if self.shift is None:
            return args, kwargs
        opened = self._open(args, kwargs)
        scale = input_scale(self.scheduler, self._times[(self.begin or 0) + self.calls])
        changed = self.family.shifted(opened, scale * self.shift)
        return changed.args, dict(changed.keywords)

    def after_denoiser(self, is_done: bool) -> None:
        """Close the taps, and see that they met attention in a call that was not broken off."""
        layers, met = self.tapped, self.met
        self.tapped, self.met = set(), set()
        self.taps.close()
        if is_done:
            check_read(sorted(layers), met)

    def around_step(self, own: Callable, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's step, with the shift added to its sample."""
        shift, self.shift, self.has_begun_step = self.shift, None, False
        self.calls += 1
        if shift is None:
            result = own(*args, **kwargs)
        else:
            output, timestep, sample, args, kwargs = _of_step(args, kwargs)
            moved = (sample + shift.reshape(sample.shape)).to(sample.dtype)
            with keeping_sample(self.scheduler):
                result = own(output, timestep, moved, *args, **kwargs)
        if self.is_over and self.is_touched:
            latents = result[0] if isinstance(result, tuple) else result.prev_sample
            _check_finite("result holds", latents, self.step_count() - 1)
        return result

    def step_count(self) -> int:
        """How many steps the loop has."""
        return -(-self.total // evaluations(self.scheduler))

    def _act(self, args: tuple, kwargs: dict) -> None:
        """What the methods do at this step."""
        step, mover = self.step(), self.mover
        is_repeat = ignores_sample(self.scheduler)
        nurses = watches = searches = False
        if mover is not None:
            schedule = mover.schedule
            searches = mover.searches and not self.calls
            nurses = searches or (
                bool(schedule.step_size_at(step)) and (schedule.nurses_repeats or not is_repeat)
            )
            watches = not nurses and mover.watches(step) and not is_repeat
        active = [i for i, edit in enumerate(self.editors) if edit.is_active(step)]
        asked = [edit for edit in self.editors if edit.reads(step)]
        if not (nurses or watches or active or asked):
            return
        self.is_touched = True
        opened = self._open(args, kwargs)
        context = self._resolved(opened)
        if nurses and mover is not None:
            reader = context.reader(mover)
            if searches and mover.needs_noise:
                check_noise(mover.name, opened.latents, self.begin or 0)
            shift, record, self.previous = nurse_latents(
                context, reader, mover, opened, step, self.previous, is_first=not self.calls
            )
            self.trace.steps.append(record)
            if shift.any():
                self.shift = shift / input_scale(self.scheduler, step.timestep)
        subjects = context.subjects
        active = [i for i in active if self.editors[i].edits(subjects)]
        asks = any(edit.edits(subjects) for edit in asked)
        self._tap(opened, step, context, active, mover if watches else None, asks)

    def _open(self, args: tuple, kwargs: Mapping[str, Any]) -> Opened:
        if self.context is None:
            opened, texts = self.prompts.open(args, kwargs)
            self.texts = texts
            _check_finite("latents hold", opened.latents, self.step().index)
            return opened
        samples = len(self.context.placed)
        return self.family.open(args, kwargs, samples, samples)

    def _resolved(self, opened: Opened) -> Context:
        """What the run draws: found once, at the first step at which anything is done."""
        if self.context is None:
            placed = self.prompts.placed(opened, self.texts)
            total = self.family.columns_of(opened.call)
            columns = batched(placed, total).to(opened.latents.device)
            self.context = Context(self.family, tuple(placed), columns)
            self.trace.prompts = tuple(one.prompt for one in placed)
            self.trace.subjects = tuple(one.subjects for one in placed)
            self.trace.tokens = tuple(one.tokens for one in placed)
            self.trace.columns = tuple(one.columns for one in placed)
        return self.context

    def _tap(
        self,
        opened: Opened,
        step: Step,
        context: Context,
        active: Sequence[int],
        watcher: LatentMethod | None,
        asks: bool,
    ) -> None:
        """Tap the real call's layers: edits act, and what is watched is read after them."""
        family, factor = self.family, self.family.objective_factor()
        everything = {layer.name: layer for layer in family.layers()}
        edited = {
            name
            for name, layer in everything.items()
            if any(self._acts_on(i, layer, factor) for i in active)
        }
        reader = None if watcher is None else context.reader(watcher)
        watched = {layer.name for layer in reader.layers} if reader is not None else set()
        asked = set(everything) if asks else set()
        needed = [layer for name, layer in everything.items() if name in edited | watched | asked]
        if not needed:
            return
        rows: dict[str, Tensor] = {}
        raw: dict[str, Tensor] = {}
        heads: dict[str, int] = {}

        def handle(name: str, call: AttentionCall) -> Tensor:
            self.met.add(name)
            region = family.region(opened, call)
            here = [i for i in active if self._acts_on(i, everything[name], factor)]
            edits = [
                self._layer_edit(i, everything[name], factor, step, call, opened, context)
                for i in here
                if name in edited
            ]
            self.trace.edited_layers += bool(edits)
            heads[name] = call.heads
            if name in asked or (name in watched and not edits):
                raw[name] = call.mean_probabilities(region)
            if not edits:
                if name in watched:
                    rows[name] = raw[name]
                return call.proceed()
            outcome = attend(call, region, edits)
            if name in watched:
                rows[name] = outcome.probabilities()
            return outcome.result

        def note() -> None:
            if set(rows) < watched or set(raw) < asked:
                return
            with uncast(opened.latents.device):
                if watcher is not None and reader is not None:
                    reading = context.reading(reader, rows, heads, opened.size, step)
                    seen, peaks, means = notes(watcher, reading)
                    self.trace.steps.append(StepRecord.watched(step, peaks, means, seen))
                if asks:
                    whole = Reader(tuple(everything.values()), factor)
                    self.readings.append(context.reading(whole, raw, heads, opened.size, step))

        self.taps.callback(note)
        modules = {layer.name: layer.module for layer in needed}
        self.tapped.update(modules)
        self.taps.enter_context(eager())
        self.taps.enter_context(tapped(modules, handle))

    def _acts_on(self, index: int, layer: Layer, factor: int) -> bool:
        return self.editors[index].all_layers or layer.factor == factor

    def _layer_edit(
        self,
        index: int,
        layer: Layer,
        factor: int,
        step: Step,
        call: AttentionCall,
        opened: Opened,
        context: Context,
    ) -> LayerEdit:
        """What an edit does to one layer."""
        height, width = opened.size
        method = self.editors[index]
        given = LayerContext(
            layer=layer.name,
            step=step,
            size=(-(-height // layer.factor), -(-width // layer.factor)),
            subjects=context.subjects,
            columns=context.columns,
            heads=call.heads,
            device=call.query.device,
            memory=self.memories.setdefault((index, layer.name), {}),
            shared=self.shared[index],
            readings=self.readings,
            relations=[one.relations for one in context.placed],
            is_objective=layer.factor == factor,
        )
        bias = method.bias(given)
        if bias is not None:
            return LayerEdit(bias=bias.to(call.query.device))
        return LayerEdit(weights=lambda scores: method.probabilities(scores, given))


def _of_step(args: tuple, kwargs: dict) -> tuple[Any, Any, Tensor, tuple, dict]:
    """Output, timestep and sample of a scheduler's step, and what else it gets."""
    names = ("model_output", "timestep", "sample")
    named = dict(kwargs)
    values = [
        args[place] if place < len(args) else named.pop(name) for place, name in enumerate(names)
    ]
    return values[0], values[1], values[2], args[3:], named


def _check_finite(what: str, values: Tensor, step: int) -> None:
    """Refuse numbers that would spoil all that follows."""
    if not values.isfinite().all():
        raise NonFiniteLoss(
            f"The {what} NaN or infinity at step {step}; they should be finite. Use float32 or "
            "bfloat16 weights, or a smaller step_size."
        )
