"""What is kept of the readings of a step.

Shapes: B samples, H x W the grid of the maps, T text columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from adhere.attention.columns import Columns
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading


def gathered(parts: Sequence[tuple[Reading, int]]) -> Reading:
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


def maps_of(method: LatentMethod, reading: Reading) -> Tensor:
    """The maps that the trace keeps of a reading, (B, H, W, T), in half precision on the CPU."""
    with torch.no_grad():
        return method.maps(reading).half().cpu()


def numbers_of(
    method: LatentMethod, reading: Reading
) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """For each sample the peaks of its subjects, as the method sees them, and their raw means."""
    with torch.no_grad():
        peaks, means = method.peaks(reading), reading.subject_means()
    return [tuple(own.tolist()) for own in peaks], [tuple(own.tolist()) for own in means]
