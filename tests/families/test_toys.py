"""Each toy draws finite, repeatable latents that follow the prompt and the guidance."""

import pytest
import torch

from . import FAMILIES
from .layouts import LAYOUTS
from .probe import denoiser, first_call, joined
from .refused import REFUSED
from .toy import with_scheduler

ONE, OTHER = "a cat and a frog", "a red car and a blue bowl"
CASES = [(name, place) for name, toy in FAMILIES.items() for place in toy.schedulers]


@pytest.fixture(params=FAMILIES)
def toy(request):
    return FAMILIES[request.param]


def test_a_run_is_finite_repeatable_and_follows_the_prompt(toy):
    pipe = toy.build()
    first = toy.run(pipe, ONE)
    assert torch.isfinite(first).all()
    assert torch.equal(first, toy.run(toy.build(), ONE))
    assert not torch.equal(first, toy.run(pipe, OTHER))
    assert not torch.equal(first, toy.run(pipe, ONE, seeds=(1,)))


def test_a_run_need_not_be_square(toy):
    pipe = toy.build()
    wide = toy.run(pipe, ONE, wide=True)
    assert torch.isfinite(wide).all()
    (height, width), (high, long) = toy.square, toy.wide
    assert wide.numel() * height * width == toy.run(pipe, ONE).numel() * high * long


@pytest.mark.parametrize("name", FAMILIES)
def test_guidance_costs_a_second_branch(name):
    toy = FAMILIES[name]
    pipe = toy.build()
    sample, rows = LAYOUTS[name].sample if name in LAYOUTS else 0, []
    denoiser(pipe).register_forward_pre_hook(
        lambda model, positional, named: rows.append(len(joined(positional, named)[sample])),
        with_kwargs=True,
    )
    plain = toy.run(pipe, ONE)
    before, rows[:] = list(rows), []
    guided = toy.run(pipe, ONE, guided=True)
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


def test_prompts_in_a_list_are_drawn_alike(toy):
    if not toy.lists:
        pytest.skip("the pipeline takes one prompt")
    pipe = toy.build()
    both = toy.run(pipe, [ONE, OTHER], guided=True, seeds=(0, 1))
    alone = toy.run(pipe, ONE, guided=True)
    assert (both[:1] - alone).abs().max() < 1e-4 * alone.abs().max()
    assert both.shape[0] == 2
    same = toy.run(pipe, [ONE, ONE], guided=True, seeds=(0, 1))
    assert not torch.equal(both[1], same[1])


@pytest.mark.parametrize(("name", "scheduler"), CASES)
def test_a_scheduler_draws(name, scheduler):
    toy = FAMILIES[name]
    pipe = with_scheduler(toy.build(), scheduler)
    assert torch.isfinite(toy.run(pipe, ONE, guided=True)).all()


@pytest.mark.parametrize("name", ["glm-image", "fibo", "ideogram-4"])
def test_a_denoiser_to_refuse_is_of_no_family_here(name):
    kind = type(REFUSED[name]().transformer).__name__
    assert kind not in {layout.denoiser for layout in LAYOUTS.values()}


def test_klein_kv_has_two_attentions_in_a_module():
    arguments = FAMILIES["flux2-klein-edit"].call(ONE)
    del arguments["guidance_scale"]
    _, seen = first_call(REFUSED["klein-kv"](), arguments)
    modules = [each.module for each in seen]
    assert {modules.count(name) for name in modules} == {2}
