import dataclasses

import pytest
import torch

from adhere.methods import METHODS
from adhere.methods.attention_regulation import AttentionRegulation
from adhere.methods.base import LayerContext
from adhere.methods.regulation import Goal, fold, make_bumps, random_weights, regulate
from adhere.methods.schedule import Step
from adhere.subjects.subject import Subject
from method_maps import clip_columns, subject

TOKENS = 20
SUBJECTS = ((subject(2), subject(5)), (subject(3), subject(4), subject(6)), ())
ENDS = (9, 8, 7)


def context(index=0, size=(16, 16), subjects=SUBJECTS, ends=ENDS, memory=None, layer="layer"):
    step = Step(index, 50, 981.0)
    memory = {} if memory is None else memory
    columns = clip_columns(ends, TOKENS)
    return LayerContext(layer, step, size, subjects, columns, memory=memory)


def scores(samples=3, size=(16, 16), seed=0, heads=2):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn((samples, heads, size[0] * size[1], TOKENS), generator=generator)
    raw[..., 0] += 3
    return raw


def test_targets_gain_and_specials_keep_what_they_had():
    plain = scores().softmax(-1)
    edited = AttentionRegulation().probabilities(scores(), context())
    for sample, own in enumerate(SUBJECTS):
        for index in (s.token_indices[0] for s in own):
            assert (edited[sample][..., index].mean() > plain[sample][..., index].mean()).all()
        specials = [0, ENDS[sample]]
        torch.testing.assert_close(edited[sample][..., specials], plain[sample][..., specials])
    torch.testing.assert_close(edited[2], plain[2])


def test_sums_are_one_where_asked_for():
    edited = AttentionRegulation().probabilities(scores(), context())
    assert (edited[:2].sum(-1) > 1.01).any()
    for change in ({"renormalises": True}, {"keeps_specials": False}):
        edited = AttentionRegulation(**change).probabilities(scores(), context())
        torch.testing.assert_close(edited.sum(-1), torch.ones(3, 2, 256))


def test_each_sample_is_edited_as_if_it_were_alone():
    method = AttentionRegulation()
    memory = {}
    for index in range(3):
        raw = scores(seed=index)
        both = method.probabilities(raw, context(index, memory=memory))
        assert torch.isfinite(both).all()
    for sample in range(3):
        memory = {}
        one = slice(sample, sample + 1)
        for index in range(3):
            alone = method.probabilities(
                scores(seed=index)[one],
                context(index, subjects=SUBJECTS[one], ends=ENDS[one], memory=memory),
            )
        torch.testing.assert_close(alone[0], both[sample], rtol=1e-4, atol=1e-5)


def test_a_step_remembers_the_one_before():
    raw, own = scores(1), SUBJECTS[:1]
    bumps = make_bumps(16, 16)
    folded = fold(raw[0], [[2], [5]])[None]
    method = AttentionRegulation(keeps_specials=False)
    memory = {}
    method.probabilities(raw, context(0, subjects=own, ends=ENDS[:1], memory=memory))
    (first,) = (edit.clone() for edit in memory.values())
    after = method.probabilities(raw, context(1, subjects=own, ends=ENDS[:1], memory=memory))
    (second,) = memory.values()
    weights = random_weights((1, 2, 2), bumps, f"{method.seed} {context(1).layer} 1")
    torch.testing.assert_close(regulate(folded, weights, bumps, Goal())[0], second)
    expected = raw.clone()
    expected[..., [2, 5]] += 0.99 * (0.25 * first + 0.75 * second).mT
    torch.testing.assert_close(after, expected.softmax(-1))


def test_the_beginning_is_the_seeds():
    one = AttentionRegulation(seed=1).probabilities(scores(), context())
    again = AttentionRegulation(seed=1).probabilities(scores(), context())
    other = AttentionRegulation(seed=2).probabilities(scores(), context())
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one, other)
    state = torch.get_rng_state()
    AttentionRegulation().probabilities(scores(), context())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_pieces_of_a_word_are_one_target():
    whole = ((Subject("sombrero", (2, 3)), subject(5)),)
    raw = scores(1)
    edited = AttentionRegulation(keeps_specials=False).probabilities(
        raw, context(subjects=whole, ends=ENDS[:1])
    )
    ratio, before = edited[..., 2] / edited[..., 3], (raw[..., 2] - raw[..., 3]).exp()
    torch.testing.assert_close(ratio, before, rtol=1e-4, atol=1e-6)
    apart = AttentionRegulation(keeps_specials=False, joins_pieces=False).probabilities(
        raw, context(subjects=whole, ends=ENDS[:1])
    )
    assert not torch.allclose(apart, edited)


def test_a_token_named_twice_is_edited_once():
    twice = ((subject(2), subject(2)),)
    once = ((subject(2),),)
    one, two = (
        AttentionRegulation().probabilities(scores(1), context(subjects=own, ends=ENDS[:1]))
        for own in (once, twice)
    )
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (1, 1), (2, 9), (16, 24), (5, 3)])
def test_any_grid(size):
    edited = AttentionRegulation().probabilities(scores(size=size), context(size=size))
    assert torch.isfinite(edited).all()


def test_nothing_is_left_in_autograd():
    with torch.inference_mode():
        edited = AttentionRegulation().probabilities(scores(), context())
    assert not edited.requires_grad
    assert torch.is_grad_enabled()


def test_the_official_window_is_25_of_50_steps():
    for count in (50, 51):
        active = [i for i in range(count) if AttentionRegulation().is_active(Step(i, count, 0.0))]
        assert active == list(range(25))


@pytest.mark.parametrize("name", METHODS)
def test_registered_methods_are_frozen_and_have_an_official_variant(name):
    method = METHODS[name]()
    assert method.name == name
    assert dataclasses.replace(method) == method
    assert isinstance(METHODS[name].official(), METHODS[name])
