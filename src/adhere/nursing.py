"""`nurse`: hooks into an unmodified pipeline, nurses every step, and leaves no trace behind.

One step: before the denoiser runs, the latents are found in its real input, moved by the method,
and the shift is added to the input of every branch; when the scheduler steps, the shift is added
to its sample too. Both see the moved latents, from the first step on.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adhere.adapters import adapter_for
from adhere.adapters.unet import Layer, UNetAdapter, scale_of_input
from adhere.attention.maps import AttentionMaps, smooth
from adhere.attention.tap import AttentionCall, record, tapped
from adhere.errors import AlreadyNursed, NonFiniteLoss, UnsupportedPipeline
from adhere.methods.base import AttentionMethod, LatentMethod, LayerContext, Method, Step
from adhere.subjects import Subject, find_subjects, tokens
from adhere.trace import StepRecord, Trace
from adhere.updates import Reading, move

_MARK = "_adhere_trace"
# Small gradients survive half precision when the loss is this much larger on the way back.
_HALF_PRECISION_SCALE = 1024.0


@contextmanager
def nurse(
    pipe: Any,
    method: Method | Sequence[Method],
    *,
    prompt: str | Sequence[str],
    subjects: Sequence[Any] | None = None,
) -> Iterator[Trace]:
    """Nurse every call of a pipeline inside the block, and leave it as it was.

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
        ValueError: an empty prompt, or several methods that move latents.
    """
    adapter = adapter_for(pipe)
    methods = (method,) if isinstance(method, Method) else tuple(method)
    prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    found = _all_subjects(pipe, prompts, subjects, is_single=isinstance(prompt, str))
    words = tuple(tokens(pipe, text) for text in prompts)
    nursing = _Nursing(adapter, methods, prompts, found, words)
    scheduler = pipe.scheduler
    if hasattr(adapter.denoiser, _MARK) or "step" in vars(scheduler):
        raise AlreadyNursed(
            "The pipeline, or the scheduler that it shares, is inside another nurse block; "
            "leave that one first, or give both methods to one block: nurse(pipe, [a, b], …)."
        )
    parameters = [p for p in adapter.denoiser.parameters() if p.requires_grad]
    restored_correctors = list(getattr(scheduler, "disable_corrector", ()))
    own_step = scheduler.step
    hooks = []
    try:
        object.__setattr__(adapter.denoiser, _MARK, nursing.trace)
        for parameter in parameters:
            parameter.requires_grad_(False)
        hooks.append(
            adapter.module.register_forward_pre_hook(nursing.before_denoiser, with_kwargs=True)
        )
        hooks.append(
            adapter.module.register_forward_hook(nursing.after_denoiser, always_call=True)
        )
        scheduler.step = nursing.around_step(own_step)
        yield nursing.trace
    finally:
        nursing.close()
        for hook in hooks:
            hook.remove()
        vars(scheduler).pop("step", None)
        if hasattr(scheduler, "disable_corrector"):
            scheduler.disable_corrector[:] = restored_correctors
        for parameter in parameters:
            parameter.requires_grad_(True)
        if hasattr(adapter.denoiser, _MARK):
            object.__delattr__(adapter.denoiser, _MARK)


def _all_subjects(
    pipe: Any,
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
        if wanted is not None and all(isinstance(item, Subject) for item in wanted) and wanted:
            found.append(tuple(wanted))
        else:
            found.append(tuple(find_subjects(pipe, text, wanted)))
    return tuple(found)


@dataclass(frozen=True)
class _Call:
    """One call of the denoiser by the pipeline."""

    sample: Tensor
    timestep: Tensor
    others: tuple
    keywords: dict


class _Nursing:
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
        self.ends = tuple(len(own) - 1 for own in words)
        self.layers = adapter.layers()
        self.factor = adapter.objective_factor()
        self.token_range = adapter.token_range()
        self.trace = Trace(methods)
        self.index = 0
        self.previous_timestep = float("inf")
        self.shift: Tensor | None = None
        self.memories: dict[tuple[int, str], dict[str, Tensor]] = {}
        self.open_edit = ExitStack()

    # Shapes: B samples of the conditional half, C latent channels.

    def before_denoiser(self, _: object, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Nurse, add the shift to the input, and open the taps of the edits."""
        call = _split(args, kwargs)
        scheduler = self.adapter.pipe.scheduler
        timestep = float(call.timestep.flatten()[0])
        copies = self.adapter.branches()
        if self.index == 0 or timestep > self.previous_timestep:
            self._begin(call.sample.shape[0], copies)
        self.previous_timestep = timestep
        step = Step(self.index, self._count(), timestep)
        self.trace.full_forwards += 1
        is_first_evaluation = getattr(scheduler, "state_in_first_order", True)
        if self.shift is None and self.mover is not None and is_first_evaluation:
            self.shift = self._nursed(call, step)
        self._open_edits(call, step)
        if self.shift is None:
            return None
        scale = scale_of_input(scheduler, call.timestep)
        channels = self.adapter.latent_channels
        moved = call.sample.clone()
        moved[:, :channels] += (scale * self.shift).to(moved.dtype).repeat(copies, 1, 1, 1)
        return (moved, call.timestep, *call.others), call.keywords

    def after_denoiser(self, *_: object) -> None:
        """Close the taps of the edits."""
        self.open_edit.close()

    def close(self) -> None:
        """Leave nothing open."""
        self.after_denoiser()

    def around_step(self, own: Callable) -> Callable:
        """The scheduler's step with the shift added to its sample."""

        @functools.wraps(own)
        def step(
            model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any
        ) -> Any:
            if self.shift is not None:
                sample = sample + self.shift.to(sample.dtype)
                corrector = getattr(self.adapter.pipe.scheduler, "disable_corrector", None)
                if corrector is not None:
                    # The corrector would rebuild the sample from the one before it was moved.
                    corrector.append(self.index - 1)
            self.shift = None
            self.index += 1
            if self.index >= self._count():
                self.index = 0
            return own(model_output, timestep, sample, *args, **kwargs)

        return step

    def _count(self) -> int:
        return self.adapter.pipe.num_timesteps

    def _begin(self, batch: int, copies: int) -> None:
        """A sampling run begins: forget the former one, and see how its batch is made up."""
        if batch % (copies * len(self.prompts)):
            raise UnsupportedPipeline(
                f"The denoiser got a batch of {batch} for {len(self.prompts)} prompt(s) in "
                f"{copies} branch(es); it should be a multiple of {copies * len(self.prompts)}. "
                "Give nurse the prompts that the pipeline gets; pipelines with three branches "
                "(InstructPix2Pix, PAG) are not supported."
            )
        self.index, self.shift, self.memories = 0, None, {}
        images = batch // copies // len(self.prompts)
        self.trace.begin(
            _repeated(self.prompts, images),
            _repeated(self.subjects, images),
            _repeated(self.words, images),
        )

    def _nursed(self, call: _Call, step: Step) -> Tensor | None:
        """How far this turn's latents are to be moved, (B, C, h, w) float32, or None."""
        mover = self.mover
        assert mover is not None
        step_size = mover.step_size_at(step)
        threshold = mover.threshold_at(step) if mover.max_refinements_at(step) else None
        moves = step_size != 0
        if not moves and not mover.watches:
            return None
        started = time.perf_counter()
        shift, record_of_step = self._pass(call, step, step_size, threshold, moves)
        self.trace.steps.append(
            StepRecord(step=step, seconds=time.perf_counter() - started, **record_of_step)
        )
        return shift

    def _pass(
        self, call: _Call, step: Step, step_size: float, threshold: float | None, moves: bool
    ) -> tuple[Tensor | None, dict]:
        mover, adapter = self.mover, self.adapter
        assert mover is not None
        batch = call.sample.shape[0]
        channels = adapter.latent_channels
        subjects = self.trace.subjects
        ends = _repeated(self.ends, len(subjects) // len(self.ends))
        read = [
            layer
            for layer in self.layers
            if layer.factor == self.factor
            or (mover.reads_finer_levels and layer.factor < self.factor)
        ]
        modules = {layer.name: layer.module for layer in read}
        factors = {layer.name: layer.factor for layer in read}
        peaks: list[tuple[tuple[float, ...], ...]] = []
        last: dict[str, Tensor] = {}
        # Tensors made under inference mode cannot take part in autograd; clones can.
        with torch.inference_mode(False), torch.enable_grad(), _eager(adapter.module):
            conditional = adapter.conditional(call.sample, batch)
            timestep = adapter.conditional(call.timestep, batch)
            others = adapter.conditional(call.others, batch)
            keywords = adapter.conditional(call.keywords, batch)
            # Latents as the denoiser sees them: there a step size means the same whatever the
            # scheduler, which may hold them sqrt(1 + sigma^2) times larger.
            latents = conditional[:, :channels].float()
            if not latents.isfinite().all():
                raise NonFiniteLoss(
                    f"The latents hold NaN or infinity at step {step.index}; they did before "
                    "nursing touched this step. Use float32 or bfloat16 weights."
                )
            rest = conditional[:, channels:]

            def evaluate(moving: Tensor) -> Reading:
                sample = torch.cat([moving.to(rest.dtype), rest], 1)
                probabilities, heads = record(
                    modules,
                    lambda: adapter.denoiser.forward(sample, timestep, *others, **keywords),
                )
                maps = self._maps(probabilities, heads, factors, latents.shape[-2:], ends)
                smoothed = smooth(maps.normalised().detach().movedim(-1, 1)).movedim(1, -1)
                if not peaks:
                    peaks.append(_peaks(smoothed, subjects))
                last["maps"] = smoothed
                if not moves:
                    return Reading(torch.full((len(subjects),), float("nan")))
                attained = None if threshold is None else mover.attained(maps, subjects)
                last["loss"] = mover.loss(maps, subjects, step)
                return Reading(last["loss"], attained)

            if not moves:
                with torch.no_grad():
                    loss = evaluate(latents).loss
                outcome = None
            else:
                is_half = call.sample.dtype is torch.float16
                outcome = move(
                    latents,
                    evaluate,
                    step_size,
                    threshold,
                    mover.max_refinements_at(step),
                    mover.updates_on_exit,
                    loss_scale=_HALF_PRECISION_SCALE if is_half else 1.0,
                )
                loss = last["loss"].detach()
        nothing = torch.zeros(len(subjects), dtype=torch.long)
        scale = scale_of_input(adapter.pipe.scheduler, call.timestep)
        return (None if outcome is None else (outcome.latents - latents) / scale), {
            "loss": loss.float().cpu(),
            "peaks": peaks[0],
            "maps": last["maps"].half().cpu(),
            "refinements": nothing if outcome is None else outcome.refinements.cpu(),
            "truncated_forwards": 1 if outcome is None else outcome.forwards,
            "backwards": 0 if outcome is None else outcome.backwards,
        }

    def _maps(
        self,
        probabilities: dict[str, Tensor],
        heads: dict[str, int],
        factors: dict[str, int],
        latent_size: Sequence[int],
        ends: tuple[int, ...],
    ) -> AttentionMaps:
        height, width = latent_size
        grids = {}
        for name, rows in probabilities.items():
            factor = factors[name]
            grids[name] = rows.unflatten(1, (-(-height // factor), -(-width // factor)))
        return AttentionMaps(grids, heads, (height, width), ends, self.token_range, self.factor)

    def _open_edits(self, call: _Call, step: Step) -> None:
        """Tap the layers that an edit is active in, for the pipeline's own pass."""
        active = [(i, m) for i, m in enumerate(self.editors) if m.is_active(step)]
        if not active:
            return
        layers = [
            layer
            for layer in self.layers
            if any(m.everywhere or layer.factor == self.factor for _, m in active)
        ]
        latent_size = call.sample.shape[-2:]
        by_name = {layer.name: layer for layer in layers}

        def edit(name: str, attention: AttentionCall) -> Tensor:
            return self._edited(by_name[name], attention, active, step, latent_size)

        self.open_edit = ExitStack()
        self.open_edit.enter_context(_eager(self.adapter.module))
        modules = {layer.name: layer.module for layer in layers}
        self.open_edit.enter_context(tapped(modules, edit))

    def _edited(
        self,
        layer: Layer,
        attention: AttentionCall,
        active: Sequence[tuple[int, AttentionMethod]],
        step: Step,
        latent_size: Sequence[int],
    ) -> Tensor:
        """The attention of one layer with the edits in its conditional half."""
        self.trace.edited_layers += 1
        batch, _, pixels, _ = attention.query.shape
        first = batch - batch // self.adapter.branches()
        subjects = self.trace.subjects
        ends = _repeated(self.ends, len(subjects) // len(self.ends))
        here = [(i, m) for i, m in active if m.everywhere or layer.factor == self.factor]
        number = attention.key.shape[2]
        biases = [m.bias(subjects, ends, number) for _, m in here]
        total = sum((b for b in biases if b is not None), torch.zeros(len(subjects), number))
        bias = torch.zeros(batch, 1, 1, number, dtype=attention.query.dtype)
        bias[first:] = total[:, None, None, :].to(bias.dtype)  # type: ignore[union-attr]
        bias = bias.to(attention.query.device)
        free = [(i, m) for (i, m), b in zip(here, biases, strict=True) if b is None]
        if not free:
            mask = attention.attn_mask
            if mask is None:
                return attention.proceed(bias.expand(-1, 1, pixels, -1))
            if mask.dtype is torch.bool:
                mask = torch.zeros_like(mask, dtype=bias.dtype).masked_fill(~mask, float("-inf"))
            return attention.proceed(mask + bias)
        result = attention.proceed()
        with torch.inference_mode(False), torch.no_grad():
            scores = attention.scores(first).clone() + bias[first:].float()
            height, width = (-(-side // layer.factor) for side in latent_size)
            for i, m in free:
                memory = self.memories.setdefault((i, layer.name), {})
                context = LayerContext(layer.name, step, (height, width), subjects, ends, memory)
                weights = m.probabilities(scores, context)
                scores = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
            mixed = weights.to(attention.value.dtype) @ attention.value[first:]
        return torch.cat([result[:first], mixed])


def _repeated(values: tuple, times: int) -> tuple:
    """Each value `times` times in a row, as pipelines repeat prompts for several images."""
    return tuple(value for value in values for _ in range(times))


def _split(args: tuple, kwargs: dict) -> _Call:
    """The denoiser's arguments, whichever way the pipeline passed them."""
    keywords = dict(kwargs)
    rest = list(args)
    sample = rest.pop(0) if rest else keywords.pop("sample")
    timestep = rest.pop(0) if rest else keywords.pop("timestep")
    return _Call(sample, torch.as_tensor(timestep), tuple(rest), keywords)


def _peaks(maps: Tensor, subjects: Sequence[Sequence[Subject]]) -> tuple[tuple[float, ...], ...]:
    """For each sample the highest value of each subject's map; maps are (B, H, W, T)."""
    return tuple(
        tuple(float(maps[b][..., list(s.token_indices)].mean(-1).amax()) for s in own)
        for b, own in enumerate(subjects)
    )


def _eager(module: nn.Module) -> AbstractContextManager:
    """Compiled parts run as plain PyTorch: a pass that is cut short must not be compiled."""
    is_compiled = hasattr(module, "_orig_mod") or any(
        part._compiled_call_impl is not None for part in module.modules()
    )
    return torch.compiler.set_stance("force_eager") if is_compiled else nullcontext()
