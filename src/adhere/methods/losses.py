"""What the objectives of the papers say about one attention map, or about two.

Every function is pure, takes maps of shape (..., H, W) and gives one number a map, of shape (...),
so that the samples of a batch never mix. Gradients flow through everything.

Shapes: ... any leading dimensions (usually B samples, or none), H x W the grid of the map.
"""

import math
from typing import Literal

import torch
from torch import Tensor

FLOOR = 1e-5


def excitation(maps: Tensor) -> Tensor:
    """Returns how far each map's peak falls short of one: `max(0, 1 - max(map))`.

    Args:
        maps: (..., H, W), smoothed attention of one subject in [0, 1].

    Returns:
        (...), in [0, 1] for maps in [0, 1]; 0 where a cell reaches one.

    Source: arXiv 2301.13826, the loss of one subject; the method takes the largest over subjects.
    """
    return (1 - maps.amax((-2, -1))).clamp_min(0)


def total_variation(maps: Tensor, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Returns the absolute difference between neighbours, along rows plus along columns.

    Args:
        maps: (..., H, W), smoothed attention of one subject.
        reduction: "mean" averages each direction over its own pairs of neighbours, which does not
            depend on the size of the grid; "sum" is the paper's, about H x W times larger.

    Returns:
        (...), at least 0; 0 for a flat map. A direction with a single cell adds nothing.

    Raises:
        ValueError: the reduction is neither "mean" nor "sum".

    Source: arXiv 2307.10864, the attendance loss, which sums. The authors' code averages, and its
        vertical part is not one: see `total_variation_to_last_row`.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"got reduction {reduction!r}, expected 'mean' or 'sum'.")
    rows = (maps[..., 1:, :] - maps[..., :-1, :]).abs()
    columns = (maps[..., :, 1:] - maps[..., :, :-1]).abs()
    if reduction == "sum":
        return rows.sum((-2, -1)) + columns.sum((-2, -1))
    return _mean(rows) + _mean(columns)


def total_variation_to_last_row(maps: Tensor) -> Tensor:
    """Returns the mean difference along rows plus the mean distance of every row to the last one.

    This is what the authors' code computes, and what their thresholds were tuned for: the slice
    of the vertical part selects the last row alone, and broadcasting compares rows 1 to H - 1
    with it.

    Args:
        maps: (..., H, W), smoothed attention of one subject.

    Returns:
        (...), at least 0; 0 for a flat map.

    Source: the code published with arXiv 2307.10864; the paper has plain total variation.
    """
    columns = (maps[..., :, 1:] - maps[..., :, :-1]).abs()
    to_last = (maps[..., 1:, :] - maps[..., -1:, :]).abs()
    return _mean(columns) + _mean(to_last)


def jensen_shannon(subject: Tensor, attribute: Tensor) -> Tensor:
    """Returns the Jensen-Shannon divergence of the two maps, each a distribution over the grid.

    The attribute's map is first brought to the subject's peak, then a softmax over the cells makes
    a distribution of each.

    Args:
        subject: (..., H, W), smoothed attention of the subject.
        attribute: (..., H, W), smoothed attention of its attribute.

    Returns:
        (...), in [0, ln 2]; 0 where the maps agree up to their peaks.

    Source: arXiv 2307.10864, the binding loss. The authors' code subtracts a threshold and does
        not normalise again: see `clipped_jensen_shannon`.
    """
    p, q = _distributions(subject, attribute)
    return _divergence(p, q)


def clipped_jensen_shannon(subject: Tensor, attribute: Tensor) -> Tensor:
    """Returns a Jensen-Shannon sum of the two maps' cells above a share of the subject's peak.

    As `jensen_shannon`, but from both distributions a share of the subject's largest cell is
    subtracted, negative cells become zero, 1e-5 is added, and nothing is normalised again. The
    share is 0.3 for a subject whose `total_variation_to_last_row` is below 0.1, else 0.2.

    Args:
        subject: (..., H, W), smoothed attention of the subject in [0, 1].
        attribute: (..., H, W), smoothed attention of its attribute.

    Returns:
        (...), at least 0 because every cell's term is; 0 where the maps agree up to their peaks.

    Source: the code published with arXiv 2307.10864; the paper has `jensen_shannon`.
    """
    p, q = _distributions(subject, attribute)
    share = torch.where(total_variation_to_last_row(subject.detach()) < 0.1, 0.3, 0.2).to(p)
    threshold = (share * p.amax(-1)).unsqueeze(-1)
    return _divergence((p - threshold).relu() + FLOOR, (q - threshold).relu() + FLOOR)


