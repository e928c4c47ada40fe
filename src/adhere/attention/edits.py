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
        is_mutual: whether the bias holds for the text's attention to the image as well.
        weights: from the scaled scores (B, A, N, K), float32, to the weights of the values, of the
            same shape. The column of all other keys is the logarithm of the sum of their
            exponentials, so that a softmax over the columns gives the true probabilities.
    """

    bias: Tensor | None = None
    weights: Callable[[Tensor], Tensor] | None = None
    is_mutual: bool = False


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
    that the one before it leaves. A mutual bias is then added to the scores of text queries for
    image keys. All other queries attend as ever.

    Args:
        call: the model's own call.
        region: the conditional samples' image queries and text columns.
        edits: at least one.
    """
    total = _total([edit.bias for edit in edits])
    mutual = _total([edit.bias for edit in edits if edit.is_mutual])
    functions = [edit.weights for edit in edits if edit.weights is not None]
    if total is None and not functions:
        return Edited(call.proceed(), lambda: call.mean_probabilities(region))
    words = None if mutual is None else _biased(call, region.turned(), mutual.transpose(2, 3))
    if not functions:
        assert total is not None
        result = _put(call, region, _biased(call, region, total), words)
        return Edited(result, lambda: call.mean_probabilities(region, total))
    # Tensors made under inference mode cannot take part in an edit that takes gradients.
    with torch.inference_mode(False), torch.no_grad(), uncast(call.query.device):
        parts = [_weighted(call, region, total, functions, *group) for group in region.groups()]
    result = _put(call, region, [mixed for mixed, _ in parts], words)
    return Edited(result, lambda: _in_order(region, [kept for _, kept in parts]))


def _total(biases: Sequence[Tensor | None]) -> Tensor | None:
    given = [bias for bias in biases if bias is not None]
    return sum(given[1:], given[0]) if given else None


def _biased(call: AttentionCall, region: Region, bias: Tensor) -> list[Tensor]:
    """Attention of each group's queries with biased scores, (samples, A, N, C)."""
    found = []
    for samples, queries, keys in region.groups():
        rows = [region.first + sample for sample in samples]
        query, key = call.query[rows][:, :, queries], call.keys(rows)
        count, length = query.shape[2], key.shape[2]
        their = bias[samples][:, :, :count, : len(range(length)[keys])].to(query.device)
        mask = their.new_zeros((*their.shape[:-1], length))
        mask[..., keys] = their
        own = call.mask(rows, queries)
        mask = mask if own is None else mask + own
        mask = mask.to(query.dtype)
        mask = mask.expand(-1, -1, count, -1) if mask.shape[2] == 1 else mask
        found.append(
            F.scaled_dot_product_attention(
                query, key, call.values(rows), attn_mask=mask, scale=call.scale
            )
        )
    return found


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


def _put(
    call: AttentionCall,
    region: Region,
    mixed: Sequence[Tensor],
    words: Sequence[Tensor] | None,
) -> Tensor:
    """The call's result with some queries replaced, (R, A, queries, C).

    Args:
        call: the model's own call.
        region: whose image queries are replaced.
        mixed: for each group of the region what replaces them.
        words: the same for the text's queries, where these are edited too.
    """
    rows, heads, length, _ = call.query.shape
    result = mixed[0].new_empty(
        (rows, heads, length, call.value.shape[-1]), dtype=call.value.dtype
    )
    own = region.rows
    for other in (slice(0, own.start), slice(own.stop, rows)):
        if other.stop > other.start:
            result[other] = call.attend(list(range(rows))[other])
    for group, (samples, queries, keys) in enumerate(region.groups()):
        places = [region.first + sample for sample in samples]
        parts = [(range(length)[queries], mixed[group])]
        if words is not None:
            parts.append((range(length)[keys], words[group]))
        done = 0
        for span, part in sorted(parts, key=lambda part: part[0].start):
            if span.start > done:
                result[places, :, done : span.start] = call.attend(places, slice(done, span.start))
            result[places, :, span.start : span.stop] = part.to(result.dtype)
            done = span.stop
        if length > done:
            result[places, :, done:] = call.attend(places, slice(done, length))
    return result


def _in_order(region: Region, parts: Sequence[Tensor]) -> Tensor:
    """Mean weights of all samples, (B, N, T), from those of each group."""
    widest = region.columns or max(part.shape[-1] for part in parts)
    found: dict[int, Tensor] = {}
    for (samples, _, _), part in zip(region.groups(), parts, strict=True):
        padded = F.pad(part, (0, widest - part.shape[-1]))
        found |= dict(zip(samples, padded, strict=True))
    return torch.stack([found[sample] for sample in sorted(found)])
