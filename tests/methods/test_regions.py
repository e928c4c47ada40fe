"""Regions: known answers, and text that attends to text as ever."""

from __future__ import annotations

import math

import pytest
import torch

import toys
from adhere.attention.call import AttentionCall, Region
from adhere.attention.edits import LayerEdit, attend
from adhere.methods.base import LayerContext
from adhere.methods.boxes import cells, closeness
from adhere.methods.regions import Regions
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from adhere.subjects import Attribute, Subject
from method_maps import clip_columns

SUBJECTS = (
    Subject("cat", (2,), (Attribute("red", (1,)),), box=(0.0, 0.0, 0.5, 1.0)),
    Subject("frog", (4,), box=(0.5, 0.5, 1.0, 1.0)),
    Subject("lamp", (6,)),
)


def bias(method, subjects=SUBJECTS, size=(2, 4)):
    context = LayerContext("layer", Step(0, 50, 981.0), size, [subjects], clip_columns((8,), 10))
    return method.bias(context)[0, 0]


def test_columns_of_a_subject_fall_outside_its_box_and_no_others():
    found = bias(Regions(strength=3.0, softness=0.0)).view(2, 4, 10)
    left = torch.tensor([0.0, 0.0, -3.0, -3.0]).expand(2, 4)
    low = torch.tensor([[-3.0] * 4, [-3.0, -3.0, 0.0, 0.0]])
    for column in range(10):
        expected = {1: left, 2: left, 4: low}.get(column, torch.zeros(2, 4))
        assert torch.equal(found[..., column], expected), column


def test_attention_outside_falls_by_the_strengths_factor():
    scores = torch.randn((8, 10), generator=torch.Generator().manual_seed(0))
    added = bias(Regions(strength=5.0, softness=0.0))
    before, after = scores.exp(), (scores + added).exp()
    outside = (after / before)[2, 2]
    assert outside.item() == pytest.approx(math.exp(-5.0), rel=1e-5)


def test_the_slope_is_as_wide_as_it_says():
    near = closeness((0.0, 0.0, 0.5, 1.0), (1, 100), 0.2)[0]
    places = (torch.arange(100) + 0.5) / 100
    assert (near[places < 0.5] == 1).all() and (near[places > 0.7] == 0).all()
    assert near[60].item() == pytest.approx(1 - 0.105 / 0.2, abs=1e-5)
    assert closeness((0.0, 0.0, 0.3, 1.0), (1, 2))[0].tolist() == pytest.approx([0.6, 0.0])


def test_a_box_has_at_least_a_cell():
    assert cells((0.99, 0.99, 1.0, 1.0), (4, 4)).nonzero().tolist() == [[3, 3]]
    assert cells((0.0, 0.0, 1e-6, 1e-6), (4, 4)).nonzero().tolist() == [[0, 0]]
    assert cells((0.0, 0.25, 0.5, 1.0), (4, 4)).sum() == 6


def test_a_word_of_two_subjects_is_attended_in_both_boxes():
    red = (Attribute("red", (1,)),)
    shared = (
        Subject("cat", (2,), red, box=(0.0, 0.0, 0.25, 1.0)),
        Subject("frog", (4,), red, box=(0.75, 0.0, 1.0, 1.0)),
    )
    found = bias(Regions(strength=1.0, softness=0.0), shared).view(2, 4, 10)
    assert found[0, :, 1].tolist() == [0.0, -1.0, -1.0, 0.0]


@pytest.mark.filterwarnings("ignore:.*nursed nothing")
def test_no_strength_changes_no_bit_and_taps_no_layer():
    pipe = toys.sd()
    plain = toys.run(pipe)
    boxes = {"cat": (0, 0, 0.5, 1)}
    with nurse(pipe, Regions(strength=0.0), boxes=boxes) as trace:
        latents = toys.run(pipe)
    assert torch.equal(latents, plain) and trace.edited_layers == 0


def test_in_joint_attention_text_attends_as_ever():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((2, 3, 18, 4), generator=generator) for _ in range(3))
    call = AttentionCall(query, key, value)
    region = Region.of(1, 1, slice(10, 18), slice(0, 10))
    edited = attend(call, region, [LayerEdit(bias=bias(Regions())[None, None])]).result
    plain = call.proceed()
    torch.testing.assert_close(edited[0], plain[0])
    torch.testing.assert_close(edited[1, :, :10], plain[1, :, :10])
    assert not torch.allclose(edited[1, :, 10:], plain[1, :, 10:])
