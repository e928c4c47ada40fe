"""The nursing pass: what latents make of attention, and where the method moves them.

Shapes: B samples, K of them chosen, C x h x w a sample's latents, T tokens.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adhere.adapters import UNetAdapter
from adhere.adapters.call import DenoiserCall
from adhere.adapters.unet import Layer
from adhere.attention.maps import AttentionMaps, TokenRange
from adhere.attention.tap import recording, uncast
from adhere.errors import UnsupportedPipeline
from adhere.methods.base import LatentMethod, Step, Subjects
from adhere.trace import StepRecord
from adhere.updates import Reading, move

# Small gradients survive half precision when the loss is this much larger on the way back; the
# next is tried where it is too much.
_HALF_PRECISION_SCALES = (4096.0, 64.0, 1.0)


@dataclass(frozen=True)
class Reader:
    """Makes attention maps of what the taps read in one model.

    Attributes:
        layers: the layers to read, in the order in which a pass meets them.
        factor: the level that objectives read.
        token_range: which columns count.
    """

    layers: tuple[Layer, ...]
    factor: int
    token_range: TokenRange

    @classmethod
    def of(cls, adapter: UNetAdapter, method: LatentMethod, subjects: Subjects) -> Reader:
        """What a method needs of a model, for these subjects."""
        factor = adapter.objective_factor()
        is_finer = method.reads_finer_levels(subjects)
        layers = tuple(
            layer
            for layer in adapter.layers()
            if layer.factor == factor or (is_finer and layer.factor < factor)
        )
        return cls(layers, factor, adapter.token_range())

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The attention modules by name."""
        return {layer.name: layer.module for layer in self.layers}

    def maps(
        self,
        probabilities: Mapping[str, Tensor],
        heads: Mapping[str, int],
        latent_size: Sequence[int],
        ends: tuple[int, ...],
    ) -> AttentionMaps:
        """The maps of one pass, from each layer's rows (B, N, T)."""
        height, width = latent_size
        grids = {}
        for layer in self.layers:
            rows = probabilities[layer.name]
            size = (-(-height // layer.factor), -(-width // layer.factor))
            if rows.shape[1] != size[0] * size[1]:
                raise UnsupportedPipeline(
                    f"The attention of {layer.name} has {rows.shape[1]} places where "
                    f"{size[0]} x {size[1]} were expected; undo what merges tokens."
                )
            grids[layer.name] = rows.unflatten(1, size)
        return AttentionMaps(grids, heads, (height, width), ends, self.token_range, self.factor)


def nurse_latents(
    adapter: UNetAdapter,
    reader: Reader,
    method: LatentMethod,
    call: DenoiserCall,
    step: Step,
    subjects: Subjects,
    ends: tuple[int, ...],
) -> tuple[Tensor, StepRecord]:
    """Where the method would have the latents of a call, and what it saw.

    Only the conditional half is passed, up to the last layer read; nothing keeps a graph for
    weights. The caller's `torch.autocast` holds for the denoiser, and not for what is made of its
    attention. The latents are taken as the denoiser sees them: there a step size means the same
    whatever the scheduler, which may hold them sqrt(1 + sigma^2) times larger.

    Args:
        adapter: of the pipeline.
        reader: of the method's layers.
        method: what moves them.
        call: the pipeline's own call, all branches.
        step: where the loop is.
        subjects: one list a sample.
        ends: for each sample the position of its end token.

    Returns:
        The shift of the denoiser's input, (B, C, h, w) in at least float32; and the record.

    Raises:
        NonFiniteLoss: the loss, its gradient or the moved latents hold NaN or infinity.
        NoAttentionRecorded: a layer did not use PyTorch's attention.
    """
    started = time.perf_counter()
    step_size, threshold = method.step_size_at(step), method.threshold_at(step)
    channels = adapter.latent_channels
    final: dict[int, tuple[Tensor, tuple[float, ...]]] = {}
    initial: dict[int, tuple[float, ...]] = {}
    denoiser = adapter.denoiser
    device = call.sample.device
    is_cast = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(
        device.type
    )
    with (
        uncast(device),
        torch.inference_mode(False),
        torch.enable_grad(),
        eager(),
        frozen(denoiser),
        recording(reader.modules) as record,
    ):
        own = call.take(slice(len(call.sample) - len(subjects), None)).for_autograd()
        sample = own.sample
        latents = sample[:, :channels].to(torch.promote_types(sample.dtype, torch.float32))

        def evaluate(moving: Tensor, chosen: Tensor) -> Reading:
            # A copy each time: T2I-Adapter's residuals are a list that the denoiser empties.
            part = own.take(slice(None) if len(chosen) == len(subjects) else chosen)
            extra = part.sample[:, channels:]
            asked = part.with_sample(torch.cat([moving.to(sample.dtype), extra], 1))

            def run() -> None:
                with torch.autocast(device.type) if is_cast else nullcontext():
                    denoiser.forward(*asked.args, **asked.keywords)

            probabilities, heads = record(run)
            places = chosen.tolist()
            their_ends = tuple(ends[b] for b in places)
            their_subjects = [subjects[b] for b in places]
            maps = reader.maps(probabilities, heads, sample.shape[-2:], their_ends)
            noted = notes(method, maps, their_subjects)
            for b, seen, peaks in zip(places, *noted, strict=True):
                final[b] = seen, peaks
                initial.setdefault(b, peaks)
            attained = None if threshold is None else method.attained(maps, their_subjects)
            return Reading(method.loss(maps, their_subjects, step), attained)

        precision = torch.get_autocast_dtype(device.type) if is_cast else sample.dtype
        outcome = move(
            latents,
            evaluate,
            step_size,
            threshold,
            method.max_refinements_at(step),
            method.updates_on_exit,
            _HALF_PRECISION_SCALES if precision is torch.float16 else (1.0,),
        )
        shift = outcome.latents - latents
        samples = range(len(subjects))
        return shift, StepRecord(
            step=step,
            loss=outcome.loss.float().cpu(),
            peaks=tuple(initial[b] for b in samples),
            maps=torch.stack([final[b][0] for b in samples]),
            refinements=outcome.refinements.cpu(),
            truncated_forwards=outcome.forwards,
            backwards=outcome.backwards,
            seconds=time.perf_counter() - started,
        )


def notes(
    method: LatentMethod, maps: AttentionMaps, subjects: Subjects
) -> tuple[list[Tensor], list[tuple[float, ...]]]:
    """What the trace keeps of maps, as the method sees them.

    Returns:
        For each sample its maps (H, W, T), in half precision on the CPU; and the peaks of its
        subjects.
    """
    maps = maps.detach()
    peaks = [tuple(own.tolist()) for own in method.peaks(maps, subjects)]
    return list(method.sees(maps).half().cpu()), peaks


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside the block, so that no graph is kept for weights."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def eager() -> AbstractContextManager:
    """Compiled parts run as plain PyTorch: taps are Python, and a pass cut short must not compile.

    Importing the compiler takes seconds, so where nothing else has done it there is nothing to do.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
