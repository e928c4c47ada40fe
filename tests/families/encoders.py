"""Tiny text encoders and autoencoders of the real classes."""

import torch
from diffusers import AutoencoderKL
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from . import words

WIDTH = 32


def clip(kind=CLIPTextModel):
    """CLIP's text encoder."""
    tokenizer = words.clip()
    torch.manual_seed(1)
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).eval()


def clip_projected():
    """CLIP's text encoder with a projected pooled output."""
    return clip(CLIPTextModelWithProjection)


def t5(width=WIDTH):
    """T5's encoder."""
    torch.manual_seed(1)
    return T5EncoderModel(
        T5Config(
            vocab_size=len(words.t5()),
            d_model=width,
            d_kv=8,
            d_ff=2 * WIDTH,
            num_layers=2,
            num_heads=4,
        )
    ).eval()


def vae(channels, levels=2, **changes):
    """An autoencoder that halves the sides once less than it has levels."""
    torch.manual_seed(3)
    return AutoencoderKL(
        **{
            "block_out_channels": (8,) * levels,
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "layers_per_block": 1,
            "latent_channels": channels,
            "norm_num_groups": 4,
            "sample_size": 32,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "shift_factor": 0.06,
            "scaling_factor": 1.5,
        }
        | changes
    ).eval()
