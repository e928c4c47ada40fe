"""Transformers with cross-attention, PixArt-Sigma and Sana: 8 x 8 image rows."""

from dataclasses import replace

import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
)

from . import encoders, words
from .toy import NEGATIVE, Toy, quiet, sharpened


def pixart(**changes):
    """PixArt-Sigma: 4-D latents of 16 x 16, patches of 2; it predicts a variance too."""
    torch.manual_seed(2)
    options = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "cross_attention_dim": 32,
        "caption_channels": encoders.WIDTH,
        "num_embeds_ada_norm": 1000,
        "use_additional_conditions": False,
    }
    return quiet(
        PixArtSigmaPipeline(
            transformer=sharpened(PixArtTransformer2DModel(**options | changes)),
            scheduler=DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=1e-4),
            vae=encoders.vae(4),
            text_encoder=encoders.t5(),
            tokenizer=words.t5(),
        )
    )


def sana(**changes):
    """Sana: 4-D latents of 8 x 8, one row each; attn1 has linear attention."""
    torch.manual_seed(2)
    options = {
        "sample_size": 8,
        "patch_size": 1,
        "in_channels": 8,
        "out_channels": 8,
        "num_layers": 3,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 32,
        "caption_channels": encoders.WIDTH,
    }
    model = SanaTransformer2DModel(**options | changes)
    torch.manual_seed(3)
    vae = AutoencoderDC(
        latent_channels=8,
        attention_head_dim=4,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        encoder_qkv_multiscales=((), (), ()),
        decoder_qkv_multiscales=((), (), ()),
        scaling_factor=0.4,
    )
    return quiet(
        SanaPipeline(
            transformer=sharpened(model),
            scheduler=DPMSolverMultistepScheduler(
                use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
            ),
            vae=vae.eval(),
            text_encoder=encoders.gemma2(),
            tokenizer=words.gemma(),
        )
    )


WINDOW = {
    "max_sequence_length": 32,
    "use_resolution_binning": False,
    "clean_caption": False,
}
TOY = Toy(
    build=pixart,
    guidance="batch",
    guided=WINDOW | {"guidance_scale": 4.0, "negative_prompt": NEGATIVE},
    plain=WINDOW | {"guidance_scale": 1.0},
    schedulers=("ddim", "sigmas"),
)
TOYS = {
    "pixart-sigma": TOY,
    "sana": replace(TOY, build=sana, schedulers=("euler", "dpm++", "unipc"), wide=(32, 64)),
}
