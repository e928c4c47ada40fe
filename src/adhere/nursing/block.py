"""`nurse`: shifts an unmodified pipeline's latents before each step, and edits its attention.

One step: before the denoiser runs, the latents are found in its real input, moved by the method,
and the shift is added to the input of every branch. When the scheduler steps, the shift is added
to its sample too. Both see the moved latents, from the first step on.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ContextDecorator, ExitStack, contextmanager
from functools import partial
from typing import Any

from adhere.errors import AdhereWarning, AlreadyNursed, UnsupportedPipeline
from adhere.families import Family, family_of
from adhere.families.given import overhearing
from adhere.methods.base import AttentionMethod, LatentMethod, Method, checked
from adhere.methods.weighted_sum import terms_of
from adhere.nursing.checks import (
    acting,
    check_boxes,
    checked_boxes,
    checked_prompts,
    names_of,
    warn_of_late_thresholds,
)
from adhere.nursing.hooks import around_calls, shadowed
from adhere.nursing.prompts import Prompts
from adhere.nursing.records import RunTrace
from adhere.nursing.run import Run
from adhere.nursing.schedulers import warn_of_unknown
from adhere.nursing.trace import Trace

_NURSED: weakref.WeakSet[Any] = weakref.WeakSet()
_NURSED_LOCK = threading.Lock()
# Steps so short change no float: who asks for them, such as a probe, wants to move nothing.
_NO_LENGTH = 1e-20


def nurse(
    pipe: Any,
    method: Method | Sequence[Method],
    *,
    prompt: str | Sequence[str] | None = None,
    subjects: Sequence[Any] | None = None,
    boxes: Mapping[str, Sequence[float]] | None = None,
) -> AbstractContextManager[Trace]:
    """Nurse every call of a pipeline inside the block, and leave it as it was.

    A pipeline that shares the denoiser but not the scheduler is left alone, also in another
    thread.

    Args:
        pipe: a diffusers pipeline, modular ones too, around a denoiser that is known; see
            `adhere.families`.
        method: a method, or several: at most one that moves latents (methods that do can be
            added to one) and any number that edit attention. Objectives read the model's own
            attention; edits act on the pipeline's own pass.
        prompt: what the pipeline will be called with. It is overheard where the pipeline encodes
            its prompt itself; give it where the pipeline is called with embeddings.
        subjects: None to find them; for one prompt a list of words, indices, (attribute, noun)
            pairs or `Subject`s; for several prompts one such list, or None, each.
        boxes: places of subjects by their name, each (left, top, right, bottom) in fractions of
            the image.

    Returns:
        A context manager that gives the trace, which fills while the pipeline runs; entered
        again, it gives a new one.

    Raises:
        UnsupportedPipeline: the pipeline, or a switch that is on in it, cannot be nursed; or it
            is called with another prompt than the one given here.
        AlreadyNursed: the pipeline is inside another such block.
        SubjectNotFound: a prompt has no subject, or not the one named.
        UnfitPrompt: a prompt has fewer subjects than the method needs.
        NoAttentionRecorded: while sampling, when a layer does not use PyTorch's attention.
        NonFiniteLoss: while sampling, when latents or loss become NaN or infinite.
        ValueError: an empty prompt; no method, or an object that is not a method; several methods
            that move latents; boxes that no method reads, none where one needs them, or one
            outside the image.
    """
    return _Reentrant(partial(nursed, pipe, method, prompt, subjects, boxes))


@contextmanager
def nursed(
    pipe: Any,
    method: Method | Sequence[Method],
    prompt: str | Sequence[str] | None,
    subjects: Sequence[Any] | None,
    boxes: Mapping[str, Sequence[float]] | None,
    has_timesteps: bool = False,
) -> Iterator[Trace]:
    """What `nurse` opens.

    With `has_timesteps` this thread has set the scheduler's timesteps already, so that the loop
    begins with the denoiser's next call.
    """
    family = family_of(pipe)
    methods = checked(method)
    check_boxes(methods, boxes)
    texts = checked_prompts(prompt)
    is_list = prompt is not None and not isinstance(prompt, str)
    prompts = Prompts(family, methods, texts, is_list, subjects, checked_boxes(boxes))
    for index, text in enumerate(texts or ()):
        prompts.subjects({"prompt": text}, index, len(texts or ()))
    for one in (term for method in methods for term in terms_of(method)):
        if one.needs_joint_attention and not family.is_joint:
            raise UnsupportedPipeline(
                f"{one.name} weighs text against image in one softmax, and in "
                f"{type(family.denoiser).__name__} the image attends to text alone. Use another "
                "method, or a pipeline with joint attention such as FLUX or Stable Diffusion 3."
            )
    for one in methods:
        if isinstance(one, LatentMethod):
            family.chosen(one.layers)
    warn_of_late_thresholds(methods)
    warn_of_unknown(pipe.scheduler)
    block = _Block(family, methods, prompts)
    if has_timesteps:
        block.thread = threading.get_ident()
    scheduler = pipe.scheduler
    parts = {family.denoiser, scheduler}
    with _NURSED_LOCK:
        if not _NURSED.isdisjoint(parts):
            raise AlreadyNursed(
                "The pipeline, or the denoiser or scheduler that it shares, is inside another "
                "nurse block. Leave that one first, or give both methods to one: "
                "nurse(pipe, [a, b], ...)."
            )
        _NURSED.update(parts)
    try:
        with ExitStack() as covers:
            block.is_covered = covers.enter_context(around_calls(family.called, block))
            covers.enter_context(shadowed(scheduler, "set_timesteps", block.around_set_timesteps))
            covers.enter_context(shadowed(scheduler, "step", block.around_step))
            covers.enter_context(shadowed(pipe, "encode_prompt", prompts.overhear))
            prompts.encoded = covers.enter_context(overhearing(pipe, prompts.encoders))
            yield block.trace
    finally:
        with _NURSED_LOCK:
            _NURSED.difference_update(parts)
    block.warn_if_idle()


class _Reentrant(AbstractContextManager[Trace], ContextDecorator):
    """A block that opens anew each time that it is entered."""

    def __init__(self, make: Callable[[], AbstractContextManager[Trace]]) -> None:
        self._make = make
        self._opened: list[AbstractContextManager[Trace]] = []

    def __enter__(self) -> Trace:
        block = self._make()
        trace = block.__enter__()
        self._opened.append(block)
        return trace

    def __exit__(self, *error: Any) -> bool | None:
        return self._opened.pop().__exit__(*error)


class _Block:
    """What a block knows between the runs of its pipeline."""

    def __init__(self, family: Family, methods: tuple[Method, ...], prompts: Prompts) -> None:
        movers = [m for m in methods if isinstance(m, LatentMethod)]
        if len(movers) > 1:
            raise ValueError(
                f"Got {len(movers)} methods that move latents "
                f"({', '.join(m.name for m in movers)}); add them to one: a + 0.5 * b."
            )
        self.family, self.prompts = family, prompts
        self.mover = movers[0] if movers else None
        terms = [term for method in methods for term in terms_of(method)]
        self.editors = [term for term in terms if isinstance(term, AttentionMethod)]
        self.trace = Trace(methods)
        self.scheduler = family.pipe.scheduler
        self.is_covered: Callable[[], bool] = lambda: True
        self.thread: int | None = None
        self.run: Run | None = None

    def is_mine(self, args: tuple, kwargs: dict) -> bool:
        """Whether a denoiser call in this thread is the nursed pipeline's."""
        if self.family.pipe.scheduler is not self.scheduler:
            raise UnsupportedPipeline(
                "The pipeline's scheduler was replaced inside the nurse block, where the one "
                "before is nursed. Set the scheduler first, then open the block."
            )
        if self.thread != threading.get_ident():
            return False
        if self.run is not None and self.run.is_left(self.family.timestep(args, kwargs)):
            self.run = self.thread = None
        return self.thread is not None

    def around_set_timesteps(self, own: Callable) -> Callable:
        """The scheduler's `set_timesteps`, by which a pipeline begins a run in its thread."""

        def set_timesteps(*args: Any, **kwargs: Any) -> Any:
            here, run = threading.get_ident(), self.run
            if self.family.is_replaced() or not self.is_covered():
                raise UnsupportedPipeline(
                    "The pipeline's denoiser was replaced or compiled inside the nurse block, "
                    "where the one before is nursed. Do that first, then open the block."
                )
            if run is not None and run.calls and self.thread != here and self.thread is not None:
                raise UnsupportedPipeline(
                    "Two threads sample with one scheduler, whose state they would mix. Give each "
                    "pipeline a copy: pipe.scheduler = copy.deepcopy(pipe.scheduler)."
                )
            self.thread, self.run = here, None
            return own(*args, **kwargs)

        return set_timesteps

    def around_step(self, own: Callable) -> Callable:
        """The scheduler's step."""

        def step(*args: Any, **kwargs: Any) -> Any:
            run = self.run
            if run is None or self.thread != threading.get_ident():
                return own(*args, **kwargs)
            result = run.around_step(own, *args, **kwargs)
            if run.is_over:
                self.run = self.thread = None
                self.prompts.heard.clear()
            return result

        return step

    def before_denoiser(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """A run begins at its first call."""
        if self.run is None:
            self.trace.runs.append(RunTrace())
            self.run = Run(
                self.family, self.prompts, self.mover, self.editors, self.trace.runs[-1]
            )
        return self.run.before_denoiser(args, kwargs)

    def after_denoiser(self, is_done: bool) -> None:
        """Close what was open for one call."""
        if self.run is not None:
            self.run.after_denoiser(is_done)

    def warn_if_idle(self) -> None:
        """Say so where nothing was done."""
        runs = self.trace.runs
        was_due = any(run.is_due for run in runs)
        if not self.trace.runs:
            why = (
                "the pipeline did not sample inside the nurse block. Call it there, with the "
                "scheduler that it had when the block began."
            )
        elif any(run.is_touched for run in runs) or self._is_asked_for_nothing():
            return
        elif was_due and self._has_told():
            return
        elif was_due:
            why = (
                "with these subjects and parameters it has nothing to do. Name more with "
                "subjects=, give other parameters, or use another method."
            )
        else:
            why = (
                f"none of the denoiser's {self.trace.full_forwards} calls lies in the method's "
                "window. Use more steps, or a wider window (start, stop)."
            )
        names = names_of(self.trace.methods)
        warnings.warn(f"{names} nursed nothing: {why}", AdhereWarning, stacklevel=5)

    def _has_told(self) -> bool:
        """Whether each method lacks attributes, of which a warning has told."""
        own = (subject for subjects in self.trace.subjects for subject in subjects)
        is_bare = not any(subject.attributes for subject in own)
        return is_bare and all(method.needs_attributes for method in acting(self.trace.methods))

    def _is_asked_for_nothing(self) -> bool:
        """Whether the user asked for nothing, by empty windows or steps of no length."""
        return all(_is_empty(method) for method in acting(self.trace.methods))


def _is_empty(method: Method) -> bool:
    """Whether a method's window is empty, or its steps have no length."""
    when, is_short = method, False
    if isinstance(method, LatentMethod):
        when = method.schedule
        is_short = method.moves and when.step_size < _NO_LENGTH
    return is_short or getattr(when, "start", 0.0) >= getattr(when, "stop", 1.0)
