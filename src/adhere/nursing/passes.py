"""One nursing pass: run the denoiser, read attention, compute the loss, shift the latents.

Shapes: B samples, K of them chosen, T text columns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall, uncast
from adhere.attention.columns import Columns
from adhere.attention.tap import recording
from adhere.errors import UnsupportedPipeline
from adhere.families import Family, Layer, Opened
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing.context import Context, Reader
from adhere.nursing.hooks import eager, frozen
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
    schedule, family = method.schedule, context.family
    denoiser: Any = family.denoiser
    device = opened.latents.device
    is_cast = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(
        device.type
    )
    everyone = list(range(opened.samples))
    last: dict[int, tuple[Reading, int]] = {}
    first: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    forwards = search_backwards = 0
    layers = {layer.name: layer.module for layer in _in_order(family, reader, bound)}
    crosses = {layer.name for layer in reader.layers}
    selves = {layer.name for layer in reader.self_layers}

    def read(name: str, call: AttentionCall) -> tuple[Tensor | None, Tensor | None, int]:
        cross = own = None
        if name in crosses:
            cross = call.mean_probabilities(family.region(current[0], call))
        if name in selves:
            region = family.self_region(current[0], call)
            cells = current[0].size[0] * current[0].size[1] // reader.factor**2
            if cells > _MOST_SELF_CELLS:
                raise UnsupportedPipeline(
                    f"{method.name} reads self-attention, of {cells} x {cells} here, which is "
                    "too much to hold. Draw a smaller image, or use another method."
                )
            own = call.mean_probabilities(region)
        return cross, own, call.heads

    def edit(name: str, call: AttentionCall) -> AttentionCall:
        assert bound is not None
        return bound.edited(context, current[0], chosen_samples, name, call)

    current: list[Opened] = []
    chosen_samples: list[int] = []
    with (
        uncast(device),
        torch.inference_mode(False),
        torch.enable_grad(),
        eager(),
        frozen(denoiser),
        recording(layers, read, None if bound is None else edit) as record,
    ):
        usable = replace(opened, call=opened.call.for_autograd())
        precision = torch.promote_types(opened.latents.dtype, torch.float32)
        latents = opened.latents.to(precision).clone()

        def see(moving: Tensor, samples: list[int]) -> Reading:
            nonlocal forwards
            forwards += 1
            chosen_samples[:] = samples
            asked = family.passing(usable, moving, samples)
            current[:] = [
                replace(usable, call=asked, rows=len(samples), first=0, samples=len(samples))
            ]

            def run() -> None:
                with torch.autocast(device.type) if is_cast else nullcontext():
                    denoiser.forward(*asked.args, **asked.keywords)

            found = record(run)
            return context.reading(
                reader,
                {name: found[name][0] for name in crosses},
                {name: heads for name, (_, _, heads) in found.items()},
                opened.size,
                step,
                samples,
                {name: found[name][1] for name in selves},
                None if previous is None else previous.take(samples),
            )

        def searched(moving: Tensor, samples: Sequence[int]) -> Reading:
            nonlocal search_backwards

            def count(_: Tensor) -> None:
                nonlocal search_backwards
                search_backwards += 1

            if moving.requires_grad:
                moving.register_hook(count)
            return see(moving, list(samples))

        def evaluate(moving: Tensor, chosen: Tensor) -> Evaluation:
            samples = chosen.tolist()
            reading = see(moving, samples)
            loss = method.loss(reading)
            score = refining = None
            if threshold is not None:
                score, refining = method.score(reading), method.refining_loss(reading)
            kept = reading.detach()
            if any(sample not in first for sample in samples):
                _, peaks, means = notes(method, kept, with_maps=False)
                first.update(
                    {
                        s: (p, m)
                        for s, p, m in zip(samples, peaks, means, strict=True)
                        if s not in first
                    }
                )
            last.update({sample: (kept, place) for place, sample in enumerate(samples)})
            return Evaluation(loss, score, refining)

        start = latents
        if searches:
            start = method.search(latents, searched, step).detach()
        threshold = schedule.threshold_at(step)
        is_half = (torch.get_autocast_dtype(device.type) if is_cast else opened.latents.dtype) is (
            torch.float16
        )
        outcome = move(
            start,
            evaluate,
            schedule.step_size_at(step),
            threshold,
            schedule.max_refinements_at(step),
            schedule.updates_on_exit,
            _HALF_PRECISION_SCALES if is_half else (1.0,),
        )
        shift = outcome.latents - latents
        final = _gathered([last[sample] for sample in everyone])
        maps, _, _ = notes(method, final)
        seen = StepRecord(
            step=step,
            loss=outcome.loss.float().cpu(),
            peaks=tuple(first[sample][0] for sample in everyone),
            means=tuple(first[sample][1] for sample in everyone),
            maps=maps,
            refinements=outcome.refinements.cpu(),
            truncated_forwards=forwards,
            backwards=outcome.backwards + search_backwards,
            seconds=time.perf_counter() - started,
        )
        return shift, seen, final


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


def _gathered(parts: Sequence[tuple[Reading, int]]) -> Reading:
    """The last reading of each sample as one."""
    readings = [reading for reading, _ in parts]
    if all(reading is readings[0] for reading in readings):
        return readings[0]
    singles = [reading.take([place]) for reading, place in parts]
    whole = singles[0]

    def joined(name: str) -> dict[str, Tensor]:
        return {
            layer: torch.cat([getattr(single, name)[layer] for single in singles])
            for layer in getattr(whole, name)
        }

    return replace(
        whole,
        layers=joined("layers"),
        self_layers=joined("self_layers"),
        columns=Columns(
            *(
                torch.cat([getattr(single.columns, name) for single in singles])
                for name in ("words", "specials", "competing")
            )
        ),
        subjects=[subjects for single in singles for subjects in single.subjects],
        previous=None,
        _kept={},
    )


def notes(
    method: LatentMethod, reading: Reading, with_maps: bool = True
) -> tuple[Tensor, list[tuple[float, ...]], list[tuple[float, ...]]]:
    """What the trace keeps of a reading, as the method sees it.

    Returns:
        The maps (B, H, W, T), in half precision on the CPU, or nothing of them; for each sample
        the peaks of its subjects; and their raw mean attention.
    """
    reading = reading.detach() if reading.previous is not None else reading
    with torch.no_grad():
        peaks = [tuple(own.tolist()) for own in method.peaks(reading)]
        means = [tuple(own.tolist()) for own in reading.subject_means()]
        maps = method.maps(reading).half().cpu() if with_maps else torch.empty(0)
    return maps, peaks, means
