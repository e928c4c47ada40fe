"""Steps from attention probabilities to the map of a word.

Shapes: B samples, H x W the grid of the maps, T text columns.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

# The field's kernel has exp(-(x / (2 * 0.5))**2) where a Gaussian of standard deviation 0.5 has
# exp(-(x / 0.5)**2 / 2), so it is a Gaussian of 0.7071.
_VARIANCE = 0.5
# Keeps logarithms finite.
_TINY = 1e-12

Pieces = Literal["mean", "max", "last"]


def renormalise(probabilities: Tensor, competing: Tensor, temperature: float = 0.01) -> Tensor:
    """Softmax of probabilities over the columns that compete for a pixel.

    Args:
        probabilities: (B, H, W, T), at least 0.
        competing: (B, T), bool.
        temperature: what probabilities are divided by.

    Returns:
        (B, H, W, T); columns that do not compete are 0, so that a column keeps its index.

    Source: the code published with arXiv 2301.13826; its equations have neither the temperature
        nor the missing last column.
    """
    outside = ~competing[:, None, None, :]
    scores = (probabilities / temperature).masked_fill(outside, float("-inf"))
    return scores.softmax(-1).masked_fill(outside, 0)


def smooth(maps: Tensor, variance: float = _VARIANCE) -> Tensor:
    """Maps after a 3 x 3 Gaussian, by default the field's, edges reflected.

    Args:
        maps: (..., H, W).
        variance: of the Gaussian, in cells squared.

    Returns:
        (..., H, W). A side of a single cell is left as it is.

    Source: the code published with arXiv 2301.13826 (sigma 0.5, in effect 0.7071).
    """
    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, 1, height, width)
    # One after the other: Apple's devices have no float64.
    side = torch.exp(torch.tensor(-1 / (2 * variance), dtype=torch.float64)).item()
    kernel = torch.tensor([side, 1.0, side], dtype=torch.float64) / (1 + 2 * side)
    kernel = kernel.to(maps.dtype).to(maps.device)
    if height > 1:
        flat = F.conv2d(F.pad(flat, (0, 0, 1, 1), mode="reflect"), kernel.view(1, 1, 3, 1))
    if width > 1:
        flat = F.conv2d(F.pad(flat, (1, 1, 0, 0), mode="reflect"), kernel.view(1, 1, 1, 3))
    return flat.reshape(maps.shape)


def smooth_tokens(maps: Tensor, variance: float = _VARIANCE) -> Tensor:
    """`smooth` of the map of every token, (..., H, W, T)."""
    return smooth(maps.movedim(-1, 0), variance).movedim(0, -1)


def together(maps: Tensor) -> Tensor:
    """Where several words are at once, such as a noun and its attributes.

    Args:
        maps: (K, ..., H, W), of each word, in [0, 1].

    Returns:
        (..., H, W), in [0, K]: K times the geometric mean, which is the sum where all words are
        alike, less where they are not, and next to nothing where one is missing. Of one word its
        own map.
    """
    if len(maps) == 1:
        return maps[0]
    return len(maps) * maps.clamp_min(_TINY).log().mean(0).exp()


def select(maps: Tensor, token_indices: Sequence[int], pieces: Pieces = "mean") -> Tensor:
    """The map of one word, which may be several tokens.

    Args:
        maps: (..., T).
        token_indices: the word's tokens.
        pieces: how the tokens of a word become one map.

    Returns:
        (...): the maps without their last dimension.

    Raises:
        ValueError: `pieces` is none of the three.
    """
    chosen = maps[..., list(token_indices)]
    if pieces == "mean":
        return chosen.mean(-1)
    if pieces == "max":
        return chosen.amax(-1)
    if pieces == "last":
        return chosen[..., -1]
    raise ValueError(f"got pieces {pieces!r}; expected 'mean', 'max' or 'last'.")
