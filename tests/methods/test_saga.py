"""SAGA against its formulas, written out again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import toys
from adhere.methods.losses import mean_overlap
from adhere.methods.saga import SAGA
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from adhere.subjects import Subject

SUBJECTS = [Subject("cat", (2,)), Subject("frog", (5,))]


def test_the_loss_on_captured_maps_of_a_run_is_the_papers():
    seen = []

    class Capturing(SAGA):
        def loss(self, reading):
            found = super().loss(reading)
            seen.append((reading.detach(), found.detach()))
            return found

    pipe = toys.sd()
    pipe.to(torch.float64)
    method = Capturing(stop=1.0, rounds=1, draws=1)
    with nurse(pipe, method, subjects=SUBJECTS) as trace:
        toys.run(pipe, "a cat and a frog", steps=4)
    # One pass of the search, and one for each step.
    assert len(seen) == trace.truncated_forwards == trace.backwards == 5
    for reading, loss in seen:
        cat, frog = (reading.smoothed(0.01)[0, ..., token].double().numpy() for token in (2, 5))
        shared = both = 0.0
        for a, b in zip(cat.flat, frog.flat, strict=True):
            shared += min(a, b)
            both += a + b
        expected = (max(1 - cat.max(), 1 - frog.max()) + shared / both) / 2
        assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_the_mean_follows_the_descent_with_momentum():
    slope = torch.as_tensor(np.random.default_rng(0).normal(size=(2, 4, 3, 5)))

    class Sloped(SAGA):
        def loss(self, reading):
            return (reading * slope).flatten(1).sum(1)

    latents = torch.as_tensor(np.random.default_rng(1).normal(size=(2, 4, 3, 5)))
    method = Sloped(step_size=0.5, momentum=0.4, rounds=4, draws=3, rescales=False)
    found = method.search(latents, lambda x, _: x, Step(10, 50, 781.0, noise=0.9))
    speed, moved = 0.0, 0.0
    for _ in range(4):
        speed = 0.4 * speed + 1.0
        moved -= 0.5 * speed
    np.testing.assert_allclose(found, latents + moved * slope, atol=1e-12)


def test_the_mean_spreads_no_further_than_the_signal():
    slope = torch.linspace(-1, 1, 60).double().view(1, 4, 3, 5)

    class Sloped(SAGA):
        def loss(self, reading):
            return (reading * slope).flatten(1).sum(1)

    latents = torch.as_tensor(np.random.default_rng(1).normal(size=(1, 4, 3, 5)))
    first = latents.mean((2, 3), keepdim=True).expand_as(latents)
    method = Sloped(step_size=100.0, rounds=2, draws=1)
    found = method.search(latents, lambda x, _: x, Step(10, 50, 781.0, noise=0.8))
    signal = max(float(latents.std()) ** 2 - 0.8**2, 0.0) ** 0.5
    mean = found - latents + first
    assert mean.std().item() == pytest.approx(max(signal, float(first.std())), rel=1e-6)


def test_it_searches_at_one_step_of_any_loop():
    found = {
        count: [i for i in range(count) if SAGA().searches_at(Step(i, count, 0.0))]
        for count in (1, 4, 25, 50, 51)
    }
    assert found == {1: [0], 4: [0], 25: [5], 50: [10], 51: [10]}
    assert [i for i in range(50) if SAGA.official().searches_at(Step(i, 50, 0.0))] == [10]


def test_overlap_of_known_maps():
    one = torch.zeros((2, 4, 4))
    one[:, 1, 1] = 1.0
    assert mean_overlap(one).item() == 0.5
    apart = one.clone()
    apart[1] = one[1].roll(1, 0)
    assert mean_overlap(apart).item() == 0 and mean_overlap(one[:1]).item() == 0
