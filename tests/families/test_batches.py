"""A batch equals its samples one by one, in every family."""

import pytest
import torch

from . import FAMILIES
from .nursing import KINDS, PROMPT, always, nursed, plain


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
