"""`nurse`: stands before an unmodified pipeline's denoiser, and leaves no trace behind.

One step: before the denoiser runs, the latents are found in its real input, moved by the method,
and the shift is added to the input of every branch; when the scheduler steps, the shift is added
to its sample too. Both see the moved latents, from the first step on.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adhere.adapters import UNetAdapter, adapter_for
from adhere.adapters.call import DenoiserCall
from adhere.attention.editing import attend
from adhere.attention.tap import AttentionCall, Handler, check_read, tapped, uncast
from adhere.errors import AlreadyNursed, NonFiniteLoss, SubjectNotFound, UnsupportedPipeline
from adhere.methods.base import (
    AttentionMethod,
    LatentMethod,
    LayerContext,
    Method,
    Step,
    checked,
)
from adhere.passes import Reader, eager, notes, nurse_latents
from adhere.schedulers import evaluations, ignores_sample, input_scale, keeping_sample
from adhere.subjects import Subject, find_subjects, tokens
from adhere.texts import check_prompt
from adhere.trace import StepRecord, Trace

_NURSED: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_REGISTRY_LOCK = threading.Lock()


@contextmanager
def nurse(
    pipe: Any,
    method: Method | Sequence[Method],
    *,
    prompt: str | Sequence[str],
    subjects: Sequence[Any] | None = None,
) -> Iterator[Trace]:
    """Nurse every call of a pipeline inside the block, and leave it as it was.

    A pipeline with a scheduler of its own that shares the denoiser is left alone, also while
    another thread uses it.

    Args:
        pipe: a diffusers pipeline around a `UNet2DConditionModel`: text-to-image,
            image-to-image, inpainting, ControlNet; Stable Diffusion 1 and 2, SDXL.
        method: a method, or several: at most one that moves latents (methods that do can be
            added to one) and any number that edit attention. Objectives read the model's own
            attention; edits act on the pipeline's own pass.
        prompt: what the pipeline will be called with, one or several prompts.
        subjects: None to find them; for one prompt a list of words, indices, (attribute, noun)
            pairs or `Subject`s; for several prompts one such list, or None, each.

    Yields:
        The trace, which fills while the pipeline runs.

    Raises:
        UnsupportedPipeline: the pipeline, or a switch that is on in it, cannot be nursed.
        AlreadyNursed: the pipeline is inside another such block.
        SubjectNotFound: a prompt has no subject, or not the one named.
        NoAttentionRecorded: while sampling, when a layer does not use PyTorch's attention.
        NonFiniteLoss: while sampling, when latents or loss become NaN or infinite.
        ValueError: an empty prompt; no method, or what is no instance of one; several methods
            that move latents.
    """
    adapter = adapter_for(pipe)
    methods = checked(method)
    if not isinstance(prompt, Iterable):
        raise ValueError(f"Got {prompt!r} as the prompt; give the text that the pipeline gets.")
    prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    for text in prompts:
        check_prompt(text)
    tokenizer = adapter.tokenizer
    texts = tuple(_spelled_out(pipe, tokenizer, text) for text in prompts)
    found = _all_subjects(tokenizer, texts, subjects, is_single=isinstance(prompt, str))
    words = tuple(tokens(tokenizer, text) for text in texts)
    for own, text, of_text in zip(found, texts, words, strict=True):
        _check_indices(own, text, of_text)
    block = _Block(adapter, methods, prompts, found, words)
    scheduler = pipe.scheduler
    with _REGISTRY_LOCK:
        if adapter.denoiser in _NURSED or "step" in vars(scheduler):
            raise AlreadyNursed(
                "The pipeline, or the denoiser or scheduler that it shares, is inside another "
                "nurse block; leave that one first, or give both methods to one: "
                "nurse(pipe, [a, b], ...)."
            )
        _NURSED.add(adapter.denoiser)
    try:
        with _around_calls(adapter.module, block):
            scheduler.set_timesteps = block.around_set_timesteps(scheduler.set_timesteps)
            scheduler.step = block.around_step(scheduler.step)
            yield block.trace
    finally:
        vars(scheduler).pop("step", None)
        vars(scheduler).pop("set_timesteps", None)
        _NURSED.discard(adapter.denoiser)


@contextmanager
def _around_calls(module: nn.Module, block: _Block) -> Iterator[None]:
    """Inside the block, every call of a module by the nursed pipeline has its arguments changed.

    A module's call runs `_compiled_call_impl` where it has one, which is how PyTorch itself
    compiles a module in place; without, `_call_impl`. Both names are PyTorch's own, not part of
    what it promises, and a test fails by their names if they go. Forward hooks, which are
    promised, would not do: a module compiled in place would compile them too, and those after
    the call do not run after an interrupt, whose open taps would then see the text encoder.
    """
    compiled = vars(module).get("_compiled_call_impl")
    own = module._call_impl if compiled is None else compiled

    def call(*args: Any, **kwargs: Any) -> Any:
        if not block.is_sampling():
            return own(*args, **kwargs)
        is_done = False
        try:
            args, kwargs = block.before_denoiser(args, kwargs) or (args, kwargs)
            result = own(*args, **kwargs)
            is_done = True
            return result
        finally:
            block.after_denoiser(is_done)

    # Set past `__setattr__`, by which a wrapper that torch.compile made would hand it on to the
    # module inside, to be compiled there.
    own_attributes = vars(module)
    own_attributes["_compiled_call_impl"] = call
    try:
        yield
    finally:
        del own_attributes["_compiled_call_impl"]
        if compiled is not None:
            own_attributes["_compiled_call_impl"] = compiled


def _spelled_out(pipe: Any, tokenizer: Any, prompt: str) -> str:
    """The prompt with every token of a textual inversion that has several vectors."""
    convert = getattr(pipe, "maybe_convert_prompt", None)
    return prompt if convert is None else convert(prompt, tokenizer)


def _all_subjects(
    tokenizer: Any,
    prompts: Sequence[str],
    given: Sequence[Any] | None,
    is_single: bool,
) -> tuple[tuple[Subject, ...], ...]:
    """One tuple of subjects for each prompt."""
    if not prompts:
        raise ValueError("Got no prompt; give the one, or the list, that the pipeline gets.")
    if given is None:
        lists: Sequence[Any] = [None] * len(prompts)
    else:
        lists = [given] if is_single else given
    if len(lists) != len(prompts):
        raise ValueError(
            f"Got {len(lists)} lists of subjects for {len(prompts)} prompts; give one list, or "
            "None, for each prompt."
        )
    found = []
    for text, wanted in zip(prompts, lists, strict=True):
        found.append(find_subjects(tokenizer, text, wanted))
    return tuple(found)


def _check_indices(subjects: Sequence[Subject], prompt: str, words: Sequence[str]) -> None:
    """Refuse token indices that are no word of the prompt."""
    for subject in subjects:
        for part in (subject, *subject.attributes):
            if part.token_indices and all(0 < i < len(words) - 1 for i in part.token_indices):
                continue
            listed = ", ".join(f"{i} {word!r}" for i, word in enumerate(words))
            raise SubjectNotFound(
                f"{part.text!r} has token indices {part.token_indices}, which are no words of "
                f"{prompt!r}; choose from those between the start and the end token: {listed}."
            )


class _Block:
    """The state of one block: which turn the loop is at, and the shift of this turn."""

    def __init__(
        self,
        adapter: UNetAdapter,
        methods: tuple[Method, ...],
        prompts: tuple[str, ...],
        subjects: tuple[tuple[Subject, ...], ...],
        words: tuple[tuple[str, ...], ...],
    ) -> None:
        movers = [m for m in methods if isinstance(m, LatentMethod)]
        if len(movers) > 1:
            raise ValueError(
                f"Got {len(movers)} methods that move latents "
                f"({', '.join(m.name for m in movers)}); add them to one: a + 0.5 * b."
            )
        self.adapter, self.mover = adapter, movers[0] if movers else None
        self.editors = [m for m in methods if isinstance(m, AttentionMethod)]
        self.prompts, self.subjects, self.words = prompts, subjects, words
        self.ends: tuple[int, ...] = ()
        self.layers = adapter.layers()
        self.factor = adapter.objective_factor()
        self.reader = None if self.mover is None else Reader.of(adapter, self.mover, subjects)
        self.trace = Trace(methods)
        self.scheduler = adapter.pipe.scheduler
        self.timesteps: Tensor | None = None
        self.calls = 0
        self.is_nursed = False
        self.shift: Tensor | None = None
        self.memories: dict[tuple[int, str], dict[str, Tensor]] = {}
        self.taps = ExitStack()
        self.tapped: set[str] = set()
        self.met: set[str] = set()
        self.thread: int | None = None

    def is_sampling(self) -> bool:
        """Whether this thread is the one in which the nursed pipeline samples."""
        is_replaced = self.adapter.pipe.scheduler is not self.scheduler
        return is_replaced or self.thread == threading.get_ident()

    def around_set_timesteps(self, own: Callable) -> Callable:
        """The scheduler's `set_timesteps`, by which a pipeline begins to sample."""

        @functools.wraps(own)
        def set_timesteps(*args: Any, **kwargs: Any) -> Any:
            self.thread = threading.get_ident()
            return own(*args, **kwargs)

        return set_timesteps

    def before_denoiser(self, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Nurse once a turn, add the shift to the input, and open the taps on this call."""
        call = DenoiserCall(args, kwargs)
        self._follow(call)
        step = self._step(call)
        latents = call.sample[:, : self.adapter.latent_channels]
        _check_finite("latents hold", latents, step.index)
        self.trace.full_forwards += 1
        mover, reader, is_watched = self.mover, self.reader, False
        if mover is not None and reader is not None and not self.is_nursed:
            self.is_nursed = True
            is_repeat = ignores_sample(self.scheduler)
            if mover.step_size_at(step) and (mover.nurses_repeats or not is_repeat):
                self._nurse(call, step, mover, reader)
            else:
                is_watched = mover.watches(step) and not is_repeat
        self._edit(call, step)
        if is_watched and mover is not None and reader is not None:
            # The tap opened last meets attention first, before an edit has changed it.
            self._watch(call, step, mover, reader)
        if self.shift is None:
            return None
        moved = call.sample.clone()
        channels = self.adapter.latent_channels
        scale = input_scale(self.scheduler, call.timestep)
        shift = (scale * self.shift).repeat(len(moved) // len(self.shift), 1, 1, 1)
        moved[:, :channels] = (moved[:, :channels] + shift).to(moved.dtype)
        changed = call.with_sample(moved)
        return changed.args, dict(changed.keywords)

    def after_denoiser(self, is_done: bool) -> None:
        """Close the taps, and see that they met attention in a call that was not broken off."""
        self.taps.close()
        tapped_layers, self.tapped = self.tapped, set()
        met, self.met = self.met, set()
        if is_done:
            check_read(sorted(tapped_layers), met)

    def around_step(self, own: Callable) -> Callable:
        """The scheduler's step with the shift added to its sample."""

        @functools.wraps(own)
        def step(
            model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any
        ) -> Any:
            shift, self.shift, self.is_nursed = self.shift, None, False
            index = self.calls // evaluations(self.scheduler)
            _check_finite("denoiser's predictions hold", model_output, index)
            self.calls += 1
            if self.calls >= self._total():
                self.thread = None
            if shift is None:
                return own(model_output, timestep, sample, *args, **kwargs)
            with keeping_sample(self.scheduler):
                moved = (sample + shift).to(sample.dtype)
                return own(model_output, timestep, moved, *args, **kwargs)

        return step

    def _follow(self, call: DenoiserCall) -> None:
        """Notice that a new sampling run begins: forget the former one, see what the batch is."""
        pipe = self.adapter.pipe
        if pipe.scheduler is not self.scheduler:
            raise UnsupportedPipeline(
                "The pipeline's scheduler was replaced inside the nurse block, where the one "
                "before is nursed; set the scheduler first, then open the block."
            )
        if self.scheduler.timesteps is self.timesteps and self.calls < self._total():
            return
        self.timesteps, self.calls = self.scheduler.timesteps, 0
        self.is_nursed, self.shift, self.memories = False, None, {}
        images = self._images(call)
        self.ends = _repeated(tuple(len(own) - 1 for own in self.words), images)
        self.trace.begin(
            _repeated(self.prompts, images),
            _repeated(self.subjects, images),
            _repeated(self.words, images),
        )

    def _images(self, call: DenoiserCall) -> int:
        """How many images each prompt is to have."""
        rows, branches, prompts = len(call.sample), self.adapter.branches(), len(self.prompts)
        samples = rows // branches
        latents = call.sample[:, : self.adapter.latent_channels].nan_to_num()
        is_whole = rows % (branches * prompts) == 0
        if is_whole and torch.equal(latents[:samples], latents[rows - samples :]):
            self._check_texts(call.text[rows - samples :], samples // prompts)
            return samples // prompts
        raise UnsupportedPipeline(
            f"The denoiser got {rows} rows for {prompts} prompt(s) in {branches} branch(es), and "
            f"they are not as many copies of the same latents. Give nurse the prompts that the "
            "pipeline gets; pipelines with three branches (InstructPix2Pix, PAG) are not "
            "supported."
        )

    def _check_texts(self, texts: Tensor, images: int) -> None:
        """Refuse a pipeline that draws other prompts than these, as far as can be seen.

        Args:
            texts: (B, T, width), what the text encoder made of each sample's prompt.
            images: how many of them each prompt is to have.
        """
        groups = texts.unflatten(0, (len(self.prompts), images))
        is_one = all(
            # A text encoder may round the rows of a batch differently.
            torch.allclose(own, own[:1].expand_as(own), rtol=1e-2, atol=1e-3)
            for own in groups
        )
        is_apart = all(
            own == other or not torch.equal(text[0], next_text[0])
            for own, other, text, next_text in zip(
                self.words, self.words[1:], groups, groups[1:], strict=False
            )
        )
        if not (is_one and is_apart):
            raise UnsupportedPipeline(
                f"The pipeline draws {len(texts)} pictures of other prompts than the "
                f"{len(self.prompts)} that nurse got; give both the same prompts, in one order."
            )

    def _total(self) -> int:
        """Calls of the denoiser in this run."""
        total = getattr(self.adapter.pipe, "num_timesteps", None)
        return len(self.scheduler.timesteps) if total is None else total

    def _step(self, call: DenoiserCall) -> Step:
        each = evaluations(self.scheduler)
        timestep = float(call.timestep.flatten()[0])
        return Step(self.calls // each, -(-self._total() // each), timestep)

    def _nurse(self, call: DenoiserCall, step: Step, mover: LatentMethod, reader: Reader) -> None:
        """Find how far this turn's latents are to be moved."""
        subjects = self.trace.subjects
        seen, record = nurse_latents(self.adapter, reader, mover, call, step, subjects, self.ends)
        self.trace.steps.append(record)
        if seen.any():
            self.shift = seen / input_scale(self.scheduler, call.timestep)

    def _watch(self, call: DenoiserCall, step: Step, mover: LatentMethod, reader: Reader) -> None:
        """Read the maps in the pipeline's own pass."""
        first = len(call.sample) - len(self.ends)
        rows: dict[str, Tensor] = {}
        heads: dict[str, int] = {}

        def read(layer: str, attention: AttentionCall) -> Tensor:
            rows[layer], heads[layer] = attention.mean_probabilities(first), attention.heads
            return attention.proceed()

        def note() -> None:
            if len(rows) < len(reader.layers):
                return
            with uncast(call.sample.device):
                maps = reader.maps(rows, heads, call.sample.shape[-2:], self.ends)
                seen, peaks = notes(mover, maps, self.trace.subjects)
                self.trace.steps.append(StepRecord.watched(step, peaks, seen))

        self.taps.callback(note)
        self._tap(reader.modules, read)

    def _edit(self, call: DenoiserCall, step: Step) -> None:
        """Let the edits that are active act on the pipeline's own pass."""
        active = [(i, m) for i, m in enumerate(self.editors) if m.is_active(step)]
        layers = {
            layer.name: layer
            for layer in self.layers
            if any(m.everywhere or layer.factor == self.factor for _, m in active)
        }
        if not layers:
            return
        height, width = call.sample.shape[-2:]

        def edit(name: str, attention: AttentionCall) -> Tensor:
            self.trace.edited_layers += 1
            factor = layers[name].factor
            here = [(i, m) for i, m in active if m.everywhere or factor == self.factor]
            size = (-(-height // factor), -(-width // factor))
            contexts = [
                LayerContext(
                    name,
                    step,
                    size,
                    self.trace.subjects,
                    self.ends,
                    self.memories.setdefault((i, name), {}),
                )
                for i, _ in here
            ]
            return attend(attention, [m for _, m in here], contexts)

        self._tap({name: layer.module for name, layer in layers.items()}, edit)

    def _tap(self, modules: dict[str, nn.Module], handler: Handler) -> None:
        """Tap layers for the length of this call."""

        def meet(layer: str, attention: AttentionCall) -> Tensor:
            self.met.add(layer)
            return handler(layer, attention)

        self.tapped.update(modules)
        self.taps.enter_context(eager())
        self.taps.enter_context(tapped(modules, meet))


def _check_finite(what: str, values: Tensor, step: int) -> None:
    """Refuse numbers that would spoil all that follows, before they do."""
    if not values.isfinite().all():
        raise NonFiniteLoss(
            f"The {what} NaN or infinity at step {step}; they should be finite. Use float32 or "
            "bfloat16 weights, or a smaller step_size."
        )


def _repeated(values: tuple, times: int) -> tuple:
    """Each value `times` times in a row, as pipelines repeat prompts for several images."""
    return tuple(value for value in values for _ in range(times))