def divergence(shares: Tensor) -> Tensor:
    """Returns the Jensen-Shannon divergence of K distributions over ln K.

    Args:
        shares: (K, N), each a distribution over N cells.

    Returns:
        (), in [0, 1]; 0 for one distribution.

    Source: arXiv 2510.02315.
    """
    if len(shares) < 2:
        return shares.new_zeros(())
    tiny = _smallest(shares)
    ratio = shares.clamp_min(tiny).log() - shares.mean(0).clamp_min(tiny).log()
    return (shares * ratio).sum(-1).mean() / math.log(len(shares))


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Returns the overlap of two maps: the sum of the smaller cells over the sum of all cells.

    Args:
        first: (..., H, W), at least 0.
        second: (..., H, W), at least 0.

    Returns:
        (...), in [0, 0.5]; 0 where the maps share no cell, 0.5 where they are equal.

    Source: arXiv 2306.14544, the segregation loss of two subjects.
    """
    total = (first + second).sum((-2, -1))
    return torch.minimum(first, second).sum((-2, -1)) / total.clamp_min(_smallest(total))


def pairs(count: int) -> tuple[list[int], list[int]]:
    """Returns the unordered pairs of `count` things, as two lists of equal length."""
    return tuple(torch.triu_indices(count, count, 1).tolist())  # type: ignore[return-value]


def mean_overlap(maps: Tensor) -> Tensor:
    """Returns the mean overlap of all pairs of maps (S, H, W), in [0, 0.5]; 0 for one map."""
    first, second = pairs(len(maps))
    shared = overlap(maps[first], maps[second])
    return shared.sum() / max(len(shared), 1)


def foreground(values: Tensor, levels: int | None = None) -> Tensor:
    """Returns which cells of a map stand out, by Otsu's threshold, as bool.

    Args:
        values: (H, W), in [0, 1] where `levels` counts. No gradient passes.
        levels: values are first rounded down to so many equal parts of one, and the highest part
            below the split counts as standing out; None splits the values as they are.

    Returns:
        (H, W); the split of the sorted values with the largest variance between the two parts. Of
        a flat map all cells stand out.

    Source: the code published with arXiv 2404.04650, which counts in 255 levels.
    """
    counted = values.detach() if levels is None else (values.detach() * levels).floor()
    # Apple's devices have no numbers of double precision.
    ordered = counted.flatten().cpu().double().sort().values
    count = torch.arange(1, len(ordered), device=ordered.device)
    low = ordered.cumsum(0)[:-1]
    means = low / count, (ordered.sum() - low) / (len(ordered) - count)
    between = count * (len(ordered) - count) * (means[1] - means[0]).square()
    if not len(between) or not between.max() > 0:
        return torch.ones_like(values, dtype=torch.bool)
    last_below = between.argmax()
    if levels is None:
        return values.detach() >= ordered[last_below + 1].item()
    return values.detach() >= ordered[last_below].item() / levels


def blob(mask: Tensor, cell: Tensor) -> Tensor:
    """Returns the cells of a mask that are joined to one of its cells, side by side.

    Args:
        mask: (H, W), bool.
        cell: (), the index of a cell of the flattened mask.

    Returns:
        (H, W), bool.
    """
    found = torch.zeros_like(mask)
    found.view(-1)[cell] = True
    while True:
        flat = found[None].float()
        down = torch.nn.functional.max_pool2d(flat, (3, 1), 1, (1, 0))
        along = torch.nn.functional.max_pool2d(flat, (1, 3), 1, (0, 1))
        grown = (torch.maximum(down, along)[0] > 0) & mask | found
        if torch.equal(grown, found):
            return found
        found = grown


def outside_blob(maps: Tensor, levels: int | None = None) -> Tensor:
    """Returns the sum over maps of the largest cell outside the blob of each one's peak.

    A map whose largest cell outside is no higher than its lowest cell inside adds nothing.

    Args:
        maps: (S, H, W), smoothed attention of the subjects in [0, 1].
        levels: of Otsu's threshold, see `foreground`.

    Returns:
        (), at least 0.

    Source: the code published with arXiv 2404.04650; the paper has no such term.
    """
    total = maps.new_zeros(())
    for own in maps:
        inside = blob(foreground(own, levels), own.flatten().argmax())
        highest = own.masked_fill(inside, 0).amax()
        total = total + highest * (highest > own[inside].amin())
    return total


def _smallest(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny


def _mean(values: Tensor) -> Tensor:
    """Returns the mean over the last two dimensions, 0 where there is nothing to average."""
    return values.sum((-2, -1)) / max(values.shape[-2] * values.shape[-1], 1)


def _distributions(subject: Tensor, attribute: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both maps as distributions over the cells, (..., H x W), peaks made equal."""
    if subject.shape != attribute.shape:
        raise ValueError(
            f"got a subject map of shape {tuple(subject.shape)} and an attribute map of shape"
            f" {tuple(attribute.shape)}, expected equal shapes: resize the attribute's map first."
        )
    # A map that underflowed to zero everywhere has no peak to divide by.
    smallest = torch.finfo(attribute.dtype).tiny
    peak = attribute.amax((-2, -1), keepdim=True).clamp_min(smallest)
    attribute = attribute / peak * subject.amax((-2, -1), keepdim=True)
    return subject.flatten(-2).softmax(-1), attribute.flatten(-2).softmax(-1)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Returns `1/2 sum p log(2p / (p + q)) + 1/2 sum q log(2q / (p + q))` over the last axis."""
    middle = (0.5 * (p + q)).log()
    return 0.5 * ((p * (p.log() - middle)).sum(-1) + (q * (q.log() - middle)).sum(-1))
