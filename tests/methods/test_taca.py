"""TACA against its formula, and where it is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import toys
from adhere.attention.call import AttentionCall, Region
from adhere.attention.edits import LayerEdit, attend
from adhere.errors import UnsupportedPipeline
from adhere.methods.base import LayerContext
from adhere.methods.schedule import Step
from adhere.methods.taca import TACA
from adhere.nursing import nurse
from families import FAMILIES
from method_maps import clip_columns

PROMPT = "a red car and a blue bowl"


def test_weights_are_the_papers():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((1, 2, 11, 4), generator=generator, dtype=torch.float64) for _ in range(3)
    )
    # Five text keys first, then six of the image, whose queries are edited.
    region = Region.of(0, 1, slice(5, 11), slice(0, 5))
    context = LayerContext("layer", Step(0, 28, 990.0), (2, 3), [[]], clip_columns((4,), 5))
    edit = LayerEdit(weights=lambda scores: TACA(gamma=1.2).probabilities(scores, context))
    found = attend(AttentionCall(query, key, value), region, [edit]).result.numpy()
    q, k, v = (t.numpy() for t in (query, key, value))
    for head in range(2):
        for row in range(11):
            scores = [float(q[0, head, row] @ k[0, head, c]) / 2 for c in range(11)]
            factors = [1.2 if row >= 5 and c < 5 else 1.0 for c in range(11)]
            weights = np.exp([f * s for f, s in zip(factors, scores, strict=True)])
            expected = (weights / weights.sum()) @ v[0, head]
            np.testing.assert_allclose(found[0, head, row], expected, atol=1e-6)


def test_it_acts_while_the_image_is_noise():
    method = TACA()
    active = [t for t in (1000.0, 985.0, 970.0, 969.0, 500.0) if method.is_active(Step(0, 28, t))]
    assert active == [1000.0, 985.0, 970.0]


@pytest.mark.parametrize("kind", ["flux", "sd3"])
@pytest.mark.filterwarnings("ignore:.*nursed nothing")
def test_a_factor_of_one_changes_no_bit_and_another_does(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    plain = toy.run(pipe, PROMPT, guided=True)
    with nurse(pipe, TACA(gamma=1.0)):
        assert torch.equal(toy.run(pipe, PROMPT, guided=True), plain)
    with nurse(pipe, TACA()) as trace:
        assert not torch.equal(toy.run(pipe, PROMPT, guided=True), plain)
    assert trace.edited_layers > 0


def test_cross_attention_is_refused_with_the_reason():
    with pytest.raises(UnsupportedPipeline, match="taca weighs text against image in one softmax"):
        nurse(toys.sd(), TACA()).__enter__()
    with pytest.raises(UnsupportedPipeline, match="PixArtTransformer2DModel"):
        nurse(FAMILIES["pixart-sigma"].build(), TACA()).__enter__()
