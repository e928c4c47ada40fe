"""A bias that holds for the text's attention to the image as well, in joint attention."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from adhere.attention.call import AttentionCall, Region
from adhere.attention.edits import LayerEdit, attend

HEADS, LENGTH = 3, 18
TAIL = slice(10, 18)
# The image in front of the text, and behind it; the second sample has fewer columns.
REGIONS = {
    "image text": Region(1, (slice(0, 8),) * 2, (TAIL, slice(10, 15)), 8),
    "text image": Region(1, (TAIL,) * 2, (slice(0, 8), slice(0, 5)), 8),
}


@pytest.fixture
def call():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((3, HEADS, LENGTH, 4), generator=generator, dtype=torch.float64)
        for _ in range(3)
    )
    return AttentionCall(query, key, value)


def dense(call, region, bias):
    """The same by one mask over all queries and keys."""
    mask = torch.zeros((3, 1, LENGTH, LENGTH), dtype=torch.float64)
    for sample, (image, text) in enumerate(zip(region.queries, region.keys, strict=True)):
        row, own = region.first + sample, bias[sample, 0, :, : text.stop - text.start]
        mask[row, 0, image, text] = own
        mask[row, 0, text, image] = own.T
    return F.scaled_dot_product_attention(call.query, call.key, call.value, attn_mask=mask)


@pytest.mark.parametrize("order", REGIONS)
@pytest.mark.parametrize("rows", [1, 8])
def test_a_mutual_bias_is_a_mask_of_both_ways(call, order, rows):
    region = REGIONS[order]
    bias = -torch.rand((2, 1, rows, 8), dtype=torch.float64)
    expected = dense(call, region, bias.expand(-1, -1, 8, -1))
    edited = attend(call, region, [LayerEdit(bias=bias, is_mutual=True)])
    torch.testing.assert_close(edited.result, expected)
    # A nursing pass takes the same two biases as a call of its own.
    biased = call.biased(region, bias).biased(region.turned(), bias.transpose(2, 3))
    torch.testing.assert_close(biased.proceed(), expected)


def test_edits_beside_it_are_not_mutual(call):
    region, bias = REGIONS["image text"], -torch.rand((2, 1, 8, 8), dtype=torch.float64)
    mutual, plain = LayerEdit(bias=bias, is_mutual=True), LayerEdit(bias=3 * bias)
    both = attend(call, region, [mutual, plain]).result
    image, text = slice(0, 8), slice(10, 18)
    alone = attend(call, region, [mutual]).result
    torch.testing.assert_close(both[:, :, text], alone[:, :, text])
    summed = attend(call, region, [LayerEdit(bias=4 * bias)]).result
    torch.testing.assert_close(both[:, :, image], summed[:, :, image])
    weights = LayerEdit(weights=lambda scores: scores.softmax(-1))
    softmax = attend(call, region, [mutual, weights]).result
    torch.testing.assert_close(softmax, alone, rtol=1e-5, atol=1e-5)
