"""Toy denoisers whose weights follow from parameter names, so that any diffusers builds the same.

Weights come from NumPy's frozen generator, and residual branches are weak, so that rounding errors
of two implementations stay small through many steps of nursing.
"""

import math
import zlib

import numpy as np
import torch
from diffusers import UNet2DConditionModel

CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
ANATOMY = {
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 1,
    "block_out_channels": (8, 16, 16),
    "norm_num_groups": 4,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
    "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN),
}
# Cross-attention of 32, 16 and 8 cells a side, and of 64, 32 and 16.
TOYS = {
    "small": {"sample_size": 32, "up_block_types": (CROSS_UP, CROSS_UP, CROSS_UP)},
    "tall": {"sample_size": 64, "up_block_types": (CROSS_UP, CROSS_UP, "UpBlock2D")},
}
TOKENS, WIDTH = 77, 16


def denoiser(name):
    """A U-Net of a toy's anatomy with its weights."""
    model = UNet2DConditionModel(**ANATOMY, **TOYS[name])
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(_values(parameter_name, tuple(parameter.shape)))
    return model.eval()


def inputs(name, samples, seed):
    """Latents and embeddings to sample from."""
    side = TOYS[name]["sample_size"]
    draw = np.random.RandomState(seed)
    shapes = {
        "latents": (samples, 4, side, side),
        "prompt_embeds": (samples, TOKENS, WIDTH),
        "negative_prompt_embeds": (samples, TOKENS, WIDTH),
    }
    return {key: torch.from_numpy(draw.standard_normal(s)).float() for key, s in shapes.items()}


def maps(sharpness, seed=5, side=16, tokens=12):
    """Cross- and self-attention of a layer, (side, side, tokens) and (side, side, side * side)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, tokens, 4, 4), generator=generator, dtype=torch.float64)
    size = {"size": (side, side), "mode": "bicubic"}
    field = torch.nn.functional.interpolate(noise, **size)[0]
    noise = torch.randn((1, 6, 4, 4), generator=generator, dtype=torch.float64)
    looks = torch.nn.functional.interpolate(noise, **size)[0].flatten(1)
    cross = (sharpness * field).softmax(0).movedim(0, -1)
    own = (looks.T @ looks).softmax(-1)
    return cross, own.unflatten(0, (side, side))


def _values(name, shape):
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.1 * draw if name.endswith("weight") else 0.1 * draw
    elif name.endswith("bias"):
        values = 0.05 * draw
    else:
        sharp = "attn2.to_q" in name or "attn2.to_k" in name
        values = (1.5 if sharp else 0.3) / math.sqrt(math.prod(shape[1:])) * draw
    return torch.from_numpy(values).float()
