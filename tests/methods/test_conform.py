"""CONFORM: a contrastive loss on the maps of words, those of the step before included."""

import math
from dataclasses import replace

import pytest
import torch

import toys
from adhere.methods.conform import Conform
from adhere.nursing import nurse
from golden_maps import probabilities
from method_maps import clip_columns, made, read, subject

from .captured import aggregate, check, smoothed

ALWAYS = Conform(stop=1.0, refine_at=())
GROUPS = ((3, 2), (7, 6))


def by_hand(reading):
    members = []
    for source in (reading, reading.previous):
        if source is not None:
            raw = aggregate(source)
            for group, tokens in enumerate(GROUPS):
                members += [(group, smoothed(raw[..., token]).ravel()) for token in tokens]

    def closeness(a, b):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    losses = []
    for i, (own, anchor) in enumerate(members):
        negatives = [math.exp(closeness(anchor, m) / 0.5) for g, m in members if g != own]
        for j, (other, positive) in enumerate(members):
            if i != j and own == other:
                near = math.exp(closeness(anchor, positive) / 0.5)
                losses.append(-math.log(near / (near + sum(negatives))))
    return sum(losses) / len(losses)


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(ALWAYS, by_hand, monkeypatch)


def test_the_golden_toy_value():
    maps = made({"layer": probabilities()[None]}, {"layer": 4}, (64, 64), clip_columns((8,), 77))
    loss = ALWAYS.loss(read(maps, [(subject(3, 2), subject(7, 6))]))
    assert loss.tolist() == pytest.approx([1.0804378316], rel=1e-9)


def test_subjects_apart_whose_words_agree():
    layer = torch.zeros((1, 8, 8, 9), dtype=torch.float64)
    layer[..., :3, 2:4], layer[..., 5:, 6:8] = 0.5, 0.25
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((8,), 9))
    reading = read(maps, [(subject(3, 2), subject(7, 6))])
    # Each pair has closeness 1, and both others 0, at a temperature of a half.
    expected = math.log(1 + 2 * math.exp(-2))
    assert ALWAYS.loss(reading).tolist() == pytest.approx([expected], rel=1e-9)
    # With the step before, there are four others.
    both = replace(reading, previous=reading, _kept={})
    expected = math.log(1 + 4 * math.exp(-2))
    assert ALWAYS.loss(both).tolist() == pytest.approx([expected], rel=1e-9)
    # Nouns alone have no partner at the first step.
    assert ALWAYS.loss(read(maps, [(subject(3), subject(7))])).tolist() == [0.0]


def test_thresholds_are_out_of_reach_so_that_all_refinements_are_spent():
    pipe = toys.sd()
    method = Conform(refine_at=((0.0, 0.0),), max_refinements=2)
    with nurse(pipe, method, prompt="a red cat and a blue frog") as trace:
        toys.run(pipe, "a red cat and a blue frog")
    assert trace.refinements[0].tolist() == [2]


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match="conform needs at least 2 subjects"):
        with nurse(toys.sd(), Conform(), prompt="a red cat"):
            pass
