"""Nursing moves latents towards a lower loss, in every family and in half precision."""

import pytest
import torch

from engine import Noting

from . import FAMILIES
from .nursing import KINDS, always, nursed, plain
from .outcomes import CLASSES


@pytest.mark.parametrize("kind", KINDS)
def test_nursing_moves_the_latents_and_one_small_step_lowers_the_loss(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    options = {"guided": True, "steps": 2}
    expected = plain(toy, pipe, **options)
    latents, _ = nursed(toy, pipe, always(step_size=5.0), **options)
    assert latents.isfinite().all()
    assert not torch.equal(latents, expected)
    method = always(Noting, refine_at=((0.0, 2.0),), max_refinements=1, step_size=0.05, stop=0.3)
    nursed(toy, pipe, method, guided=True)
    before, after = method.seen[:2]
    assert (after > before).all()


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, torch.bfloat16) for kind in KINDS] + [(kind, torch.float16) for kind in CLASSES],
)
def test_half_precision_stays_finite(kind, dtype):
    toy = FAMILIES[kind]
    pipe = toy.build()
    pipe.to(dtype)
    latents, trace = nursed(toy, pipe, always(step_size=2.0), steps=2)
    assert latents.isfinite().all()
    assert trace.loss.dtype == torch.float32
