"""Every scheduler that a family takes."""

import pytest
import torch

from . import FAMILIES
from .nursing import KINDS, NOTHING, always, nursed, plain
from .toy import with_scheduler


# The first scheduler of a toy is the one that every other test runs.
@pytest.mark.parametrize("kind", [k for k in KINDS if len(FAMILIES[k].schedulers) > 1])
def test_every_scheduler_of_the_family(kind):
    toy = FAMILIES[kind]
    for name in toy.schedulers[1:]:
        pipe = with_scheduler(toy.build(), name)
        expected = plain(toy, pipe)
        assert expected.isfinite().all(), name
        latents, trace = nursed(toy, pipe, always(step_size=NOTHING))
        assert torch.equal(latents, expected), name
        latents, _ = nursed(toy, pipe, always(step_size=5.0))
        assert latents.isfinite().all() and not torch.equal(latents, expected), name
        assert torch.equal(plain(toy, pipe), expected), name
