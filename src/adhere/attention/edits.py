"""The result of an attention call whose image-to-text part is edited.

Shapes: R rows of the call (all branches), B conditional samples, A heads, L keys, N image queries,
T text columns, K the columns that an edit sees: T, and where the call has other keys one more for
all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.attention.call import AttentionCall, Region
from adhere.attention.probabilities import query_parts, scaled_scores, uncast


@dataclass(frozen=True)
class LayerEdit:
    """What an edit does to one layer; one of the two is given.

    Attributes:
        bias: (B, A or 1, N or 1, T), added to scores. The fused attention kernel stays in use.
        weights: from the scaled scores (B, A, N, K), float32, to the weights of the values, of the
            same shape. The column of all other keys is the logarithm of the sum of their
            exponentials, so that a softmax over the columns gives the true probabilities.
    """

    bias: Tensor | None = None
    weights: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Edited:
    """The outcome of an edited call.

    Attributes:
        result: (R, A, queries, C), what the call returns.
        probabilities: gives the mean over heads of the weights after all edits, (B, N, T).
    """

    result: Tensor
    probabilities: Callable[[], Tensor]


def attend(call: AttentionCall, region: Region, edits: Sequence[LayerEdit]) -> Edited:
    """Attend as the model does, with the region's scores and weights edited.

    Biases come first, all together. Edits of weights follow in their order, each on the scores
    that the one before it leaves. Queries outside the region attend as ever.

    Args:
        call: the model's own call.
        region: the conditional samples' image queries and text columns.
        edits: at least one.
    """
    biases = [edit.bias for edit in edits if edit.bias is not None]
    total = sum(biases[1:], biases[0]) if biases else None
    functions = [edit.weights for edit in edits if edit.weights is not None]
    if not functions:
        if total is None:
            return Edited(call.proceed(), lambda: call.mean_probabilities(region))
        mixed = [_biased(call, region, total, *group) for group in region.groups()]
        result = _put(call, region, mixed)
        return Edited(result, lambda: call.mean_probabilities(region, total))
    # Tensors made under inference mode cannot take part in an edit that takes gradients.
    with torch.inference_mode(False), torch.no_grad(), uncast(call.query.device):
        parts = [_weighted(call, region, total, functions, *group) for group in region.groups()]
    result = _put(call, region, [mixed for mixed, _ in parts])
    return Edited(result, lambda: _in_order(region, [kept for _, kept in parts]))


def _biased(
    call: AttentionCall,
    region: Region,
    bias: Tensor,
    samples: Sequence[int],
    queries: slice,
    keys: slice,
) -> Tensor:
    """Attention of some samples' image queries with biased scores, (samples, A, N, C)."""
    rows = [region.first + sample for sample in samples]
    query, key = call.query[rows][:, :, queries], call.keys(rows)
    pixels, length = query.shape[2], key.shape[2]
    columns = len(range(length)[keys])
    their = bias[list(samples)][..., :columns].to(query.device)
    mask = their.new_zeros((*their.shape[:-1], length))
    mask[..., keys] = their
    own = call.mask(rows, queries)
    mask = mask if own is None else mask + own
    mask = mask.to(query.dtype)
    mask = mask.expand(-1, -1, pixels, -1) if mask.shape[2] == 1 else mask
    return F.scaled_dot_product_attention(
        query, key, call.values(rows), attn_mask=mask, scale=call.scale
    )


def _weighted(
    call: AttentionCall,
    region: Region,
    bias: Tensor | None,
    functions: Sequence[Callable[[Tensor], Tensor]],
    samples: Sequence[int],
    queries: slice,
    keys: slice,
) -> tuple[Tensor, Tensor]:
    """Attention of some samples' image queries with edited weights, and those weights' mean."""
    rows = [region.first + sample for sample in samples]
    query, key, value = call.query[rows][:, :, queries], call.keys(rows), call.values(rows)
    length = key.shape[2]
    columns = range(length)[keys]
    mask = call.mask(rows, queries)
    text_mask = None if mask is None else mask[..., keys] if mask.shape[-1] > 1 else mask
    scores = scaled_scores(query, key[:, :, keys], text_mask, call.factor).clone()
    if bias is not None:
        scores = scores + bias[list(samples)][..., : len(columns)].to(scores)
    missing = region.width(length) - len(columns)
    scores = F.pad(scores, (0, missing), value=-torch.inf)
    others = torch.tensor(
        [index for index in range(length) if index not in columns],
        dtype=torch.long,
        device=key.device,
    )
    rest = None
    if len(others):
        rest_mask = None if mask is None else mask[..., others] if mask.shape[-1] > 1 else mask
        rest, weight = _rest(call, query, key[:, :, others], value[:, :, others], rest_mask)
        scores = torch.cat([scores, weight.unsqueeze(-1)], -1)
    weights = functions[0](scores)
    for function in functions[1:]:
        weights = function(weights.clamp_min(torch.finfo(weights.dtype).tiny).log())
    text = weights[..., : len(columns)]
    mixed = text.to(value.dtype) @ value[:, :, keys]
    if rest is not None:
        mixed = mixed + weights[..., -1:].to(value.dtype) * rest
    return mixed, text.mean(1)


def _rest(
    call: AttentionCall, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention to the other keys alone, and the logarithm of their summed exponentials."""
    half = None if mask is None else mask.to(query.dtype)
    result = F.scaled_dot_product_attention(query, key, value, attn_mask=half, scale=call.scale)
    sums = []
    for part in query_parts(query, key):
        own = mask[:, :, part] if mask is not None and mask.shape[2] > 1 else mask
        sums.append(scaled_scores(query[:, :, part], key, own, call.factor).logsumexp(-1))
    return result, torch.cat(sums, 2)


def _put(call: AttentionCall, region: Region, mixed: Sequence[Tensor]) -> Tensor:
    """The call's result with the region's image queries replaced, (R, A, queries, C)."""
    rows, heads, length, _ = call.query.shape
    result = mixed[0].new_empty(
        (rows, heads, length, call.value.shape[-1]), dtype=call.value.dtype
    )
    own = region.rows
    for other in (slice(0, own.start), slice(own.stop, rows)):
        if other.stop > other.start:
            result[other] = call.attend(list(range(rows))[other])
    for (samples, queries, _), part in zip(region.groups(), mixed, strict=True):
        places = [region.first + sample for sample in samples]
        start, stop, _ = queries.indices(length)
        result[places, :, start:stop] = part.to(result.dtype)
        for other in (slice(0, start), slice(stop, length)):
            if other.stop > other.start:
                result[places, :, other] = call.attend(places, other)
    return result


def _in_order(region: Region, parts: Sequence[Tensor]) -> Tensor:
    """Mean weights of all samples, (B, N, T), from those of each group."""
    widest = region.columns or max(part.shape[-1] for part in parts)
    found: dict[int, Tensor] = {}
    for (samples, _, _), part in zip(region.groups(), parts, strict=True):
        padded = F.pad(part, (0, widest - part.shape[-1]))
        found |= dict(zip(samples, padded, strict=True))
    return torch.stack([found[sample] for sample in sorted(found)])
