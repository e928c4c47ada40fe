"""Whole phrases: every loss over nouns can be one over nouns with their attributes."""

from dataclasses import fields, replace

import pytest
import torch

from adhere.methods import METHODS, LatentMethod
from method_maps import clip_columns, made, read, subject

MOVERS = {name: kind for name, kind in METHODS.items() if issubclass(kind, LatentMethod)}
CHOICE = sorted(n for n, k in MOVERS.items() if "with_attributes" in {f.name for f in fields(k)})
BOXES = ((0.0, 0.1, 0.4, 0.9), (0.5, 0.2, 1.0, 1.0))
# "a red cat and a blue frog": nouns at 3 and 7, each after its attribute.
SUBJECTS = [
    replace(subject(noun, noun - 1), box=box) for noun, box in zip((3, 7), BOXES, strict=True)
]


def felt(method, column, subjects=SUBJECTS):
    """How much the raw attention to a column matters to a loss: the length of its gradient."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.rand((1, 8, 8, 9), generator=generator, dtype=torch.float64)
    layer = (0.1 * layer).requires_grad_()
    own = torch.rand((1, 64, 64), generator=generator, dtype=torch.float64).softmax(-1)
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((8,), 9))
    reading = replace(read(maps, [subjects]), self_layers={"layer": own})
    (slope,) = torch.autograd.grad(method.loss(reading).sum(), layer)
    return slope[..., column].norm().item()


@pytest.mark.parametrize("name", sorted({*MOVERS} - {*CHOICE}))
def test_a_loss_without_the_choice_reads_attributes_by_itself(name):
    assert all(felt(MOVERS[name](), column) > 0 for column in (2, 3, 6, 7))


@pytest.mark.parametrize("name", CHOICE)
def test_attributes_count_where_they_are_chosen_and_nowhere_else(name):
    """Of raw attention, as in a softmax every column has a part in every other one's map."""
    nouns = {"temperature": None, "with_attributes": False}
    if name == "divide-and-bind":
        nouns["binding"] = False
    method = MOVERS[name](**nouns)
    assert sum(felt(method, column) for column in (3, 7)) > 0
    assert [felt(method, column) for column in (2, 6)] == [0, 0]
    phrases = replace(method, with_attributes=True)
    assert sum(felt(phrases, column) for column in (2, 6)) > 0
    alone = [replace(one, attributes=()) for one in SUBJECTS]
    for column in (3, 7):
        assert felt(phrases, column, alone) == felt(method, column, alone)
