"""The joint miniature's training begun from a finished model, also one of coarser patches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from diffusers import StableDiffusion3Pipeline
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from torch import Tensor

from training.joint import Shape

if TYPE_CHECKING:
    from training.joint_stage import JointStage


def finer(weights: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Weights of patches of 2×2 latents as a start for patches of one latent.

    Each latent is read as an even patch of its own, at half the distance from its
    neighbours; what is predicted is the mean over the patch. It computes nearly the same of
    smooth latents, and learns the rest.

    Args:
        weights: of the transformer with patches of 2×2.
        shape: of the one with patches of one latent.
    """
    table = get_2d_sincos_pos_embed(shape.width, 16, base_size=8, output_type="pt")
    new = dict(weights) | {
        "pos_embed.proj.weight": weights["pos_embed.proj.weight"].sum((2, 3), keepdim=True),
        "pos_embed.pos_embed": table.float()[None],
    }
    for name in ("proj_out.weight", "proj_out.bias"):
        # Rows are the patch's four places times four channels.
        new[name] = weights[name].unflatten(0, (4, 4)).mean(0)
    return new


def begin_from(stage: "JointStage", pipe: StableDiffusion3Pipeline) -> None:
    """Put a pipeline's weights into a stage of the same vocabulary and width.

    Raises:
        RuntimeError: a layer of another shape.
    """
    weights = pipe.transformer.state_dict()
    if pipe.transformer.config.patch_size == 2 * stage.shape.patch:
        weights = finer(weights, stage.shape)
    stage.transformer.load_state_dict(weights)
    encoders = [
        next(m for m in encoder.modules() if hasattr(m, "position_embedding"))
        for encoder in (pipe.text_encoder, pipe.text_encoder_2)
    ]
    parts = ("token_embedding", "position_embedding")
    stage.words.load_state_dict(
        {
            f"{part}.weight": torch.cat([getattr(e, part).weight for e in encoders], 1)
            for part in parts
        }
    )
