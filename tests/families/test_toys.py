"""Each toy draws finite, repeatable latents that follow the prompt and the seed."""

import pytest
import torch

from . import FAMILIES
from .probe import first_call
from .refused import REFUSED

ONE, OTHER = "a cat and a frog", "a red car and a blue bowl"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_is_finite_repeatable_and_follows_the_prompt_and_the_seed(name):
    toy = FAMILIES[name]
    pipe = toy.build()
    first = toy.run(pipe, ONE)
    assert torch.isfinite(first).all()
    assert torch.equal(first, toy.run(toy.build(), ONE))
    assert not torch.equal(first, toy.run(pipe, OTHER))
    assert not torch.equal(first, toy.run(pipe, ONE, seeds=(1,)))


def test_klein_kv_has_two_attentions_in_a_module():
    arguments = FAMILIES["flux2-klein-edit"].call(ONE)
    del arguments["guidance_scale"]
    _, seen = first_call(REFUSED["klein-kv"](), arguments)
    modules = [each.module for each in seen]
    assert {modules.count(name) for name in modules} == {2}
