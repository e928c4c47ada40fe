import math
from dataclasses import replace

import torch

from adhere.methods.base import LayerContext
from adhere.methods.schedule import Step
from adhere.methods.token_reweighting import TokenReweighting
from method_maps import clip_columns, subject

TOKENS, END = 10, 7
ENDS = (END, 5)
SUBJECTS = ((subject(2, 1), subject(5)), (subject(3),))


def context(subjects=SUBJECTS, ends=ENDS):
    columns = clip_columns(ends, TOKENS)
    return LayerContext("layer", Step(0, 50, 981.0), (2, 3), subjects, columns)


def scores(samples=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((samples, 3, 6, TOKENS), generator=generator, dtype=torch.float64)


def test_row_mode_is_a_bias_of_logarithms():
    bias = TokenReweighting().bias(context())[:, 0, 0]
    up, down = math.log(1.5), math.log(0.5)
    expected = [
        [0, down, up, down, down, up, down, 0, 0, 0],
        [0, down, down, up, down, 0, 0, 0, 0, 0],
    ]
    torch.testing.assert_close(bias, torch.tensor(expected))


def test_hard_mode_leaves_out_all_other_words():
    edited = (scores() + TokenReweighting(mode="hard").bias(context())).softmax(-1)
    assert not edited[0][..., [1, 3, 4, 6]].any()
    assert (edited[0][..., [0, 2, 5, 7, 8, 9]] > 0).all()


def test_words_mode_leaves_specials_and_the_words_mass_alone():
    before = scores().softmax(-1)
    after = TokenReweighting(mode="words").probabilities(scores(), context())
    for sample, end in enumerate(ENDS):
        outside = [0, *range(end, TOKENS)]
        torch.testing.assert_close(after[sample][..., outside], before[sample][..., outside])
        words = slice(1, end)
        torch.testing.assert_close(
            after[sample][..., words].sum(-1), before[sample][..., words].sum(-1)
        )
    ratio = (after / before)[0]
    torch.testing.assert_close(ratio[..., 2], 3 * ratio[..., 1])


def test_none_mode_multiplies_and_no_more():
    before = scores().softmax(-1)
    after = TokenReweighting.literal().probabilities(scores(), context())
    assert TokenReweighting.literal().bias(context()) is None
    assert TokenReweighting.official() == TokenReweighting.literal()
    # The scheme begins with a mask of 0 and 1, so that beta has nothing left to weigh.
    factor = torch.zeros(TOKENS, dtype=torch.float64)
    factor[[2, 5]] = 1.5
    torch.testing.assert_close(after[0], before[0] * factor)
    halved = replace(TokenReweighting.literal(), beta=0.5, specials=0.5)
    after = halved.probabilities(scores(), context())
    factor = torch.where(factor > 0, factor, 0.5)
    torch.testing.assert_close(after[0], before[0] * factor)
    assert ((after.sum(-1) >= 0.5) & (after.sum(-1) <= 1.5)).all()


def test_attributes_can_be_weighted_with_their_subject():
    bias = TokenReweighting(with_attributes=True).bias(context())[:, 0, 0]
    assert bias[0, 1] == bias[0, 2] > 0


def test_equal_weights_change_nothing():
    method = TokenReweighting(alpha=1, beta=1)
    assert not method.bias(context()).any()
    assert not method.edits([]) and TokenReweighting(alpha=1).edits([])
    words = TokenReweighting(alpha=2, beta=2, mode="words")
    before = scores().softmax(-1)
    torch.testing.assert_close(words.probabilities(scores(), context()), before)
    assert not words.edits([]) and replace(words, mode="row").edits([])


def test_the_window_can_be_shortened():
    method = TokenReweighting(stop=0.5)
    assert [i for i in range(10) if method.is_active(Step(i, 10, 0.0))] == list(range(5))
