"""SAGA against its formulas, written out again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adhere.methods.losses import mean_overlap
from adhere.methods.saga import SAGA
from adhere.methods.schedule import Step

from .captured import EXACT, caught, check, overlap, slope, smoothed, softmaxed


def by_hand(reading):
    """Half of what the weakest subject lacks, and half of the overlap of the two."""
    soft = softmaxed(reading)
    cat, frog = (smoothed(soft[..., token]) for token in (3, 7))
    return (1 - min(cat.max(), frog.max()) + overlap(cat, frog)) / 2


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    always = SAGA(start=0.0, stop=1.0, rounds=0)
    check(always, by_hand, monkeypatch, score=lambda reading: 1 - by_hand(reading))


def test_one_round_of_the_descent_moves_the_mean_by_the_slope_of_its_samples(monkeypatch):
    method = SAGA(start=0.25, stop=0.25, rounds=1, draws=2, rescales=False)
    searched = caught(method, monkeypatch)[0]
    assert searched.step.index == 1
    mean = searched.latents.mean((2, 3), keepdim=True).expand_as(searched.latents)
    generator = torch.Generator().manual_seed(0)
    shape = searched.latents.shape
    noises = [torch.randn(shape[1:], generator=generator) for _ in range(2)]
    way = torch.randn(shape, generator=generator, dtype=torch.float64)

    def average(latents):
        moved = latents - searched.latents
        samples = [mean + moved + searched.step.noise * noise for noise in noises]
        return sum(by_hand(searched.read(sample)) for sample in samples) / 2

    expected = -20 * slope(average, searched, way)
    assert math.isclose(float((searched.shift * way).sum()), expected, **EXACT)


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
