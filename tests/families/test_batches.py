"""A batch equals its samples one by one, in every family."""

import pytest
import torch

from adhere.families import family_of

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
