"""One nursing pass: run the denoiser, read attention, compute the loss, shift the latents.

Shapes: B samples, K of them chosen, T text columns.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall
from adhere.attention.probabilities import uncast
from adhere.attention.tap import Record, recording
from adhere.errors import UnsupportedPipeline
from adhere.families import Family, Layer, Opened
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing.context import Context, Reader
from adhere.nursing.hooks import eager, frozen
from adhere.nursing.notes import gathered, maps_of, numbers_of
from adhere.nursing.records import StepRecord
from adhere.nursing.updates import Evaluation, move

if TYPE_CHECKING:
    from adhere.nursing.editing import Bound

# Small gradients survive half precision when the loss is this much larger on the way back; the
# next is tried where it is too much.
_HALF_PRECISION_SCALES = (4096.0, 64.0, 1.0)
# Self-attention of more cells than this would fill the memory.
_MOST_SELF_CELLS = 1024


def nurse_latents(
    context: Context,
    reader: Reader,
    method: LatentMethod,
    opened: Opened,
    step: Step,
    previous: Reading | None,
    searches: bool,
    bound: Bound | None = None,
) -> tuple[Tensor, StepRecord, Reading]:
    """Where the method would have the latents of a call, and what it saw.

    Only the conditional samples are passed, up to the last layer read; nothing keeps a graph for
    weights. The caller's `torch.autocast` holds for the denoiser, and not for what is made of its
    attention. The latents are taken as the denoiser sees them: there a step size means the same
    whatever the scheduler, which may hold them sqrt(1 + sigma^2) times larger.

    Args:
        context: of the run.
        reader: of the method's layers.
        method: what moves them.
        opened: the pipeline's own call, all branches.
        step: where the loop is.
        previous: the reading of the nursed step before, without a graph.
        searches: whether the method searches for latents first.
        bound: what the method does to attention in its own passes, or None.

    Returns:
        The shift of the denoiser's input, (B, ...) in at least float32; the record; and the last
        reading, without a graph.

    Raises:
        NonFiniteLoss: the loss, its gradient or the moved latents hold NaN or infinity.
        NoAttentionRecorded: a layer did not use PyTorch's attention.
    """
    started = time.perf_counter()
    schedule, device = method.schedule, opened.latents.device
    cast = _autocast_of(device)
    passes = _Passes(context, reader, method, opened, step, previous, bound, cast)
    layers = {layer.name: layer.module for layer in _in_order(context.family, reader, bound)}
    with (
        uncast(device),
        torch.inference_mode(False),
        torch.enable_grad(),
        eager(),
        frozen(context.family.denoiser),
        recording(layers, passes.read, None if bound is None else passes.edit) as record,
    ):
        passes.begin(record)
        precision = torch.promote_types(opened.latents.dtype, torch.float32)
        latents = opened.latents.to(precision).clone()
        start = method.search(latents, passes.search, step).detach() if searches else latents
        is_half = (cast or opened.latents.dtype) is torch.float16
        outcome = move(
            start,
            passes.evaluate,
            schedule.step_size_at(step),
            schedule.threshold_at(step),
            schedule.max_refinements_at(step),
            schedule.updates_on_exit,
            _HALF_PRECISION_SCALES if is_half else (1.0,),
        )
        final = gathered([passes.last[sample] for sample in range(opened.samples)])
        first = [passes.first[sample] for sample in range(opened.samples)]
        seen = StepRecord(
            step=step,
            loss=outcome.loss.float().cpu(),
            peaks=tuple(peaks for peaks, _ in first),
            means=tuple(means for _, means in first),
            maps=maps_of(method, final),
            refinements=outcome.refinements.cpu(),
            truncated_forwards=passes.forwards,
            backwards=outcome.backwards + passes.search_backwards,
            seconds=time.perf_counter() - started,
            searches=tuple(passes.searches[sample] for sample in range(opened.samples)),
            search_gradients=tuple(passes.gradients[sample] for sample in range(opened.samples)),
        )
        return outcome.latents - latents, seen, final


def _autocast_of(device: torch.device) -> torch.dtype | None:
    """The precision of the caller's `torch.autocast`, or None where it is off."""
    is_there = torch.amp.is_autocast_available(device.type)
    if not is_there or not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)


