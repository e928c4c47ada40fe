"""FLUX.1 and Chroma: packed latents of 8 x 8 rows of 16 channels."""

from dataclasses import replace

import torch
from diffusers import (
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetModel,
    FluxControlNetPipeline,
    FluxFillPipeline,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)

from . import encoders, words
from .toy import NEGATIVE, Toy, from_image, from_mask, image, quiet, sharpened

SHAPE = {
    "patch_size": 1,
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "axes_dims_rope": (4, 4, 8),
}


def dynamic():
    """FLUX.1-dev's scheduler, whose shift follows the size of the image."""
    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        shift=3.0,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def transformer(**changes):
    """FLUX.1's transformer, dev: it embeds the strength of guidance."""
    torch.manual_seed(2)
    options = SHAPE | {"pooled_projection_dim": encoders.WIDTH, "guidance_embeds": True}
    return sharpened(FluxTransformer2DModel(**options | changes))


def parts(**changes):
    """The components."""
    return {
        "transformer": transformer(**changes),
        "scheduler": dynamic(),
        "vae": encoders.vae(4),
        "text_encoder": encoders.clip(),
        "tokenizer": words.clip(),
        "text_encoder_2": encoders.t5(),
        "tokenizer_2": words.t5(),
    }


def flux(**changes):
    """FLUX.1-dev, text to image."""
    return quiet(FluxPipeline(**parts(**changes)))


def schnell(**changes):
    """FLUX.1-schnell: no guidance embedded, a fixed schedule."""
    pieces = parts(**{"guidance_embeds": False} | changes)
    return quiet(FluxPipeline(**pieces | {"scheduler": FlowMatchEulerDiscreteScheduler()}))


def fill():
    """FLUX.1 Fill: the masked image and the mask are further channels."""
    # Mask channels: 4 of the packing times 4 pixels under each latent.
    pieces = parts(in_channels=16 + 16 + 16, out_channels=16)
    return quiet(FluxFillPipeline(**pieces))


def controlnet():
    """FLUX.1 with a ControlNet, whose residuals are not zero."""
    torch.manual_seed(4)
    model = FluxControlNetModel(
        **SHAPE | {"pooled_projection_dim": encoders.WIDTH, "guidance_embeds": True}
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return quiet(FluxControlNetPipeline(**parts(), controlnet=model.eval()))


def chroma(**changes):
    """Chroma: FLUX.1's layout with T5 alone, and real guidance."""
    torch.manual_seed(2)
    model = ChromaTransformer2DModel(
        **SHAPE
        | {
            "approximator_num_channels": 64,
            "approximator_hidden_dim": 32,
            "approximator_layers": 1,
        }
        | changes
    )
    return quiet(
        ChromaPipeline(
            transformer=sharpened(model),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=encoders.vae(4),
            text_encoder=encoders.t5(),
            tokenizer=words.t5(),
        )
    )


def kontext_call(height, width, count):
    """An image to change, kept at its own size."""
    return {"image": image(height, width), "max_area": height * width, "_auto_resize": False}


WINDOW = {"max_sequence_length": 32}
TRUE = {"true_cfg_scale": 2.0, "negative_prompt": NEGATIVE}
# The pipelines pass their own sigmas, which Heun and DPM++ do not take.
SIGMAS = ("euler", "lcm", "unipc")
NOISED = ("euler", "lcm")
TOY = Toy(
    build=flux,
    guidance="two calls",
    guided=TRUE | WINDOW,
    plain=WINDOW,
    schedulers=("euler", "lcm", "dpm++", "unipc"),
)
TOYS = {
    "flux": TOY,
    "flux-schnell": replace(TOY, build=schnell, schedulers=SIGMAS),
    "flux-img2img": replace(
        TOY,
        build=lambda: quiet(FluxImg2ImgPipeline(**parts())),
        extra=from_image,
        schedulers=NOISED,
    ),
    "flux-inpaint": replace(
        TOY,
        build=lambda: quiet(FluxInpaintPipeline(**parts())),
        extra=from_mask,
        schedulers=NOISED,
    ),
    "flux-fill": replace(
        TOY,
        build=fill,
        guidance="one call",
        guided=WINDOW,
        extra=from_mask,
        schedulers=NOISED,
    ),
    "flux-kontext": replace(
        TOY,
        build=lambda: quiet(FluxKontextPipeline(**parts())),
        extra=kontext_call,
        schedulers=SIGMAS,
    ),
    "flux-controlnet": replace(
        TOY,
        build=controlnet,
        extra=lambda height, width, count: {"control_image": image(height, width)},
        schedulers=SIGMAS,
    ),
    "chroma": replace(
        TOY,
        build=chroma,
        guided=WINDOW | {"guidance_scale": 3.0, "negative_prompt": NEGATIVE},
        plain=WINDOW | {"guidance_scale": 1.0},
        schedulers=SIGMAS,
    ),
}
