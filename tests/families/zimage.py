"""Z-Image: lists of latents of 16 x 16, patches of 2, so 8 x 8 image rows."""

from dataclasses import replace

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)

from . import encoders, words
from .toy import NEGATIVE, Toy, from_image, from_mask, quiet, sharpened


def transformer(**changes):
    """Z-Image's transformer."""
    torch.manual_seed(2)
    options = {
        "all_patch_size": (2,),
        "all_f_patch_size": (1,),
        "in_channels": 16,
        "dim": 32,
        "n_layers": 3,
        "n_refiner_layers": 1,
        "n_heads": 2,
        "n_kv_heads": 2,
        "cap_feat_dim": 16,
        "axes_dims": [8, 4, 4],
        "axes_lens": [256, 64, 64],
    }
    model = ZImageTransformer2DModel(**options | changes)
    with torch.no_grad():
        for token in (model.x_pad_token, model.cap_pad_token):
            token.copy_(torch.randn(token.shape))
    return sharpened(model)


def parts(shift=6.0, **changes):
    """The components."""
    return {
        "transformer": transformer(**changes),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=shift),
        "vae": encoders.vae(16),
        "text_encoder": encoders.qwen3(),
        "tokenizer": words.qwen(),
    }


def z_image(**changes):
    """Z-Image, text to image."""
    return quiet(ZImagePipeline(**parts(**changes)))


WINDOW = {"max_sequence_length": 64}
TOY = Toy(
    build=z_image,
    guidance="batch",
    guided=WINDOW | {"guidance_scale": 4.0, "negative_prompt": NEGATIVE},
    plain=WINDOW | {"guidance_scale": 0.0},
    schedulers=("euler", "lcm"),
    # 8 x 10 rows, which are padded to 96.
    wide=(32, 40),
)
TOYS = {
    "z-image": TOY,
    "z-image-turbo": replace(
        TOY, build=lambda: z_image(shift=3.0), guidance="one call", guided=TOY.plain
    ),
    "z-image-img2img": replace(
        TOY,
        build=lambda: quiet(ZImageImg2ImgPipeline(**parts())),
        extra=from_image,
    ),
    "z-image-inpaint": replace(
        TOY,
        build=lambda: quiet(ZImageInpaintPipeline(**parts())),
        extra=from_mask,
    ),
}