@dataclass
class _Passes:
    """The passes of one nursed step, and what they saw.

    Attributes:
        context: of the run.
        reader: of the method's layers.
        method: what moves latents.
        opened: the pipeline's own call.
        step: where the loop is.
        previous: the reading of the nursed step before.
        bound: what the method does to attention in its passes, or None.
        cast: precision of the caller's autocast, in which the denoiser runs, or None.
        forwards: passes so far.
        search_backwards: gradients that the method's search took.
        searches: the passes of the method's search by sample.
        gradients: those of the search by sample.
        first: each sample's peaks and means in its first evaluation.
        last: each sample's last reading, and its place there.
    """

    context: Context
    reader: Reader
    method: LatentMethod
    opened: Opened
    step: Step
    previous: Reading | None
    bound: Bound | None
    cast: torch.dtype | None
    forwards: int = 0
    search_backwards: int = 0
    searches: Counter[int] = field(default_factory=Counter)
    gradients: Counter[int] = field(default_factory=Counter)
    first: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=dict)
    last: dict[int, tuple[Reading, int]] = field(default_factory=dict)

    def begin(self, record: Record) -> None:
        """Set what passes run by, inside the block in which they may.

        Args:
            record: runs a pass and gives what `read` gave of each layer.
        """
        self.record = record
        self.opened = replace(self.opened, call=self.opened.call.for_autograd())

    def evaluate(self, moving: Tensor, chosen: Tensor) -> Evaluation:
        """The loss of some samples' latents (K, ...), by a pass over them."""
        samples = chosen.tolist()
        reading = self._see(moving, samples)
        loss = self.method.loss(reading)
        score = refining = None
        if self.method.schedule.threshold_at(self.step) is not None:
            score, refining = self.method.score(reading), self.method.refining_loss(reading)
        self._keep(reading.detach(), samples)
        return Evaluation(loss, score, refining)

    def search(self, moving: Tensor, samples: Sequence[int]) -> Reading:
        """What a pass over some samples' latents (K, ...) sees, for the method's search."""
        self.searches.update(samples)
        if moving.requires_grad:
            moving.register_hook(partial(self._count, samples))
        return self._see(moving, list(samples))

    def _count(self, samples: Sequence[int], _: Tensor) -> None:
        self.search_backwards += 1
        self.gradients.update(samples)

    def _keep(self, reading: Reading, samples: list[int]) -> None:
        """Keep a reading as the samples' last, and its numbers where it is their first."""
        if any(sample not in self.first for sample in samples):
            numbers = zip(*numbers_of(self.method, reading), strict=True)
            for sample, own in zip(samples, numbers, strict=True):
                self.first.setdefault(sample, own)
        self.last.update({sample: (reading, place) for place, sample in enumerate(samples)})

    def _see(self, moving: Tensor, samples: list[int]) -> Reading:
        """Run the denoiser on some samples' latents up to the last layer read."""
        self.forwards += 1
        asked = self.context.family.passing(self.opened, moving, samples)
        count = len(samples)
        self.samples = samples
        self.passed = replace(self.opened, call=asked, rows=count, first=0, samples=count)
        found = self.record(self._run)
        return self.context.reading(
            self.reader,
            {layer.name: found[layer.name][0] for layer in self.reader.layers},
            {name: heads for name, (_, _, heads) in found.items()},
            self.opened.size,
            self.step,
            samples,
            {layer.name: found[layer.name][1] for layer in self.reader.self_layers},
            None if self.previous is None else self.previous.take(samples),
        )

    def _run(self) -> None:
        denoiser: Any = self.context.family.denoiser
        device = self.opened.latents.device
        with nullcontext() if self.cast is None else torch.autocast(device.type):
            denoiser.forward(*self.passed.call.args, **self.passed.call.keywords)

    def read(self, name: str, call: AttentionCall) -> tuple[Tensor | None, Tensor | None, int]:
        """Of a layer's call attention to text, self-attention and the number of heads."""
        family, cross, own = self.context.family, None, None
        if any(layer.name == name for layer in self.reader.layers):
            cross = call.mean_probabilities(family.region(self.passed, call))
        if any(layer.name == name for layer in self.reader.self_layers):
            self._check_cells()
            own = call.mean_probabilities(family.self_region(self.passed, call))
        return cross, own, call.heads

    def _check_cells(self) -> None:
        """Refuse self-attention that would fill the memory."""
        height, width = self.passed.size
        cells = height * width // self.reader.factor**2
        if cells > _MOST_SELF_CELLS:
            raise UnsupportedPipeline(
                f"{self.method.name} reads self-attention, of {cells} x {cells} here, which is "
                "too much to hold. Draw a smaller image, or use another method."
            )

    def edit(self, name: str, call: AttentionCall) -> AttentionCall:
        """A layer's call with the method's own edits."""
        assert self.bound is not None
        return self.bound.edited(self.context, self.passed, self.samples, name, call)


def _in_order(family: Family, reader: Reader, bound: Bound | None) -> list[Layer]:
    """All layers that are read or edited, in the order of a pass, up to the last read."""
    if not reader.self_layers and bound is None:
        return list(reader.layers)
    order = {layer.name: float(place) for place, layer in enumerate(family.layers())}
    for place, layer in enumerate(family.self_layers()):
        # In a U-Net each self-attention stands right before the cross-attention of its block.
        order.setdefault(layer.name, place - 0.5)
    read = {layer.name: layer for layer in (*reader.layers, *reader.self_layers)}
    last = max(order[name] for name in read)
    wanted = read | ({} if bound is None else bound.layers)
    ordered = sorted(wanted.values(), key=lambda layer: order[layer.name])
    return [layer for layer in ordered if order[layer.name] <= last]
