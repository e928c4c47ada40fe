"""Places for several things: where their maps are highest, and so far apart as is asked.

Shapes: K maps of H x W cells. Lengths are in sides of a square of the same area.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# Of the sides, how far from the edges a place is.
_MARGIN = 0.2
# Arrangements of the first things that are followed up.
_MOST_ARRANGEMENTS = 512


def cells(height: int, width: int) -> Tensor:
    """Centres of the cells, (H * W, 2), from left to right and from the top down."""
    unit = math.sqrt(height * width)
    rows, columns = torch.meshgrid(
        (torch.arange(height) + 0.5) / unit, (torch.arange(width) + 0.5) / unit, indexing="ij"
    )
    return torch.stack([columns.flatten(), rows.flatten()], -1)


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Maps (K, H, W) after a Gaussian of a deviation in cells, edges repeated."""
    reach = max(int(3 * sigma + 0.5), 1)
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-steps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    wide = F.pad(maps[:, None], (reach,) * 4, mode="replicate")
    wide = F.conv2d(wide, kernel.view(1, 1, 1, -1))
    return F.conv2d(wide, kernel.view(1, 1, -1, 1))[:, 0]


def arrange(maps: Tensor, centres: Tensor, near: Tensor) -> tuple[Tensor, float]:
    """The places at which the maps' sum is largest, found by beam search.

    Args:
        maps: (K, H, W).
        centres: of the cells, (H * W, 2).
        near: the distance that each two places keep at least, (K, K).

    Returns:
        The places, (K, 2), and the factor by which all distances had to shrink, in (0, 1].
    """
    count, height, width = maps.shape
    grid = torch.stack(
        [torch.arange(height * width) % width, torch.arange(height * width) // width], -1
    )
    share = (grid + 0.5) / torch.tensor([width, height])
    is_inner = ((share >= _MARGIN) & (share <= 1 - _MARGIN)).all(-1).to(maps.device)
    places, values = centres[is_inner], maps.flatten(1)[:, is_inner]
    distances = torch.cdist(places, places)
    scale = 1.0
    while True:
        totals, chosen = values[0], torch.arange(len(places), device=maps.device)[:, None]
        for index in range(1, count):
            wanted = near[index, :index, None] * scale - 1e-6
            is_free = (distances[chosen] >= wanted).all(1)
            sums = (totals[:, None] + values[index]).masked_fill(~is_free, -torch.inf).flatten()
            totals, best = sums.topk(min(_MOST_ARRANGEMENTS, len(sums)))
            chosen = torch.cat([chosen[best // len(places)], (best % len(places))[:, None]], 1)
        if totals[0] > -torch.inf:
            return places[chosen[0]], scale
        scale *= 0.95
