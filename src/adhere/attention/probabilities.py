"""Probabilities of attention computed in parts, and again for their gradient.

Shapes: B samples, A heads, L keys, N image queries, T text columns, C channels.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

# Scores held at once while probabilities are computed: 2**26 numbers are 256 MiB in float32.
_MOST_SCORES = 2**26


def uncast(device: torch.device) -> AbstractContextManager:
    """Inside the block tensors keep their precision, also where `torch.autocast` is on."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def scaled_scores(query: Tensor, key: Tensor, mask: Tensor | None, factor: float) -> Tensor:
    """Scaled scores, (B, A, N, L), in at least single precision."""
    precision = torch.promote_types(query.dtype, torch.float32)
    with uncast(query.device):
        scores = (query.to(precision) * factor) @ key.to(precision).transpose(-1, -2)
        return scores if mask is None else scores + mask.to(precision)


def query_parts(query: Tensor, key: Tensor) -> list[slice]:
    """Slices of the queries of which each has few enough scores to be held at once."""
    queries = query.shape[2]
    each = max(1, _MOST_SCORES // max(query.shape[0] * query.shape[1] * key.shape[2], 1))
    return [slice(start, min(start + each, queries)) for start in range(0, queries, each)]


class MeanProbabilities(torch.autograd.Function):
    """The mean over heads of the softmax of scores, for some of the keys.

    Heads' probabilities are computed again for the gradient, so that between the passes nothing is
    held but query and key, which attention holds anyway.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,
        query: Tensor,
        key: Tensor,
        mask: Tensor | None,
        bias: Tensor | None,
        factor: float,
        keys: slice,
    ) -> Tensor:
        ctx.save_for_backward(query, key, mask, bias)
        ctx.factor, ctx.keys = factor, keys
        return torch.cat(
            [
                _probabilities(query, key, mask, bias, factor, keys, part)[..., keys].mean(1)
                for part in query_parts(query, key)
            ],
            1,
        )

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        query, key, mask, bias = ctx.saved_tensors
        precision = torch.promote_types(query.dtype, torch.float32)
        of_query = torch.empty_like(query) if ctx.needs_input_grad[0] else None
        of_key = torch.zeros(key.shape, dtype=precision, device=key.device)
        for part in query_parts(query, key):
            all_keys = _probabilities(query, key, mask, bias, ctx.factor, ctx.keys, part)
            chosen = all_keys[..., ctx.keys]
            of_chosen = chosen * (slope[:, part] / query.shape[1]).unsqueeze(1)
            of_scores = all_keys * -of_chosen.sum(-1, keepdim=True)
            of_scores[..., ctx.keys] += of_chosen
            of_scores *= ctx.factor
            if of_query is not None:
                of_query[:, :, part] = (of_scores @ key.to(precision)).to(query.dtype)
            if ctx.needs_input_grad[1]:
                of_key += of_scores.transpose(-1, -2) @ query[:, :, part].to(precision)
        return of_query, of_key.to(key.dtype) if ctx.needs_input_grad[1] else None, *(None,) * 4


def _probabilities(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    factor: float,
    keys: slice,
    part: slice,
) -> Tensor:
    """Probabilities of some queries over all keys, (B, A, part, L)."""
    if mask is not None and mask.shape[2] > 1:
        mask = mask[:, :, part]
    scores = scaled_scores(query[:, :, part], key, mask, factor)
    if bias is not None:
        scores[..., keys] += bias[:, :, part] if bias.shape[2] > 1 else bias
    return torch.softmax(scores, -1, out=scores)
