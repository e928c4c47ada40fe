"""Stable Diffusion 3 and 3.5: 4-D latents of 16 x 16, patches of 2, so 8 x 8 image rows."""

from dataclasses import replace

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)

from . import encoders, words
from .toy import NEGATIVE, Toy, from_image, from_mask, quiet, sharpened


def transformer(**changes):
    """SD3.5's transformer: its queries and keys have norms."""
    torch.manual_seed(2)
    options = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "caption_projection_dim": 32,
        "joint_attention_dim": 64,
        "pooled_projection_dim": 64,
        "pos_embed_max_size": 32,
        "qk_norm": "rms_norm",
    } | changes
    return sharpened(SD3Transformer2DModel(**options), factor=4.0 if options["qk_norm"] else 36.0)


def parts(t5=True, **changes):
    """The components; `t5=False` leaves the third text encoder out."""
    return {
        "transformer": transformer(**changes),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "vae": encoders.vae(16),
        "text_encoder": encoders.clip_projected(),
        "tokenizer": words.clip(),
        "text_encoder_2": encoders.clip_projected(),
        "tokenizer_2": words.clip(),
        "text_encoder_3": encoders.t5(64) if t5 else None,
        "tokenizer_3": words.t5() if t5 else None,
    }


def sd3(**changes):
    """Stable Diffusion 3, text to image: no norms on queries and keys."""
    return quiet(StableDiffusion3Pipeline(**parts(**{"qk_norm": None} | changes)))


def sd35(**changes):
    """Stable Diffusion 3.5 large, text to image."""
    return quiet(StableDiffusion3Pipeline(**parts(**changes)))


def sd35_medium(**changes):
    """Stable Diffusion 3.5 medium: its first layers have a second attention, of the image."""
    return sd35(**{"dual_attention_layers": (0, 1)} | changes)


TOY = Toy(
    build=sd3,
    guidance="batch",
    guided={"guidance_scale": 4.0, "negative_prompt": NEGATIVE, "max_sequence_length": 32},
    plain={"guidance_scale": 1.0, "max_sequence_length": 32},
    schedulers=("euler", "heun", "lcm", "dpm++", "unipc"),
)
# Those that can put noise on an image by the flow's rule.
NOISED = ("euler", "heun", "lcm")
TOYS = {
    "sd3": TOY,
    "sd3-no-t5": replace(TOY, build=lambda: sd3(t5=False)),
    "sd3.5": replace(TOY, build=sd35),
    "sd3.5-medium": replace(TOY, build=sd35_medium),
    "sd3-img2img": replace(
        TOY,
        build=lambda: quiet(StableDiffusion3Img2ImgPipeline(**parts())),
        extra=from_image,
        schedulers=NOISED,
    ),
    "sd3-inpaint": replace(
        TOY,
        build=lambda: quiet(StableDiffusion3InpaintPipeline(**parts())),
        extra=from_mask,
        schedulers=NOISED,
    ),
    "sd3-inpaint-33": replace(
        TOY,
        build=lambda: quiet(StableDiffusion3InpaintPipeline(**parts(in_channels=33))),
        extra=from_mask,
    ),
}
