"""The walk of a reader: how many own calls lie before the denoiser, and in a nursed step."""

import pytest
from benchmarks.calls import count

from adhere.subjects import parse


@pytest.mark.slow
def test_the_walk_to_a_nursed_step_grows_no_longer():
    # Reading a prompt is kept, as any test before may have read this one.
    parse("a cat and a frog")
    calls = count()
    assert 0 < calls.before.total() <= 480
    assert 0 < calls.step.total() <= 260
