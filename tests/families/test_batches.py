"""A batch equals its samples one by one, in every family."""

from inspect import signature

import pytest
import torch

from adhere.families import family_of
from adhere.methods import TokenReweighting

from . import FAMILIES, TRANSFORMERS
from .nursing import KINDS, PROMPT, always, nursed, plain
from .probe import first_call


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_samples_one_by_one(kind):
    toy = FAMILIES[kind]
    if not toy.lists:
        pytest.skip("The pipeline takes one prompt.")
    pipe = toy.build()
    pipe.to(torch.float64)
    prompts = [PROMPT, "a red cat and a blue frog"]
    method = always(step_size=2.0)
    expected = plain(toy, pipe, prompts, seeds=(0, 1))
    _, trace = nursed(toy, pipe, method, prompts, seeds=(0, 1))
    for sample, prompt in enumerate(prompts):
        single = plain(toy, pipe, prompt, seeds=(sample,))
        if not torch.allclose(single[0], expected[sample], rtol=1e-4, atol=1e-6):
            pytest.skip("The pipeline itself draws another image in a batch.")
        _, alone = nursed(toy, pipe, method, prompt, seeds=(sample,))
        assert trace.weakest(sample) == pytest.approx(alone.weakest(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in TRANSFORMERS if FAMILIES[kind].lists])
def test_a_call_for_one_sample_alone_is_a_row_of_the_whole(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    call, _ = first_call(pipe, toy.call([PROMPT, "a red cat and a blue frog"]))
    family = family_of(pipe)
    count = len(call[family.sample])

    def output(given):
        found = pipe.transformer(*given.args, **given.keywords)[0]
        return found if isinstance(found, torch.Tensor) else torch.stack(list(found))

    with torch.no_grad():
        expected = output(call)
        for row in range(count):
            alone = output(call.take([row], count, family.whole, family.listed))
            assert alone.shape == expected[row : row + 1].shape
            torch.testing.assert_close(alone[0], expected[row], rtol=1e-4, atol=1e-4)


def takes_several(kind):
    """Whether a pipeline draws several images of one prompt."""
    call = type(FAMILIES[kind].build()).__call__
    return "num_images_per_prompt" in signature(call).parameters


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_several_images_of_a_prompt_are_nursed_each(kind, guided):
    toy = FAMILIES[kind]
    if not toy.lists or not takes_several(kind):
        pytest.skip("The pipeline draws one image of a prompt.")
    pipe = toy.build()
    pipe.to(torch.float64)
    of_two = {"seeds": (0, 1), "guided": guided}
    of_one = of_two | {"num_images_per_prompt": 2}
    expected = plain(toy, pipe, [PROMPT, PROMPT], **of_two)
    try:
        baseline = plain(toy, pipe, PROMPT, **of_one)
    except RuntimeError:
        pytest.skip("The pipeline itself cannot.")
    if not torch.allclose(baseline, expected, rtol=1e-4, atol=1e-5):
        pytest.skip("The pipeline itself draws other images.")
    for method in (always(step_size=2.0), TokenReweighting(alpha=3.0)):
        found, trace = nursed(toy, pipe, method, PROMPT, **of_one)
        expected, _ = nursed(toy, pipe, method, [PROMPT, PROMPT], **of_two)
        assert len(trace.subjects) == 2
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found, baseline, rtol=1e-3)
