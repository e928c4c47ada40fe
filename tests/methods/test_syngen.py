"""SynGen: the maps of a noun and its attribute agree, and differ from all other words'."""

import math

import pytest
import torch

import toys
from adhere.methods.syngen import SynGen
from adhere.nursing import nurse
from adhere.subjects import Subject
from golden_maps import probabilities
from method_maps import clip_columns, made, read, subject

from .captured import aggregate, check

ALWAYS = SynGen(stop=1.0)


def by_hand(reading):
    """The distance of each pair, less the mean one from words of no pair."""
    raw = aggregate(reading)

    def share(token):
        return (raw[..., token] / raw[..., token].sum()).ravel()

    def distance(a, b):
        p, q = share(a), share(b)
        one = sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))
        other = sum(y * math.log(y / x) for x, y in zip(p, q, strict=True))
        return (one + other) / 2

    total = 0.0
    for modifier, noun in ((2, 3), (6, 7)):
        others = [token for token in range(1, 8) if token not in (modifier, noun)]
        apart = [sum(distance(w, u) for u in others) / len(others) for w in (noun, modifier)]
        total += distance(modifier, noun) - sum(apart) / 2
    return total


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(ALWAYS, by_hand, monkeypatch, size=lambda step: 20.0)


def test_the_golden_toy_value():
    maps = made({"layer": probabilities()[None]}, {"layer": 4}, (64, 64), clip_columns((8,), 77))
    loss = ALWAYS.loss(read(maps, [(subject(3, 2), subject(7, 6))]))
    assert loss.tolist() == pytest.approx([0.5581620731], rel=1e-9)


def test_words_that_agree_lose_by_their_distance_from_the_others_alone():
    layer = torch.full((1, 4, 8, 6), 0.5, dtype=torch.float64)
    layer[..., :4, 2:4], layer[..., 4:, 2:4] = 0.9, 0.1
    maps = made({"layer": layer}, {"layer": 1}, (4, 8), clip_columns((5,), 6))
    # Both halves of the image differ from a flat map: 0.2 (ln 1.8 - ln 0.2).
    loss = ALWAYS.loss(read(maps, [(subject(3, 2),)]))
    assert loss.tolist() == pytest.approx([-0.2 * math.log(9)], rel=1e-9)
    # A noun alone is left as it is, unless nouns are asked for.
    assert ALWAYS.loss(read(maps, [(subject(3),)])).tolist() == [0.0]
    expected = -0.2 * math.log(9) * 2 / 3
    loss = SynGen(with_nouns=True).loss(read(maps, [(subject(3),)]))
    assert loss.tolist() == pytest.approx([expected], rel=1e-9)


def test_of_several_tokens_of_a_word_the_most_distant_counts():
    layer = torch.full((1, 4, 8, 6), 0.5, dtype=torch.float64)
    layer[..., :4, 2], layer[..., 4:, 2] = 0.9, 0.1
    maps = made({"layer": layer}, {"layer": 1}, (4, 8), clip_columns((4,), 6))
    both = Subject("noun", (2, 3), subject(1, 1).attributes)
    loss = ALWAYS.loss(read(maps, [(both,)]))
    assert loss.tolist() == pytest.approx([0.2 * math.log(9)], rel=1e-9)


def test_a_prompt_without_attributes_is_left_alone_with_a_warning():
    pipe = toys.sd()
    plain = toys.run(pipe)
    with (
        pytest.warns(UserWarning, match="binds attributes .* has no attributes, so nothing"),
        nurse(pipe, ALWAYS) as trace,
    ):
        assert torch.equal(toys.run(pipe), plain)
    assert not trace.steps and not trace.truncated_forwards
