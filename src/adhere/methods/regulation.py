"""The edit of attention scores that makes every target's attention high and their shares equal.

Attention Regulation solves a small problem in each layer at each step: weights for Gaussian bumps,
one set for each head and target, whose sum is added to the targets' scores. Here the gradient is
written out, so nothing needs autograd, and every token that is no target is folded into a single
column first: an edit leaves their relative shares alone, so their sum is all that matters. Both
are exact.

Shapes: B samples, A heads, S targets, C bumps, N = H x W cells, T tokens.
"""

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from adhere.attention.columns import Columns
from adhere.typed import Fraction, NonNegative, typed


@typed
class Goal:
    """What the edit strives for, as the weights and aims of three squared penalties.

    Attributes:
        quantile: which quantile of a subject's attention over the cells is to reach `peak`.
        peak: what that quantile is to be.
        share: what a subject's mean attention is to be; 1 / S where shares do not fit into one.
        peak_weight: weight of the penalty on the quantile, `(quantile - peak)^2`.
        share_weight: weight of the penalty on the mean, `(mean - share)^2`.
        size_weight: weight of the penalty on the bumps' weights, their mean square.

    Source: arXiv 2403.06381; the numbers are those of the authors' code.
    """

    quantile: Fraction = 0.9
    peak: Fraction = 0.9
    share: Fraction = 0.2
    peak_weight: NonNegative = 1.0
    share_weight: NonNegative = 80.0
    size_weight: NonNegative = 0.09


