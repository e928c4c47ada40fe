"""FLUX.3, which has modular pipelines alone: packed latents of 8 x 8 rows of 16 channels."""

from dataclasses import replace

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux3Transformer2DModel
from diffusers.modular_pipelines import Flux3AutoBlocks, Flux3DistilledAutoBlocks
from transformers import Qwen3VLForConditionalGeneration

from . import encoders, flux2, processors
from .blocks import silence
from .toy import NEGATIVE, Toy, image, sharpened


def flux3(distilled=False):
    """FLUX.3 without its prompt upsampler. It reads eight of 32 layers of Qwen3-VL."""
    torch.manual_seed(2)
    model = Flux3Transformer2DModel(
        in_channels=16,
        cond_in_channels=16,
        num_layers=1,
        num_single_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=8 * 16,
        timestep_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        flow_map=distilled,
    )
    blocks = Flux3DistilledAutoBlocks() if distilled else Flux3AutoBlocks()
    blocks.sub_blocks.pop("prompt_upsampler")
    pipe = blocks.init_pipeline()
    pipe.update_components(
        transformer=sharpened(model, gain=2.0),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=flux2.vae(),
        text_encoder=encoders.qwen3vl(Qwen3VLForConditionalGeneration, layers=32),
        tokenizer=processors.chat(),
    )
    silence(pipe._blocks)
    return pipe


def to_edit(height, width, count):
    """A reference of the image's own size."""
    return {"image": image(height, width)}


CALL = {"output": "latents", "output_type": "pt"}
TOY = Toy(
    build=flux3,
    guidance="always two calls",
    guided=CALL | {"negative_prompt": NEGATIVE},
    plain=CALL | {"negative_prompt": NEGATIVE},
    lists=False,
)
TOYS = {
    "modular-flux3": TOY,
    "modular-flux3-edit": replace(TOY, extra=to_edit),
    "modular-flux3-distilled": replace(
        TOY, build=lambda: flux3(distilled=True), guidance="one call", guided=CALL, plain=CALL
    ),
}
