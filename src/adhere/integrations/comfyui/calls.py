"""What ComfyUI tells of a call of its denoiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from adhere.errors import UnsupportedPipeline
from adhere.families.encoder import CLIP_COLUMNS
from adhere.methods.schedule import Step

# The resolution that objectives read is a quarter of the latents in Stable Diffusion 1 and SDXL.
_OBJECTIVE_FACTOR = 4


def unet_of(model: Any) -> Any:
    """The denoiser of one of ComfyUI's models.

    Raises:
        UnsupportedPipeline: it is no U-Net.
    """
    denoiser = model.get_model_object("diffusion_model")
    if type(denoiser).__name__ != "UNetModel":
        raise UnsupportedPipeline(
            f"The model is a {type(denoiser).__name__}, and the node knows U-Nets. Use a "
            "checkpoint of Stable Diffusion 1, 2 or SDXL."
        )
    return denoiser


def objective_factor(denoiser: Any) -> int:
    """The resolution that objectives read."""
    return min(_OBJECTIVE_FACTOR, 2 ** (len(denoiser.channel_mult) - 1))


def step_of(sigmas: Tensor, now: Tensor, timestep: Callable[[Tensor], Tensor]) -> Step:
    """Where sampling is.

    Args:
        sigmas: of all steps, (steps + 1,).
        now: the sigma of the call.
        timestep: from a sigma to the timestep.
    """
    index = int((sigmas[:-1] >= now.to(sigmas) * (1 - 1e-5)).sum().clamp_min(1)) - 1
    return Step(index, len(sigmas) - 1, float(timestep(now)))


def conditional(options: dict, count: int) -> slice:
    """The rows of the positive conditioning, none in a call of the negative's alone.

    Args:
        options: ComfyUI's `transformer_options`.
        count: how many rows the call has.

    Raises:
        UnsupportedPipeline: there are several positive conditionings.
    """
    kinds = options["cond_or_uncond"]
    each = count // len(kinds)
    places = [place for place, kind in enumerate(kinds) if kind == 0]
    if len(places) > 1:
        raise UnsupportedPipeline(
            f"There are {len(places)} positive conditionings, and the node nurses one. Use "
            "its own conditioning alone."
        )
    first = places[0] * each if places else 0
    return slice(first, first + each * len(places))


def check_columns(columns: int) -> None:
    """Refuse another text than the node's own.

    Raises:
        UnsupportedPipeline: it has another number of columns.
    """
    if columns != CLIP_COLUMNS:
        raise UnsupportedPipeline(
            f"Attention reads {columns} text columns, and the node's prompt has {CLIP_COLUMNS}. "
            "Use the node's own conditioning as the positive one, and a negative prompt of up to "
            "75 tokens."
        )
