"""Attention maps: what cross-attention gave each token, and the steps from layers to one map.

Shapes: B samples, H x W the grid of the maps, T tokens of the padded sequence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

TokenRange = Literal["padded", "words"]

# 3 x 3, separable. The field's kernel has exp(-(x / (2 * 0.5))**2) where a Gaussian of standard
# deviation 0.5 has exp(-(x / 0.5)**2 / 2), so it is a Gaussian of 0.7071.
_SIDE = torch.exp(torch.tensor(-1.0, dtype=torch.float64)).item()
_KERNEL = torch.tensor([_SIDE, 1.0, _SIDE], dtype=torch.float64) / (1 + 2 * _SIDE)
# A logarithm needs it.
_NEXT_TO_NOTHING = 1e-12


@dataclass(frozen=True)
class AttentionMaps:
    """The cross-attention of one forward pass, conditional half.

    Attributes:
        layers: layer name to probabilities (B, H, W, T), mean over heads, float32; each
            pixel's row sums to 1 over the T tokens.
        heads: layer name to its number of heads, its weight in an aggregate.
        latent_size: height and width of the latents.
        ends: for each sample the position of its end token.
        token_range: the columns that count: "padded" drops the start token and the last column
            (Stable Diffusion 1), "words" keeps what stands between start and end token.
        factor: the level that objectives read: latent side over map side.
    """

    layers: Mapping[str, Tensor]
    heads: Mapping[str, int]
    latent_size: tuple[int, int]
    ends: tuple[int, ...]
    token_range: TokenRange
    factor: int

    def size(self, factor: int) -> tuple[int, int]:
        """Height and width of the maps of a level."""
        height, width = self.latent_size
        return -(-height // factor), -(-width // factor)

    def at(self, factor: int | None = None) -> dict[str, Tensor]:
        """The layers of a level, by default the one that objectives read."""
        size = self.size(factor or self.factor)
        return {name: m for name, m in self.layers.items() if m.shape[1:3] == size}

    def finer(self) -> dict[str, Tensor]:
        """The layers of finer levels than the one that objectives read.

        A model whose objectives read its finest level has none: then that level itself.
        """
        own = self.size(self.factor)
        found = {name: m for name, m in self.layers.items() if m.shape[1] > own[0]}
        return found or self.at()

    def detach(self) -> "AttentionMaps":
        """The same maps without the graph that made them."""
        return replace(self, layers={name: m.detach() for name, m in self.layers.items()})

    def aggregate(self, layers: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean over all heads of layers of one size, by default the level that objectives read.

        Every head of every layer weighs the same.

        Returns:
            (B, H, W, T) probabilities.

        Raises:
            ValueError: there is no such layer.

        Source: arXiv 2301.13826, section 3.2.
        """
        chosen = self.at() if layers is None else layers
        if not chosen:
            there = sorted({tuple(m.shape[1:3]) for m in self.layers.values()})
            raise ValueError(
                f"No recorded layer has maps of {self.size(self.factor)}; recorded were {there}: "
                "choose one of them."
            )
        weights = torch.tensor([float(self.heads[name]) for name in chosen])
        weights = weights / weights.sum()
        return sum(w * m for w, m in zip(weights.tolist(), chosen.values(), strict=True))  # type: ignore[return-value]

    def normalised(
        self, layers: Mapping[str, Tensor] | None = None, temperature: float = 0.01
    ) -> Tensor:
        """The aggregate after the softmax over tokens that the family of methods begins with.

        Returns:
            (B, H, W, T), see `renormalise`.
        """
        aggregate = self.aggregate(layers)
        return renormalise(aggregate, self.ends, self.token_range, temperature)


def renormalise(
    probabilities: Tensor, ends: Sequence[int], token_range: TokenRange, temperature: float = 0.01
) -> Tensor:
    """Softmax of probabilities over the tokens that count, so that tokens compete for a pixel.

    Args:
        probabilities: (B, H, W, T), each row summing to 1.
        ends: for each sample the position of its end token.
        token_range: see `AttentionMaps`.
        temperature: what probabilities are divided by.

    Returns:
        (B, H, W, T); columns outside the range are 0, so that a token keeps its index.

    Source: the code published with arXiv 2301.13826; its equations have neither the temperature
        nor the missing last column.
    """
    tokens = probabilities.shape[-1]
    positions = torch.arange(tokens, device=probabilities.device)
    last = torch.tensor(
        [tokens - 1 if token_range == "padded" else end for end in ends],
        device=probabilities.device,
    )
    counts = (positions >= 1) & (positions < last[:, None])
    outside = ~counts[:, None, None, :]
    scores = (probabilities / temperature).masked_fill(outside, float("-inf"))
    return scores.softmax(-1).masked_fill(outside, 0)


def smooth(maps: Tensor) -> Tensor:
    """Maps after the field's 3 x 3 kernel, edges reflected.

    Args:
        maps: (..., H, W).

    Returns:
        (..., H, W). A side of a single cell is left as it is.

    Source: the code published with arXiv 2301.13826 (sigma 0.5, in effect 0.7071).
    """
    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, 1, height, width)
    # One after the other: Apple's devices have no float64.
    kernel = _KERNEL.to(maps.dtype).to(maps.device)
    if height > 1:
        flat = F.conv2d(F.pad(flat, (0, 0, 1, 1), mode="reflect"), kernel.view(1, 1, 3, 1))
    if width > 1:
        flat = F.conv2d(F.pad(flat, (1, 1, 0, 0), mode="reflect"), kernel.view(1, 1, 1, 3))
    return flat.reshape(maps.shape)


def smooth_tokens(maps: Tensor) -> Tensor:
    """`smooth` of the map of every token, (..., H, W, T)."""
    return smooth(maps.movedim(-1, 0)).movedim(0, -1)


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
    return len(maps) * maps.clamp_min(_NEXT_TO_NOTHING).log().mean(0).exp()


def select(
    maps: Tensor, token_indices: Sequence[int], pieces: Literal["mean", "max", "last"] = "mean"
) -> Tensor:
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
