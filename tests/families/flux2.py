"""FLUX.2 Klein and dev: packed latents of 8 x 8 rows of 16 channels."""

from dataclasses import replace

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from transformers import Qwen3ForCausalLM

from . import encoders, processors, words
from .toy import Toy, image, quiet, sharpened


def transformer(**changes):
    """FLUX.2's transformer."""
    torch.manual_seed(2)
    options = {
        "patch_size": 1,
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        # Three layers of the text encoder, 16 channels each.
        "joint_attention_dim": 48,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    }
    return sharpened(Flux2Transformer2DModel(**options | changes), gain=2.0)


def vae():
    """FLUX.2's autoencoder: its latents are packed before they are normalized."""
    torch.manual_seed(3)
    return AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def scheduler():
    """FLUX.2's schedule."""
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)


def klein(is_distilled=False, **changes):
    """FLUX.2 Klein, base or distilled. Its pipeline reads layers 9, 18 and 27 of Qwen3."""
    return quiet(
        Flux2KleinPipeline(
            transformer=transformer(**changes),
            scheduler=scheduler(),
            vae=vae(),
            text_encoder=encoders.qwen3(Qwen3ForCausalLM, layers=27),
            tokenizer=words.qwen(),
            is_distilled=is_distilled,
        )
    )


def dev(**changes):
    """FLUX.2 dev. Its pipeline reads layers 10, 20 and 30 of Mistral."""
    return quiet(
        Flux2Pipeline(
            transformer=transformer(**{"guidance_embeds": True} | changes),
            scheduler=scheduler(),
            vae=vae(),
            text_encoder=encoders.mistral3(layers=30),
            tokenizer=processors.mistral(),
        )
    )


def to_edit(height, width, count):
    """A reference of another size, of the least that the pipeline takes."""
    return {"image": image(64, 64)}


WINDOW = {"max_sequence_length": 64}
TOY = Toy(
    build=klein,
    guidance="two calls",
    guided=WINDOW | {"guidance_scale": 3.0},
    plain=WINDOW | {"guidance_scale": 1.0},
    schedulers=("euler", "lcm", "dpm++", "unipc"),
)
TOYS = {
    "flux2-klein-base": TOY,
    "flux2-klein": replace(
        TOY, build=lambda: klein(is_distilled=True), guidance="one call", guided=TOY.plain
    ),
    "flux2-klein-edit": replace(TOY, extra=to_edit),
    "flux2-dev": replace(
        TOY,
        build=dev,
        guidance="one call",
        guided={"max_sequence_length": 96},
        plain={"max_sequence_length": 96},
    ),
    "flux2-dev-edit": replace(
        TOY,
        build=dev,
        guidance="one call",
        guided={"max_sequence_length": 96},
        plain={"max_sequence_length": 96},
        extra=to_edit,
    ),
}
