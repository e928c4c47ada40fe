"""Edits of attention act on the conditional samples alone, in every family."""

from dataclasses import replace

import pytest
import torch

import adhere

from . import FAMILIES
from .nursing import KINDS, nursed, plain

METHODS = [adhere.TokenReweighting(), adhere.TokenReweighting(mode="words")]


@pytest.mark.parametrize("kind", KINDS)
def test_edits_act_on_the_conditional_call_alone(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    options = {"guided": True, "steps": 2}
    expected = plain(toy, pipe, **options)
    for method in METHODS:
        neutral = replace(method, alpha=1.0, beta=0.999999)
        same, _ = nursed(toy, pipe, neutral, **options)
        torch.testing.assert_close(same, expected, rtol=1e-3, atol=1e-3)
        latents, trace = nursed(toy, pipe, method, **options)
        assert not torch.allclose(latents, expected, rtol=1e-4, atol=1e-4)
        assert trace.edited_layers > 0
