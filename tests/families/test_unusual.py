"""Calls and prompts that a family has only at times are nursed like the others."""

import pytest
import torch

from . import FAMILIES
from .nursing import NOTHING, PROMPT, always, nursed, plain


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        # A further call, of the positive samples alone.
        ("sd3.5", {"steps": 4, "skip_guidance_layers": [1], "skip_layer_guidance_stop": 0.5}),
        # Guidance that ends before the run does.
        ("z-image", {"cfg_truncation": 0.2}),
        ("lumina-2", {"cfg_trunc_ratio": 0.4}),
        # Quoted text, which has keys of its own before the prompt's.
        ("hunyuan-image", {"prompt": 'a cat and a frog "hi"'}),
    ],
)
def test_nothing_changes_no_bit_and_nursing_moves(kind, others):
    toy = FAMILIES[kind]
    pipe = toy.build()
    expected = plain(toy, pipe, guided=True, **others)
    latents, _ = nursed(toy, pipe, always(step_size=NOTHING), guided=True, **others)
    assert torch.equal(latents, expected)
    latents, _ = nursed(toy, pipe, always(step_size=5.0), guided=True, **others)
    assert latents.isfinite().all() and not torch.equal(latents, expected)


@pytest.mark.parametrize("kind", ["pixart-sigma", "sana"])
def test_capitals_are_found_where_the_pipeline_lowers_them(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    small, large = (
        nursed(toy, pipe, always(step_size=NOTHING), text)[1] for text in (PROMPT, PROMPT.title())
    )
    assert [subject.text for subject in large.subjects[0]] == ["Car", "Bowl"]
    assert small.weakest() == large.weakest()
