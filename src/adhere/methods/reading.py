"""What one pass of the denoiser saw: the attention of B samples, each map computed once.

Shapes: B samples, H x W the grid of the maps, T text columns, S subjects of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adhere.attention.columns import Columns
from adhere.attention.maps import (
    Pieces,
    renormalise,
    select,
    smooth,
    smooth_tokens,
    together,
)
from adhere.methods.schedule import Step

if TYPE_CHECKING:
    from adhere.subjects.subject import Subject

Subjects = Sequence[Sequence["Subject"]]


@dataclass(frozen=True, eq=False)
class Reading:
    """The attention of one pass, conditional samples alone.

    Attributes:
        layers: layer name to probabilities (B, H, W, T), mean over heads, float32. A pixel's row
            sums to 1 over the text in cross-attention; in joint attention the image has a share.
        heads: layer name to its number of heads, its weight in an aggregate.
        factors: layer name to its resolution: sides of the finest grid over sides of its own.
        size: height and width of the finest grid: latents of a U-Net, patches of a transformer.
        factor: the resolution that objectives read.
        columns: what the T columns stand for.
        subjects: one list a sample; their `token_indices` are columns, of every text encoder that
            reaches attention.
        step: where the sampling loop is.
        self_layers: layer name to self-attention (B, H * W, H * W), mean over heads; only for
            methods that need it.
        previous: the last reading of the nursed step before this one, or None. Methods that
            remember nothing never look at it.
    """

    layers: Mapping[str, Tensor]
    heads: Mapping[str, int]
    factors: Mapping[str, int]
    size: tuple[int, int]
    factor: int
    columns: Columns
    subjects: Subjects
    step: Step = field(default_factory=lambda: Step(0, 1, 0.0))
    self_layers: Mapping[str, Tensor] = field(default_factory=dict)
    previous: Reading | None = None
    _kept: dict = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """How many samples there are, B."""
        return len(self.subjects)

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the maps that objectives read."""
        height, width = self.size
        return -(-height // self.factor), -(-width // self.factor)

    def at(self, factor: int | None = None) -> dict[str, Tensor]:
        """The layers of a resolution, by default the one that objectives read."""
        wanted = factor or self.factor
        return {name: m for name, m in self.layers.items() if self.factors[name] == wanted}

    def finer(self) -> dict[str, Tensor]:
        """The layers of finer resolutions than the one that objectives read, on its grid.

        Each cell is the nearest of theirs. A model whose objectives read its finest resolution
        has none: then that resolution itself.
        """
        height, width = self.grid
        found = {}
        for name, layer in self.layers.items():
            if self.factors[name] < self.factor:
                rows = torch.arange(height, device=layer.device) * layer.shape[1] // height
                columns = torch.arange(width, device=layer.device) * layer.shape[2] // width
                found[name] = layer[:, rows][:, :, columns]
        return found or self.at()

    def aggregate(self, finer: bool = False) -> Tensor:
        """Raw probabilities: the mean over all heads of the layers of one resolution.

        Every head of every layer weighs the same.

        Args:
            finer: whether of the finer resolutions, see `finer`.

        Returns:
            (B, H, W, T).

        Raises:
            ValueError: no layer of that resolution was read.

        Source: arXiv 2301.13826.
        """
        return self._once(("aggregate", finer), lambda: self._aggregate(finer))

    def _aggregate(self, finer: bool) -> Tensor:
        chosen = self.finer() if finer else self.at()
        if not chosen:
            there = sorted({tuple(m.shape[1:3]) for m in self.layers.values()})
            raise ValueError(
                f"No layer with maps of {self.grid} was read; read were {there}. Choose one of "
                "them."
            )
        weights = torch.tensor([float(self.heads[name]) for name in chosen])
        shares = (weights / weights.sum()).tolist()
        total = torch.zeros(())
        for share, layer in zip(shares, chosen.values(), strict=True):
            total = share * layer + total.to(layer)
        return total

    def text_mass(self) -> Tensor:
        """The part of each pixel's attention that the text has, (B, H, W) in 0...1."""
        return self.aggregate().sum(-1)

    def shares(self) -> Tensor:
        """Raw probabilities over their sum over the competing columns, (B, H, W, T)."""

        def compute() -> Tensor:
            kept = self.aggregate() * self.columns.competing[:, None, None]
            return kept / kept.sum(-1, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)

        return self._once("shares", compute)

    def normalised(self, temperature: float | None = 0.01, finer: bool = False) -> Tensor:
        """The aggregate after a softmax over the competing columns, see `renormalise`.

        Args:
            temperature: of the softmax; None leaves the raw probabilities.
            finer: whether of the finer resolutions.

        Returns:
            (B, H, W, T).
        """
        if temperature is None:
            return self.aggregate(finer)
        return self._once(
            ("normalised", temperature, finer),
            lambda: renormalise(self.aggregate(finer), self.columns.competing, temperature),
        )

    def smoothed(
        self, temperature: float | None = 0.01, finer: bool = False, variance: float = 0.5
    ) -> Tensor:
        """`normalised`, each column's map smoothed by a Gaussian, see `smooth`, (B, H, W, T)."""
        return self._once(
            ("smoothed", temperature, finer, variance),
            lambda: smooth_tokens(self.normalised(temperature, finer), variance),
        )

    def word(
        self,
        sample: int,
        columns: Sequence[int],
        *,
        temperature: float | None = 0.01,
        finer: bool = False,
        smoothed: bool = True,
        pieces: Pieces = "mean",
    ) -> Tensor:
        """The map of one word, (H, W).

        Args:
            sample: which of the B.
            columns: the word's, as in `subject.token_indices`.
            temperature: see `normalised`.
            finer: see `normalised`.
            smoothed: whether it is smoothed.
            pieces: how several columns become one map.
        """

        def compute() -> Tensor:
            own = select(self.normalised(temperature, finer)[sample], columns, pieces)
            return smooth(own) if smoothed else own

        key = (sample, tuple(columns), temperature, finer, smoothed, pieces)
        return self._once(key, compute)

    def subject_maps(self, sample: int, *, with_attributes: bool = False, **how: Any) -> Tensor:
        """The maps of a sample's subjects, (S, H, W).

        Args:
            sample: which of the B.
            with_attributes: whether a subject's map is the one of its whole phrase: where it is
                and its attributes are, see `together`.
            how: as in `word`.
        """
        maps = []
        for one in self.subjects[sample]:
            words = one.words if with_attributes else (one,)
            maps.append(self._phrase(sample, [word.token_indices for word in words], **how))
        return torch.stack(maps)

    def _phrase(
        self, sample: int, words: Sequence[Sequence[int]], *, smoothed: bool = True, **how: Any
    ) -> Tensor:
        """The map of one word, or of several together, (H, W)."""
        if len(words) == 1:
            return self.word(sample, words[0], smoothed=smoothed, **how)
        maps = [self.word(sample, columns, smoothed=False, **how) for columns in words]
        phrase = together(torch.stack(maps))
        return smooth(phrase) if smoothed else phrase

    def self_attention(self) -> Tensor:
        """Self-attention of the resolution that objectives read, (B, H * W, H * W).

        Raises:
            ValueError: none was read; the method must say that it needs self-attention.
        """
        if not self.self_layers:
            raise ValueError(
                "No self-attention was read. Set `needs_self_attention` in the method's class."
            )

        def compute() -> Tensor:
            weights = [self.heads[name] for name in self.self_layers]
            layers = self.self_layers.values()
            parts = [weight * layer for weight, layer in zip(weights, layers, strict=True)]
            return torch.stack(parts).sum(0) / sum(weights)

        return self._once("self", compute)

    def subject_means(self) -> list[Tensor]:
        """For each sample the raw mean attention of each subject over the image, (S,).

        Source: arXiv 2403.06381, which compares it between drawn and missing subjects.
        """
        raw = self.aggregate()
        return [
            torch.stack([own[..., list(one.token_indices)].sum(-1).mean() for one in mine])
            if mine
            else own.new_zeros(0)
            for own, mine in zip(raw, self.subjects, strict=True)
        ]

    def detach(self) -> Reading:
        """The same reading without the graph that made it, and without its memory."""
        return replace(
            self,
            layers={name: m.detach() for name, m in self.layers.items()},
            self_layers={name: m.detach() for name, m in self.self_layers.items()},
            previous=None,
            _kept={key: value.detach() for key, value in self._kept.items()},
        )

    def take(self, samples: Sequence[int]) -> Reading:
        """Some of the samples."""
        chosen = list(samples)
        return replace(
            self,
            layers={name: m[chosen] for name, m in self.layers.items()},
            columns=self.columns.take(chosen),
            subjects=[self.subjects[sample] for sample in chosen],
            self_layers={name: m[chosen] for name, m in self.self_layers.items()},
            previous=None if self.previous is None else self.previous.take(chosen),
            _kept={},
        )

    def _once(self, key: object, compute) -> Tensor:  # noqa: ANN001
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]
