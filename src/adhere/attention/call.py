"""One call of `scaled_dot_product_attention`, and the probabilities of its image-to-text part.

Shapes: R rows of the call (all branches), B conditional samples, A heads, L keys, N image queries,
T text columns, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.attention.probabilities import MeanProbabilities
from adhere.errors import UnsupportedPipeline


@dataclass(frozen=True)
class Region:
    """Which part of an attention call is read or edited: some queries by some keys.

    Attributes:
        first: row of the call at which the conditional samples begin.
        queries: for each conditional sample its image queries, all of one length N.
        keys: for each conditional sample its columns, of lengths up to T.
        columns: T; results have so many columns. None for as many as the longest has.
    """

    first: int
    queries: tuple[slice, ...]
    keys: tuple[slice, ...]
    columns: int | None = None

    @classmethod
    def of(cls, first: int, samples: int, queries: slice, keys: slice) -> Region:
        """The same queries and keys for every sample."""
        return cls(first, (queries,) * samples, (keys,) * samples)

    @property
    def rows(self) -> slice:
        """The rows of the conditional samples."""
        return slice(self.first, self.first + len(self.queries))

    def width(self, count: int) -> int:
        """T, where the call has so many keys."""
        if self.columns is not None:
            return self.columns
        return max(_length(keys, count) for keys in self.keys)

    def turned(self) -> Region:
        """The text's queries by the image's keys, where text attends to the image."""
        return Region(self.first, self.keys, self.queries)

    def groups(self) -> list[tuple[list[int], slice, slice]]:
        """Samples that share their queries and keys: (samples, queries, keys)."""
        found: dict[tuple, list[int]] = {}
        for sample, (queries, keys) in enumerate(zip(self.queries, self.keys, strict=True)):
            found.setdefault((queries.start, queries.stop, keys.start, keys.stop), []).append(
                sample
            )
        return [
            (samples, self.queries[samples[0]], self.keys[samples[0]])
            for samples in found.values()
        ]


class AttentionCall:
    """The arguments of a call by name.

    Attributes:
        query: (R, A, queries, C).
        key: (R, A or fewer, L, C).
        value: (R, A or fewer, L, C).
    """

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
        **others: object,
    ) -> None:
        self.query, self.key, self.value = query, key, value
        self.attn_mask, self.dropout_p, self.is_causal = attn_mask, dropout_p, is_causal
        self.scale, self.enable_gqa, self.others = scale, enable_gqa, others

    @property
    def heads(self) -> int:
        """How many heads the layer has."""
        return self.query.shape[1]

    @property
    def factor(self) -> float:
        """What scores are multiplied by."""
        return 1 / math.sqrt(self.query.shape[-1]) if self.scale is None else self.scale

    def keys(self, rows: slice | Sequence[int]) -> Tensor:
        """Keys of some rows, one for each head, (B, A, L, C)."""
        return self._for_heads(self.key[rows])

    def values(self, rows: slice | Sequence[int]) -> Tensor:
        """Values of some rows, one for each head, (B, A, L, C)."""
        return self._for_heads(self.value[rows])

    def _for_heads(self, tensor: Tensor) -> Tensor:
        groups = self.heads // tensor.shape[1]
        return tensor if groups == 1 else tensor.repeat_interleave(groups, 1)

    def mask(self, rows: slice | Sequence[int], queries: slice = slice(None)) -> Tensor | None:
        """What is added to the scores of some rows and queries, or None.

        Raises:
            UnsupportedPipeline: the call is causal.
        """
        mask = self._own_mask(rows, queries)
        if mask is None or mask.dtype is not torch.bool:
            return mask
        return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -math.inf)

    def _own_mask(self, rows: slice | Sequence[int], queries: slice) -> Tensor | None:
        """The call's mask for some rows and queries, with four dimensions."""
        if self.is_causal:
            raise UnsupportedPipeline(
                "A layer's attention is causal, where each token sees only those before it; such "
                "maps are not read or edited. Use another pipeline."
            )
        mask = self.attn_mask
        if mask is None:
            return None
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
        mask = mask[rows] if mask.shape[0] == len(self.query) > 1 else mask
        return mask[:, :, queries] if mask.shape[2] > 1 else mask

    def mean_probabilities(self, region: Region, bias: Tensor | None = None) -> Tensor:
        """Probabilities over all keys of the region's columns, mean over heads, float32.

        Rows are computed in parts, and again for the gradient: only the result is kept.

        Args:
            region: which queries and keys.
            bias: (B, A or 1, N or 1, T), added to the scores of the region's columns.

        Returns:
            (B, N, T); columns that a sample does not have are 0.
        """
        widest = region.width(self.key.shape[2])
        parts: list[Tensor | None] = [None] * len(region.queries)
        for samples, queries, keys in region.groups():
            rows = [region.first + sample for sample in samples]
            their = None if bias is None else bias[samples]
            if their is not None:
                their = their[..., : _length(keys, self.key.shape[2])]
            found = MeanProbabilities.apply(
                self.query[rows][:, :, queries],
                self.keys(rows),
                self.mask(rows, queries),
                their,
                self.factor,
                keys,
            )
            assert isinstance(found, Tensor)
            found = F.pad(found, (0, widest - found.shape[-1]))
            for sample, one in zip(samples, found, strict=True):
                parts[sample] = one
        return torch.stack([part for part in parts if part is not None])

    def biased(self, region: Region, bias: Tensor) -> AttentionCall:
        """The same call with something added to the scores of a region.

        Args:
            region: which queries and keys.
            bias: (B, A or 1, N or more or 1, T or more or 1), for the region's samples.
        """
        rows, _, queries, _ = self.query.shape
        length = self.key.shape[2]
        added = bias.new_zeros((rows, bias.shape[1], queries, length), device=self.query.device)
        for samples, own, keys in region.groups():
            places = [region.first + sample for sample in samples]
            their = bias[samples][:, :, : _length(own, queries), : _length(keys, length)]
            added[places, :, own, keys] = their.to(added)
        mask = self.mask(slice(None))
        added = (added if mask is None else added + mask).to(self.query.dtype)
        return AttentionCall(
            self.query,
            self.key,
            self.value,
            added,
            self.dropout_p,
            False,
            self.scale,
            self.enable_gqa,
            **self.others,
        )

    def proceed(self) -> Tensor:
        """The call as it was made."""
        return self._attend(self.query, self.key, self.value, self.attn_mask)

    def attend(self, rows: Sequence[int], queries: slice = slice(None)) -> Tensor:
        """The call for some rows and queries alone."""
        query, mask = self.query[rows][:, :, queries], self._own_mask(rows, queries)
        return self._attend(query, self.key[rows], self.value[rows], mask)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        others: dict[str, Any] = dict(self.others)
        if self.enable_gqa:
            others["enable_gqa"] = True
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout_p,
            is_causal=self.is_causal,
            scale=self.scale,
            **others,
        )


def _length(keys: slice, count: int) -> int:
    return len(range(count)[keys])
