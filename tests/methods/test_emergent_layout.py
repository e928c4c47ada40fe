"""Emergent layout: known answers for who gets a place, where, and what is bound."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adhere.errors import UnfitPrompt
from adhere.methods.base import LayerContext
from adhere.methods.emergent_layout import EmergentLayout
from adhere.methods.phrases import Phrase, phrases_of
from adhere.methods.schedule import Step
from adhere.subjects import Relation
from method_maps import clip_columns, made, subject

SIZE = (16, 16)
CAT, FROG = subject(2, 1), subject(4)


def peak(row, column, size=SIZE):
    """A map with one peak at a place, in fractions of the sides."""
    height, width = size
    rows = (torch.arange(height) + 0.5)[:, None] / height - row
    columns = (torch.arange(width) + 0.5)[None] / width - column
    return torch.exp(-(rows.square() + columns.square()) / 0.02) + 1e-3


def bound(peaks, subjects=(CAT, FROG), relations=(), size=SIZE, method=None, grid=None):
    """The bias of an image whose words are attended at these places, (H, W, 10)."""
    maps = torch.full((1, *size, 10), 1e-3)
    for column, place in peaks.items():
        maps[0, ..., column] = peak(*place, size)
    columns = clip_columns((8,), 10)
    reading = made({"layer": maps}, {"layer": 1}, size, columns)
    context = LayerContext(
        "layer", Step(1, 50, 961.0), grid or size, [list(subjects)], columns,
        reading=reading, relations=[relations],
    )  # fmt: skip
    return (method or EmergentLayout()).bias(context)[0, 0].view(*(grid or size), 10)


def centre(inside):
    """The centre of what is inside, (row, column) in fractions of the sides."""
    rows, columns = torch.nonzero(inside).double().add(0.5).mean(0).tolist()
    return rows / inside.shape[0], columns / inside.shape[1]


SIDES = {1: (0.5, 0.25), 2: (0.5, 0.25), 4: (0.5, 0.75)}


def test_each_phrase_is_bound_to_the_place_where_it_is_attended():
    found = bound(SIDES)
    cat, frog = found[..., 2] == 0, found[..., 4] == 0
    assert centre(cat)[1] == pytest.approx(0.25, abs=0.07)
    assert centre(frog)[1] == pytest.approx(0.75, abs=0.07)
    assert not (cat & frog).any()
    assert torch.equal(found[..., 1], found[..., 2])
    outside = found[..., 2][~cat].unique()
    assert outside.tolist() == pytest.approx([math.log(EmergentLayout().floor)])
    for other in (0, 3, 5, 6, 7, 8, 9):
        assert not found[..., other].any()


def test_an_attribute_that_looks_elsewhere_is_brought_to_its_noun():
    found = bound({1: (0.5, 0.75), 2: (0.5, 0.25), 4: (0.5, 0.75)})
    assert torch.equal(found[..., 1], found[..., 2])
    assert not ((found[..., 2] == 0) & (found[..., 4] == 0)).any()


def test_coarse_maps_leave_more_than_the_diagonals():
    upright = bound({1: (0.25, 0.5), 2: (0.25, 0.5), 4: (0.75, 0.5)}, size=(8, 8))
    cat, frog = centre(upright[..., 2] > -1), centre(upright[..., 4] > -1)
    assert abs(cat[1] - frog[1]) < 0.15
    assert frog[0] - cat[0] > 0.3


def test_two_of_a_kind_get_two_places():
    cats = replace(CAT, count=2)
    assert len(phrases_of([cats, FROG], [])) == 3
    alone = bound({1: (0.5, 0.25), 2: (0.5, 0.25)}, subjects=[cats])
    inside = alone[..., 2] == 0
    assert inside.any() and not inside.all()


def test_too_many_things_are_refused_before_any_is_placed():
    with pytest.raises(UnfitPrompt, match="at most 36 things; the prompt asks for 2000000"):
        bound(SIDES, subjects=[replace(CAT, count=1_000_000), replace(FROG, count=1_000_000)])


def test_what_is_joined_is_near_and_within_the_others_place():
    wears = Relation("wearing", 0, 1)
    assert phrases_of([CAT, FROG], [wears]) == [Phrase(((2,), (1,))), Phrase(((4,),), host=0)]
    joined = bound(SIDES, relations=[wears])
    cat, crown = joined[..., 2] == 0, joined[..., 4] == 0
    assert (cat & crown).sum() == crown.sum()
    apart = bound(SIDES, relations=[Relation("beside", 0, 1)])
    assert math.dist(centre(crown), centre(cat)) < math.dist(
        centre(apart[..., 4] == 0), centre(apart[..., 2] == 0)
    )


def test_one_subject_is_left_alone():
    method = EmergentLayout()
    assert not method.edits([[CAT]]) and method.edits([[CAT, FROG]])
    assert not bound(SIDES, subjects=[CAT]).any()


def test_coarser_layers_see_the_same_places():
    fine, coarse = bound(SIDES), bound(SIDES, grid=(8, 8))
    shrunk = torch.nn.functional.avg_pool2d((fine[..., 4] == 0).float()[None, None], 2)[0, 0]
    assert torch.allclose(coarse[..., 4], shrunk.clamp_min(1e-4).log())


@settings(max_examples=30, deadline=None)
@given(
    number=st.integers(2, 6),
    size=st.sampled_from([(8, 8), (16, 16), (8, 24), (32, 20), (64, 64), (3, 5)]),
    seed=st.integers(0, 99),
)
def test_any_number_finds_room_on_any_size(number, size, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand((1, *size, 10), generator=generator)
    columns = clip_columns((8,), 10)
    subjects = [subject(1 + i) for i in range(number)]
    context = LayerContext(
        "layer", Step(1, 50, 961.0), size, [subjects], columns,
        reading=made({"layer": maps}, {"layer": 1}, size, columns), relations=[()],
    )  # fmt: skip
    found = EmergentLayout().bias(context)[0, 0]
    assert found.shape == (size[0] * size[1], 10) and torch.isfinite(found).all()
    for column in range(1, 1 + number):
        assert (found[:, column] > -5).any()
