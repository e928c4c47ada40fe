"""Each toy draws finite, repeatable latents that follow the prompt and the guidance."""

import pytest
import torch

from adhere.families import family_of
from adhere.families.call import DenoiserCall

from . import FAMILIES
from .probe import denoiser, first_call
from .refused import REFUSED

ONE, OTHER = "a cat and a frog", "a red car and a blue bowl"


@pytest.fixture(params=FAMILIES, scope="module")
def case(request):
    """A toy, its pipeline, and the latents of one prompt."""
    toy = FAMILIES[request.param]
    pipe = toy.build()
    return toy, pipe, toy.run(pipe, ONE)


def test_a_run_is_finite_repeatable_and_follows_the_prompt(case):
    toy, pipe, first = case
    assert torch.isfinite(first).all()
    assert torch.equal(first, toy.run(toy.build(), ONE))
    assert not torch.equal(first, toy.run(pipe, OTHER))
    assert not torch.equal(first, toy.run(pipe, ONE, seeds=(1,)))


def test_a_run_need_not_be_square(case):
    toy, pipe, first = case
    wide = toy.run(pipe, ONE, wide=True)
    assert torch.isfinite(wide).all()
    (height, width), (high, long) = toy.square, toy.wide
    assert wide.numel() * height * width == first.numel() * high * long


def test_guidance_costs_a_second_branch(case):
    toy, pipe, _ = case
    family, rows = family_of(pipe), []
    hook = denoiser(pipe).register_forward_pre_hook(
        lambda *call: rows.append(len(DenoiserCall.of(*call)[family.sample])), with_kwargs=True
    )
    plain = toy.run(pipe, ONE)
    before, rows[:] = list(rows), []
    guided = toy.run(pipe, ONE, guided=True)
    hook.remove()
    assert torch.isfinite(guided).all()
    assert set(before) == {1}
    if toy.guidance == "always two calls":
        assert len(rows) == 2 * 3
        return
    if toy.guidance == "one call":
        assert rows == before
        assert torch.equal(plain, guided)
        return
    assert rows == ([1] * 2 * len(before) if toy.guidance == "two calls" else [2] * len(before))
    assert not torch.equal(plain, guided)


def test_prompts_in_a_list_are_drawn_alike(case):
    toy, pipe, _ = case
    if not toy.lists:
        pytest.skip("the pipeline takes one prompt")
    both = toy.run(pipe, [ONE, OTHER], guided=True, seeds=(0, 1))
    alone = toy.run(pipe, ONE, guided=True)
    assert (both[:1] - alone).abs().max() < 1e-4 * alone.abs().max()
    assert both.shape[0] == 2
    same = toy.run(pipe, [ONE, ONE], guided=True, seeds=(0, 1))
    assert not torch.equal(both[1], same[1])


def test_klein_kv_has_two_attentions_in_a_module():
    arguments = FAMILIES["flux2-klein-edit"].call(ONE)
    del arguments["guidance_scale"]
    _, seen = first_call(REFUSED["klein-kv"](), arguments)
    modules = [each.module for each in seen]
    assert {modules.count(name) for name in modules} == {2}
