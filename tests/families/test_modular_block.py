"""The nurse block of diffusers' modular pipelines, at toy size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.modular_pipelines import (
    Flux2KleinBaseAutoBlocks,
    LoopSequentialPipelineBlocks,
    ModularPipelineBlocks,
    StableDiffusionXLAutoBlocks,
)

import adhere
import toys
from adhere.errors import UnsupportedPipeline
from adhere.integrations.modular import NurseBlock
from adhere.methods import BoxDiff

from . import FAMILIES, flux2
from .blocks import modular
from .nursing import PROMPT, always, plain, state

KINDS = {
    "modular-flux2-klein-base": (Flux2KleinBaseAutoBlocks, flux2.klein),
    "modular-sdxl": (StableDiffusionXLAutoBlocks, toys.sdxl),
}
FOLDER = Path(__file__).parents[2] / "recipes" / "modular"


def built(kind, block=None):
    """A toy, its pipeline without the block, and the same with it in every loop."""
    toy = FAMILIES[kind]
    blocks, source = KINDS[kind]
    inserted = (block or NurseBlock()).insert_into
    return toy, toy.build(), modular(lambda: inserted(blocks()), source())


def nurse_blocks(blocks):
    """All nurse blocks among some blocks, by their loop."""
    found = [blocks.loop] if isinstance(blocks, NurseBlock) else []
    return found + [one for inner in blocks.sub_blocks.values() for one in nurse_blocks(inner)]


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_changes_no_bit_strength_changes_the_image_and_nothing_stays(kind):
    toy, without, pipe = built(kind)
    expected, before = plain(toy, without), state(pipe)
    assert torch.equal(plain(toy, pipe), expected)
    for idle in (always(step_size=0.0), adhere.TokenReweighting(alpha=1.0, beta=1.0, stop=0.0)):
        assert torch.equal(plain(toy, pipe, nurse=idle), expected)
    for method in (always(step_size=5.0), adhere.TokenReweighting(), "token-reweighting"):
        latents = plain(toy, pipe, nurse=method)
        assert latents.isfinite().all() and not torch.equal(latents, expected)
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_block_is_the_nurse_of_the_package_and_gives_its_trace(kind):
    toy, without, pipe = built(kind)
    method = always(step_size=5.0)
    with adhere.nurse(without, method, prompt=PROMPT, subjects=["car"]) as trace:
        expected = plain(toy, without)
    call = toy.call(PROMPT, nurse=method, nurse_subjects=["car"], output="nurse_trace")
    torch.manual_seed(0)
    found = pipe(**call)
    assert torch.equal(plain(toy, pipe, nurse=method, nurse_subjects=["car"]), expected)
    assert [subject.text for subject in found.subjects[0]] == ["car"]
    torch.testing.assert_close(found.loss, trace.loss)
    assert pipe(**toy.call(PROMPT, output="nurse_trace")) is None


def test_errors_are_clear_and_leave_nothing_behind():
    toy, _, pipe = built("modular-sdxl")
    before, expected = state(pipe), plain(toy, pipe)
    for given, kind, text in (
        ("attend", ValueError, "attend"),
        (3, ValueError, "as a method; give an instance"),
        (always(), adhere.SubjectNotFound, "zebra"),
    ):
        with pytest.raises(kind, match=text):
            plain(toy, pipe, nurse=given, nurse_subjects=["zebra"])
        assert state(pipe) == before

    def broken(*args, **kwargs):
        raise RuntimeError("out of order")

    handle = pipe.unet.conv_out.register_forward_hook(broken)
    with pytest.raises(RuntimeError, match="out of order"):
        plain(toy, pipe, nurse=always(step_size=5.0))
    handle.remove()
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe), expected)
    with pytest.raises(UnsupportedPipeline, match="has no denoise loop"):
        NurseBlock().insert_into(StableDiffusionXLAutoBlocks().sub_blocks["text_encoder"])
    with pytest.raises(UnsupportedPipeline, match="holds no denoise loop"):
        NurseBlock()(pipe, None)


def test_boxes_and_a_second_insertion():
    blocks = NurseBlock().insert_into(StableDiffusionXLAutoBlocks())
    loops = nurse_blocks(blocks)
    assert loops and all(isinstance(loop, LoopSequentialPipelineBlocks) for loop in loops)
    assert nurse_blocks(NurseBlock().insert_into(blocks)) == loops
    assert {"nurse", "nurse_subjects", "nurse_boxes"} <= set(blocks.input_names)
    assert "nurse_trace" in blocks.intermediate_output_names
    toy, _, pipe = built("modular-sdxl")
    with pytest.raises(ValueError, match="Got box"):
        plain(toy, pipe, nurse=always(BoxDiff), nurse_boxes={"car": (0, 0, 2, 1)})
    with pytest.raises(ValueError, match="Got boxes, which attend-and-excite does not read"):
        plain(toy, pipe, nurse=always(), nurse_boxes={"car": (0, 0, 0.5, 1)})
    call = toy.call(PROMPT, nurse=always(BoxDiff), nurse_boxes={"car": (0, 0, 0.5, 1)})
    trace = pipe(**call | {"output": "nurse_trace"})
    assert trace.subjects[0][0].box == (0, 0, 0.5, 1)


def test_the_folder_for_the_hub_brings_the_block(tmp_path):
    block = ModularPipelineBlocks.from_pretrained(str(FOLDER), trust_remote_code=True)
    assert type(block) is NurseBlock
    block.save_pretrained(tmp_path)
    written = (tmp_path / "modular_config.json").read_text()
    assert '"adhere"' in written
    toy, without, pipe = built("modular-flux2-klein-base", block)
    expected = plain(toy, without)
    assert torch.equal(plain(toy, pipe), expected)
    assert not torch.equal(plain(toy, pipe, nurse=replace(always(), step_size=5.0)), expected)
