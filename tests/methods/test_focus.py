"""FOCUS: words of one subject look at one place, subjects at different ones."""

import math

import numpy as np
import pytest
import torch

import toys
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.focus import Focus
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from families import FAMILIES
from method_maps import clip_columns, made, read, subject

from .captured import PROMPT, aggregate, check, smoothed


def divergence(shares):
    middle = sum(shares) / len(shares)
    total = 0.0
    for share in shares:
        total += sum(p * math.log(p / m) for p, m in zip(share, middle, strict=True) if p > 0)
    return total / len(shares) / math.log(len(shares))


def by_hand(reading):
    """The cost C: divergence within subjects, and what is missing to it between them."""
    raw = aggregate(reading)
    within, middles = [], []
    for noun in reading.subjects[0]:
        shares = []
        for word in (noun, *noun.attributes):
            own = raw[..., list(word.token_indices)].mean(-1)
            cubes = smoothed(own, exponent=0.5).ravel() ** 3
            shares.append(cubes / cubes.sum())
        within.append(divergence(shares))
        middles.append(np.mean(shares, axis=0))
    return (sum(within) / len(within) + 1 - divergence(middles)) / 2


def control(step):
    """Strength 1: `sigma (1 - t) |dt|` with `sigma = 2 (1 - t) / t`, a thousandth added twice."""
    time, later = 1 - step.timestep / 1000, 1 - step.after / 1000
    return 2 * (1 - time + 1e-3) / (time + 1e-3) * (1 - time) * (later - time)


@pytest.mark.parametrize("kind", [None, "sd3", "flux"])
def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(kind, monkeypatch):
    # In diffusers FLUX rotates queries and keys in float32, also in a float64 run. Differences of
    # the loss over a short stride would be differences of that rounding.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    family = FAMILIES[kind] if kind else None
    check(Focus(), by_hand, monkeypatch, size=control, family=family)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0), (5, 5), 0.0),
        ((0, 0), (0, 0), 0.5),
        ((0, 5), (0, 5), 1.0),
    ],
)
def test_places_of_words(first, second, expected):
    """Each word is attended in three rows that begin where it says."""
    layer = torch.zeros((1, 8, 8, 9), dtype=torch.float64)
    for token, start in zip((2, 3, 6, 7), (*first, *second), strict=True):
        layer[:, start : start + 3, :, token] = 0.2
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((8,), 9))
    loss = Focus().loss(read(maps, [(subject(3, 2), subject(7, 6))]))
    assert loss.tolist() == pytest.approx([expected], abs=1e-9)


def test_the_step_follows_the_flows_time():
    """Of lambda 4, at a quarter of the way, with a step of a tenth: 4 * 2 (0.751 / 0.251) ..."""
    size = Focus(step_size=4.0).schedule.step_size_at(Step(7, 28, 750.0, 650.0))
    assert size == pytest.approx(4 * (2 * 0.751 / 0.251) * 0.75 * 0.1)
    later = [
        Focus().schedule.step_size_at(Step(i, 10, t, t - 100.0))
        for i, t in enumerate(range(1000, 0, -100))
    ]
    assert sorted(later, reverse=True) == later


@pytest.mark.parametrize("kind", ["flux", "sd3"])
def test_the_cost_goes_down_in_flow_models_too(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    costs = []
    for size in (1e-30, 0.02):
        with nurse(pipe, Focus(step_size=size), prompt=PROMPT) as trace:
            toy.run(pipe, PROMPT, steps=4)
        costs.append(trace.loss[1].item())
    assert costs[1] < costs[0]


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match="focus needs at least 2 subjects"):
        with nurse(toys.sd(), Focus(), prompt="a red cat"):
            pass
    with pytest.raises(ValueError, match="^focus needs at least 2 subjects"):
        with nurse(toys.sd(), AttendAndExcite() + Focus(), prompt="a red cat"):
            pass
