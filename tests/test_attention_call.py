"""A single call of attention, with every kind of mask that a model may give it."""

import pytest
import torch
from torch.nn import functional as F

from adhere.attention.call import AttentionCall, Region
from adhere.attention.edits import LayerEdit, attend
from adhere.errors import UnsupportedPipeline

ROWS, QUERIES, KEYS = 4, 6, 5
MASKS = {
    "two dimensions": (QUERIES, KEYS),
    "one row": (1, KEYS),
    "three dimensions": (1, QUERIES, KEYS),
    "four dimensions": (ROWS, 1, QUERIES, KEYS),
}
REGION = Region.of(2, 2, slice(1, 4), slice(0, 3))


def numbers(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + shape[-2]))


def called(**others):
    key = numbers(ROWS, 2, KEYS, 8)
    return AttentionCall(numbers(ROWS, 2, QUERIES, 8), key, key.flip(0), **others)


@pytest.mark.parametrize("is_bool", [False, True])
@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
def test_some_rows_and_queries_attend_as_in_the_whole_call(shape, is_bool):
    mask = numbers(*shape)
    call = called(attn_mask=mask > -1 if is_bool else mask)
    whole = F.scaled_dot_product_attention(call.query, call.key, call.value, call.attn_mask)
    torch.testing.assert_close(call.attend([3, 1], slice(2, 5)), whole[[3, 1], :, 2:5])
    edited = attend(call, REGION, [LayerEdit(bias=torch.zeros(2, 1, 1, 3))]).result
    torch.testing.assert_close(edited, whole)


@pytest.mark.parametrize(
    "use",
    [
        lambda call: call.mean_probabilities(REGION),
        lambda call: call.biased(REGION, torch.zeros(2, 1, 1, 1)),
        lambda call: attend(call, REGION, [LayerEdit(bias=torch.zeros(2, 1, 1, 3))]),
        lambda call: attend(call, REGION, [LayerEdit(weights=lambda scores: scores)]),
    ],
    ids=["read", "biased", "bias", "weights"],
)
def test_a_causal_call_is_neither_read_nor_edited(use):
    with pytest.raises(UnsupportedPipeline, match="causal"):
        use(called(is_causal=True))
