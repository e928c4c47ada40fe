"""The walk of a reader: how many own calls lie before the denoiser, and in a nursed step."""

import pytest
from benchmarks.calls import count


@pytest.mark.slow
def test_the_walk_to_a_nursed_step_grows_no_longer():
    calls = count()
    # In a process of its own; 510 where other tests have read the same prompt.
    assert 0 < calls.before.total() <= 555
    assert 0 < calls.step.total() <= 260
