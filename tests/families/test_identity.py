"""A step size of nothing changes nothing, in every family."""

import pytest
import torch

from . import FAMILIES
from .nursing import KINDS, NOTHING, always, nursed, plain, state


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_size_of_nothing_changes_no_bit_and_nothing_stays(kind):
    """With all branches, and not square; `test_schedulers` runs one branch, and square."""
    toy = FAMILIES[kind]
    pipe = toy.build()
    options = {"guided": True, "wide": True}
    # diffusers itself leaves something behind in a first run.
    expected, before = plain(toy, pipe, **options), state(pipe)
    latents, trace = nursed(toy, pipe, always(step_size=NOTHING), **options)
    assert torch.equal(latents, expected)
    assert len(trace.steps) == trace.backwards > 0
    assert [subject.text for subject in trace.subjects[0]] == ["car", "bowl"]
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe, **options), expected)
