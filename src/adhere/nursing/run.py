"""One sampling run of a nursed pipeline: where its loop is, and what this step does to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall
from adhere.attention.edits import attend
from adhere.attention.probabilities import uncast
from adhere.attention.tap import check_read, tapped
from adhere.families import Family, Opened, batched
from adhere.methods.base import AttentionMethod, LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.methods.weighted_sum import terms_of
from adhere.nursing.checks import check_finite
from adhere.nursing.context import Context, Reader
from adhere.nursing.editing import Bound, Editing, Place
from adhere.nursing.hooks import eager
from adhere.nursing.noise import check_noise
from adhere.nursing.notes import maps_of, numbers_of
from adhere.nursing.passes import nurse_latents
from adhere.nursing.prompts import Prompts
from adhere.nursing.records import RunTrace, StepRecord
from adhere.nursing.schedulers import (
    begin_of,
    evaluations,
    goes_back,
    ignores_sample,
    input_scale,
    keeping_sample,
    noises_of,
    of_step,
)
from adhere.subjects.relations import find_relations


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
        self.texts: Sequence[Mapping[str, str]] = ()
        self.previous: Reading | None = None
        self.editing = Editing(family, editors)
        self.taps = ExitStack()
        self.tapped: set[str] = set()
        self.met: set[str] = set()

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
        time = self._times[place]
        after = self._times[place + each] if place + each < len(self._times) else 0.0
        return Step(self.calls // each, -(-self.total // each), time, after, self._noises[place])

    @functools.cached_property
    def _times(self) -> list[float]:
        return [float(time) for time in torch.as_tensor(self.scheduler.timesteps).tolist()]

    @functools.cached_property
    def _noises(self) -> list[float]:
        return noises_of(self.scheduler, self._times)

    def is_left(self, timestep: Any) -> bool:
        """Whether the denoiser is called at an earlier time: by another loop, after a break."""
        between = self.calls > 0 and not self.has_begun_step
        return between and goes_back(self._times, (self.begin or 0) + self.calls, timestep)

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
            output, timestep, sample, args, kwargs = of_step(args, kwargs)
            moved = (sample + shift.reshape(sample.shape)).to(sample.dtype)
            with keeping_sample(self.scheduler):
                result = own(output, timestep, moved, *args, **kwargs)
        if self.is_over and self.trace.is_touched:
            latents = result[0] if isinstance(result, tuple) else result.prev_sample
            check_finite("result holds", latents, self.step_count() - 1)
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
            searches = mover.searches_at(step) and not is_repeat
            nurses = searches or (
                bool(schedule.step_size_at(step)) and (schedule.nurses_repeats or not is_repeat)
            )
            watches = not nurses and mover.watches(step) and not is_repeat
        active = [i for i, edit in enumerate(self.editors) if edit.is_active(step)]
        asked = [edit for edit in self.editors if edit.reads(step)]
        if not (nurses or watches or active or asked):
            return
        opened = self._open(args, kwargs)
        context = self._resolved(opened)
        # To watch is all that a method is for which moves nothing and is alone.
        looks = mover is not None and watches and not mover.moves and not self.editors
        self.trace.is_due |= bool(nurses or looks or active)
        self.trace.is_touched |= looks
        if nurses and mover is not None and not context.gives(mover):
            nurses, watches = False, mover.watches(step) and not is_repeat
        if nurses and mover is not None:
            reader = context.reader(mover)
            for part in terms_of(mover):
                if searches and part.needs_noise and part.searches_at(step):
                    check_noise(part.name, opened.latents, self.begin or 0)
            shift, record, self.previous = nurse_latents(
                context,
                reader,
                mover,
                opened,
                step,
                self.previous,
                searches=searches,
                bound=self._bound(mover, active, context, step),
            )
            self.trace.steps.append(record)
            if shift.any():
                self.trace.is_touched = True
                self.shift = shift / input_scale(self.scheduler, step.timestep)
        active = [i for i in active if self.editors[i].edits(context.subjects)]
        self.trace.is_touched |= bool(active)
        asks = any(edit.edits(context.subjects) for edit in asked)
        self._tap(opened, step, context, active, mover if watches else None, asks)

    def _open(self, args: tuple, kwargs: Mapping[str, Any]) -> Opened:
        if self.context is None:
            opened, self.texts = self.prompts.open(args, kwargs)
            check_finite("latents hold", opened.latents, self.step().index)
            return opened
        samples = len(self.context.placed)
        return self.family.open(args, kwargs, samples, samples)

    def _resolved(self, opened: Opened) -> Context:
        """What the run draws: found once, at the first step at which anything is done."""
        if self.context is None:
            placed = self.prompts.placed(opened, self.texts)
            if self.editors:
                words = self.prompts.encoders[0].tokenizer
                found = (find_relations(words, o.prompt, o.subjects) for o in placed)
                placed = [replace(o, relations=r) for o, r in zip(placed, found, strict=True)]
            columns = batched(placed, self.family.columns_of(opened.call))
            columns = columns.to(opened.latents.device)
            self.context = Context(self.family, tuple(placed), columns)
            self.trace.prompts = tuple(one.prompt for one in placed)
            self.trace.subjects = tuple(one.subjects for one in placed)
            self.trace.tokens = tuple(one.tokens for one in placed)
            self.trace.columns = tuple(one.columns for one in placed)
            self.trace.words = tuple(one.word_tokens for one in placed)
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
        family, editing = self.family, self.editing
        everything = {layer.name: layer for layer in family.layers()}
        edited, own = editing.text_layers(active), editing.self_layers(active)
        reader = None if watcher is None else context.reader(watcher)
        watched = {layer.name for layer in reader.layers} if reader is not None else set()
        asked = set(everything) if asks else set()
        needed = {
            name: layer
            for name, layer in (own | everything).items()
            if name in edited or name in own or name in watched or name in asked
        }
        if not needed:
            return
        at = Place(context, opened, step)
        rows: dict[str, Tensor] = {}
        raw: dict[str, Tensor] = {}
        heads: dict[str, int] = {}

        def handle(name: str, call: AttentionCall) -> Tensor:
            self.met.add(name)
            heads[name] = call.heads
            self.trace.edited_layers += name in edited or name in own
            if name in asked or (name in watched and not (name in edited or name in own)):
                raw[name] = call.mean_probabilities(family.region(opened, call))
            if name in own:
                call = editing.with_self(at, call, own[name], active)
            if name in edited:
                region = family.region(opened, call)
                edits = editing.of_text(at, call, edited[name], active)
                outcome = attend(call, region, edits)
                if name in watched:
                    rows[name] = outcome.probabilities()
                return outcome.result
            if name in watched:
                region = family.region(opened, call)
                rows[name] = call.mean_probabilities(region) if name in own else raw[name]
            return call.proceed()

        def note() -> None:
            if set(rows) < watched or set(raw) < asked:
                return
            with uncast(opened.latents.device):
                if watcher is not None and reader is not None:
                    reading = context.reading(reader, rows, heads, opened.size, step)
                    peaks, means = numbers_of(watcher, reading)
                    seen = maps_of(watcher, reading)
                    self.trace.steps.append(StepRecord.watched(step, peaks, means, seen))
                if asks:
                    whole = Reader(tuple(everything.values()), family.objective_factor())
                    editing.reading = context.reading(whole, raw, heads, opened.size, step)

        self.taps.callback(note)
        modules = {name: layer.module for name, layer in needed.items()}
        self.tapped.update(modules)
        self.taps.enter_context(eager())
        self.taps.enter_context(tapped(modules, handle))

    def _bound(
        self, mover: LatentMethod, active: Sequence[int], context: Context, step: Step
    ) -> Bound | None:
        """The edits of a mover that acts in its own passes, or None."""
        terms = terms_of(mover)
        own = [
            i
            for i in active
            if any(self.editors[i] is term for term in terms)
            and self.editors[i].edits(context.subjects)
        ]
        return Bound(self.editing, own, step) if own else None