def make_bumps(height: int, width: int, device: torch.device | str | None = None) -> Tensor:
    """Returns Gaussian bumps on a regular lattice over the grid.

    The standard deviation is a sixteenth of the shorter side, at least one cell, and the lattice
    has twice that as its distance. Columns vary slowest. A side too short for the lattice has one
    bump in its middle.

    Args:
        height: cells in a column of the grid.
        width: cells in a row of the grid.
        device: where the bumps are to live.

    Returns:
        (C, height * width), in (0, 1]; C is 49 for 16 x 16, 32 x 32 and 64 x 64, 9 for 8 x 8.

    Source: the code published with arXiv 2403.06381, which knows square grids of 16 cells a side
        or more and fails on smaller ones.
    """
    spread = max(1, min(height, width) // 16)
    rows, columns = _profiles(height, spread, device), _profiles(width, spread, device)
    return torch.einsum("xw,yh->xyhw", columns, rows).reshape(-1, height * width)


def random_weights(shape: tuple[int, int, int], bumps: Tensor, seed: str | None) -> Tensor:
    """Returns uniform random numbers in [0, 1) where the descent begins.

    Args:
        shape: B, A and S.
        bumps: (C, N), from `make_bumps`.
        seed: the same numbers for every sample; None takes them from torch's global generator, in
            the order of the authors' code.

    Returns:
        (B, A, S, C).
    """
    samples, heads, targets = shape
    if seed is None:
        drawn = torch.rand((samples * heads, len(bumps), targets), device=bumps.device)
        return drawn.view(samples, heads, len(bumps), targets).mT.to(bumps)
    generator = torch.Generator().manual_seed(zlib.crc32(seed.encode()))
    drawn = torch.rand((heads, targets, len(bumps)), generator=generator)
    return drawn.expand(samples, -1, -1, -1).to(bumps)


def fold(scores: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Returns the scores with each target's tokens in one row, and all other tokens in the last.

    A row is the log of the sum of exponentials of its tokens' scores, so a softmax over the rows
    gives the tokens' summed probabilities.

    Args:
        scores: (..., N, T), scaled scores before the softmax over T tokens.
        targets: S groups of token indices, each with at least one, none twice.

    Returns:
        (..., S + 1, N).
    """
    named = torch.tensor([index for tokens in targets for index in tokens], device=scores.device)
    others = scores.index_fill(-1, named, -math.inf).logsumexp(-1)
    rows = [
        scores[..., tokens[0]] if len(tokens) == 1 else scores[..., list(tokens)].logsumexp(-1)
        for tokens in targets
    ]
    return torch.stack([*rows, others], -2)


def regulate(
    scores: Tensor,
    weights: Tensor,
    bumps: Tensor,
    goal: Goal,
    *,
    iterations: int = 20,
    rate: float = 100.0,
) -> tuple[Tensor, Tensor]:
    """Returns the best edit that gradient descent on the weights of the bumps comes across.

    The last update of the weights would never be looked at, so it is not made.

    Args:
        scores: (B, A, S + 1, N), from `fold`.
        weights: (B, A, S, C), where the descent begins.
        bumps: (C, N), from `make_bumps`.
        goal: what to strive for.
        iterations: how many edits are looked at, at least 1.
        rate: step of the descent on one head's penalty.

    Returns:
        The edit (B, A, S, N) with the smallest penalty, and that penalty (B,), a mean over heads.
        Which of the edits is best is decided for each sample by itself.

    Source: arXiv 2403.06381. The authors' code decides over all samples together.
    """
    targets, cells = weights.shape[-2], scores.shape[-1]
    share = min(goal.share, 1 / targets)
    shrink = 2 * goal.size_weight / (targets * len(bumps))
    highest, places, parts = _quantile(goal.quantile, scores)
    edited, tried = scores.clone(), []
    for iteration in range(iterations):
        torch.add(scores[..., :targets, :], weights @ bumps, out=edited[..., :targets, :])
        attention = edited.softmax(-2)[..., :targets, :]
        top, order = attention.topk(highest)
        by_peak = top.index_select(-1, places) @ parts - goal.peak
        by_share = attention.mean(-1) - share
        tried.append((weights, by_peak, by_share))
        if iteration == iterations - 1:
            break
        slope = 2 * goal.share_weight / (targets * cells) * by_share
        slope = slope.unsqueeze(-1).expand_as(attention).clone()
        at_quantile = (2 * goal.peak_weight / targets * by_peak).unsqueeze(-1) * parts
        slope.scatter_add_(-1, order.index_select(-1, places), at_quantile)
        slope = attention * (slope - (attention * slope).sum(-2, keepdim=True))
        weights = weights - rate * (slope @ bumps.T + shrink * weights)
    # All at once: these are many small operations.
    all_weights, by_peak, by_share = map(torch.stack, zip(*tried, strict=True))
    penalties = (
        goal.peak_weight * by_peak.square().mean(-1)
        + goal.share_weight * by_share.square().mean(-1)
        + goal.size_weight * all_weights.square().mean((-2, -1))
    ).mean(-1)
    smallest, best = penalties.nan_to_num(math.inf, math.inf).min(0)
    return all_weights[best, torch.arange(len(scores))] @ bumps, smallest


def keep_specials(attention: Tensor, scores: Tensor, columns: Columns) -> None:
    """Give the special columns the attention they have in the unedited scores, in place.

    Args:
        attention: (B, A, N, T), of the edited scores; its rows then no longer sum to 1.
        scores: (B, A, N, T), before the edit.
        columns: which of the T are special.
    """
    total = scores.logsumexp(-1, keepdim=True)
    for sample, specials in enumerate(columns.specials):
        kept = specials.nonzero().flatten().tolist()
        own = scores[sample, ..., kept] - total[sample]
        attention[sample, ..., kept] = own.exp().to(attention.dtype)


def _profiles(cells: int, spread: int, device: torch.device | str | None) -> Tensor:
    """Returns one-dimensional bumps along a side, (bumps, cells)."""
    lattice = range(2 * spread, cells, 2 * spread) or [(cells - 1) / 2]
    centres = torch.tensor(list(lattice), device=device, dtype=torch.float32)
    positions = torch.arange(cells, device=device, dtype=torch.float32)
    return torch.exp(-(positions - centres[:, None]).square() / (2 * spread**2))


def _quantile(quantile: float, values: Tensor) -> tuple[int, Tensor, Tensor]:
    """Returns where a quantile of the last axis lies, for linear interpolation.

    Returns:
        How many of the highest values are needed; the places among them of the two that it lies
        between, (2,); and how much each of the two counts, (2,).
    """
    cells = values.shape[-1]
    # Rounded as `torch.quantile` rounds it: the descent is sensitive to the fifth digit.
    rank = float(torch.tensor(quantile, dtype=values.dtype) * (cells - 1))
    below = math.floor(rank)
    above = min(below + 1, cells - 1)
    places = torch.tensor([cells - below - 1, cells - above - 1], device=values.device)
    return cells - below, places, values.new_tensor([1 - (rank - below), rank - below])
