"""Attention as edits want it: biases on scores, or other probabilities, in the conditional half.

Shapes: B samples of the conditional half, R rows of the call (all branches), N pixels, T tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from adhere.attention.tap import AttentionCall, uncast
from adhere.methods.base import AttentionMethod, LayerContext


def attend(
    call: AttentionCall, methods: Sequence[AttentionMethod], contexts: Sequence[LayerContext]
) -> Tensor:
    """The result of an attention call whose last B rows are edited.

    Where biases say it all the fused kernel does the work. Other edits get the biased scores, one
    after another; the rows before the conditional half are attended as ever.

    Args:
        call: the model's own call, R rows.
        methods: the edits, in order.
        contexts: for each edit what it is told about this layer.

    Returns:
        (R, heads, N, channels).
    """
    subjects, ends = contexts[0].subjects, contexts[0].ends
    rows, samples, tokens = len(call.query), len(contexts[0].subjects), call.key.shape[2]
    first = rows - samples
    biases = [method.bias(subjects, ends, tokens) for method in methods]
    known = [bias.to(call.query.device) for bias in biases if bias is not None]
    total = torch.stack(known).sum(0)[:, None, None, :] if known else None
    rest = [i for i, bias in enumerate(biases) if bias is None]
    if not rest:
        return call.proceed() if total is None else call.proceed(_mask(call, total, first))
    # Tensors made under inference mode cannot take part in an edit that takes gradients.
    with torch.inference_mode(False), torch.no_grad(), uncast(call.query.device):
        scores = call.scores(first).clone()
        if total is not None:
            scores = scores + total
        weights = scores
        for i in rest:
            weights = methods[i].probabilities(scores, contexts[i])
            scores = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
        mixed = weights.to(call.value.dtype) @ call.value[first:]
    return torch.cat([call.proceed(stop=first), mixed]) if first else mixed


def _mask(call: AttentionCall, bias: Tensor, first: int) -> Tensor:
    """The call's mask with the biases (B, 1, 1, T) added to its last rows, (R, 1, N, T)."""
    rows, _, pixels, _ = call.query.shape
    whole = bias.new_zeros((rows, *bias.shape[1:]))
    whole[first:] = bias
    mask = call.mask()
    if mask is not None:
        return (mask + whole).to(call.query.dtype)
    return whole.to(call.query.dtype).expand(-1, -1, pixels, -1)
