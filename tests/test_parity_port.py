"""`AttendAndExcite.official()` is what diffusers' own, deprecated pipeline computes."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionAttendAndExcitePipeline

import toys
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.nursing import nurse
from adhere.subjects import Subject

PROMPT = "a cat and a frog"
SUBJECTS = [Subject("cat", (2,)), Subject("frog", (5,))]
STEPS = 6
# Steps of the loop and their thresholds.
TURNS = {0: 0.3, 1: 0.5, 2: 0.7}


def schedulers():
    ddim = DDIMScheduler(**toys.BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    pndm = PNDMScheduler(**toys.BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    return {"ddim": ddim, "pndm": pndm}


def ported(pipe, scheduler, steps, **numbers):
    """Final latents of the port, around the parts of a toy."""
    parts = pipe.components | {"scheduler": schedulers()[scheduler]}
    del parts["image_encoder"]
    port = toys.quiet(
        StableDiffusionAttendAndExcitePipeline(**parts, requires_safety_checker=False)
    )
    return port(
        PROMPT,
        token_indices=[2, 5],
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        height=32,
        width=32,
        attn_res=(8, 8),
        **numbers,
    ).images


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
@pytest.mark.parametrize("name", ["ddim", "pndm"])
@pytest.mark.parametrize("factor", [5.0, 2.0])
def test_final_latents_equal_those_of_the_port(name, factor):
    pipe = toys.sd()
    pipe.scheduler = schedulers()[name]
    window = 4
    method = replace(
        AttendAndExcite.official(),
        step_size=factor,
        stop=window,
        refine_at=tuple(TURNS.items()),
        max_refinements=20,
    )
    with nurse(pipe, method, prompt=PROMPT, subjects=SUBJECTS) as trace:
        ours = toys.run(pipe, PROMPT, steps=STEPS, height=32, width=32)
    theirs = ported(
        pipe,
        name,
        STEPS,
        max_iter_to_alter=window,
        thresholds=TURNS,
        scale_factor=int(factor),
    )
    assert trace.refinements.sum() > 3, "the thresholds must trigger refinement"
    plain = toys.run(pipe, PROMPT, steps=STEPS, height=32, width=32)
    assert (theirs - plain).abs().max() > 0.1, "nursing must change something"
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")
@pytest.mark.parametrize("steps", [20, 30, 50])
def test_official_counts_as_the_port_at_any_number_of_steps(steps):
    pipe = toys.sd().to(torch.float64)
    pipe.scheduler = schedulers()["pndm"]
    # Of the toy's gradients a step of 20 would leave the world in which rounding does not matter.
    method = replace(AttendAndExcite.official(), step_size=2.0)
    with nurse(pipe, method, prompt=PROMPT, subjects=SUBJECTS) as trace:
        ours = toys.run(pipe, PROMPT, steps=steps, height=32, width=32)
    theirs = ported(pipe, "pndm", steps, scale_factor=2)
    nursed_steps = [record.step.index for record in trace.steps]
    assert nursed_steps == list(range(min(25, steps + 1)))
    thresholds = [i for i, count in enumerate(trace.refinements[:, 0]) if count]
    assert thresholds and set(thresholds) <= {0, 10, 20}
    assert (ours - theirs).abs().max() < 1e-4
