"""Qwen-Image: packed latents of 8 x 8 rows of 16 channels.

The editing pipelines bring their reference to about 1024 x 1024 pixels, whatever its size. Their
autoencoder halves the sides five times, so that this is 16 x 16 rows and an image of 512 x 512
pixels has 8 x 8.
"""

from dataclasses import replace

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)

from . import encoders, processors, words
from .toy import NEGATIVE, Toy, from_image, from_mask, image, quiet, sharpened


def transformer(**changes):
    """Qwen-Image's transformer."""
    torch.manual_seed(2)
    options = {
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 4,
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": encoders.WIDTH,
        "axes_dims_rope": (8, 4, 4),
    }
    return sharpened(QwenImageTransformer2DModel(**options | changes))


def scheduler():
    """Qwen-Image's schedule: its shift follows the size of the image."""
    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=0.9,
        base_image_seq_len=256,
        max_image_seq_len=8192,
        shift_terminal=0.02,
    )


def parts(levels=2, **changes):
    """The components."""
    return {
        "transformer": transformer(**changes),
        "scheduler": scheduler(),
        "vae": encoders.qwen_vae(4, levels),
        "text_encoder": encoders.qwen25vl(),
        "tokenizer": words.qwen(),
    }


def qwen(**changes):
    """Qwen-Image, text to image."""
    return quiet(QwenImagePipeline(**parts(**changes)))


def edit(kind=QwenImageEditPipeline, **changes):
    """Qwen-Image-Edit."""
    return quiet(kind(**parts(levels=6, **changes), processor=processors.qwen()))


def to_edit(height, width, count):
    """The image to edit."""
    return {"image": image(height, width)}


def to_join(height, width, count):
    """A list of images to make one of."""
    return {"image": [image(height, width)]}


TOY = Toy(
    build=qwen,
    guidance="two calls",
    guided={"true_cfg_scale": 3.0, "negative_prompt": NEGATIVE},
    plain={"true_cfg_scale": 1.0},
    schedulers=("euler", "lcm", "unipc"),
)
EDIT = replace(
    TOY,
    build=edit,
    extra=to_edit,
    square=(512, 512),
    wide=(512, 768),
    lists=False,
    schedulers=("euler",),
)
TOYS = {
    "qwen-image": TOY,
    "qwen-image-img2img": replace(
        TOY,
        build=lambda: quiet(QwenImageImg2ImgPipeline(**parts())),
        extra=from_image,
        schedulers=("euler", "lcm"),
    ),
    "qwen-image-inpaint": replace(
        TOY,
        build=lambda: quiet(QwenImageInpaintPipeline(**parts())),
        extra=from_mask,
        schedulers=("euler", "lcm"),
    ),
    "qwen-image-edit": EDIT,
    "qwen-image-edit-plus": replace(
        EDIT, build=lambda: edit(QwenImageEditPlusPipeline, zero_cond_t=True), extra=to_join
    ),
}
