"""Where things are in each model family."""

from __future__ import annotations

from typing import Any

from adhere.adapters.unet import UNetAdapter
from adhere.errors import UnsupportedPipeline

__all__ = ["UNetAdapter", "adapter_for"]


def adapter_for(pipe: Any) -> UNetAdapter:
    """The adapter of a pipeline's family.

    Raises:
        UnsupportedPipeline: the pipeline has no `UNet2DConditionModel`.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = getattr(pipe, "unet", None)
    denoiser = getattr(unet, "_orig_mod", unet)
    if not isinstance(denoiser, UNet2DConditionModel) or not hasattr(pipe, "scheduler"):
        found = type(denoiser).__name__ if denoiser is not None else "no unet"
        raise UnsupportedPipeline(
            f"{type(pipe).__name__} has {found}; nursing needs a diffusers pipeline around a "
            "UNet2DConditionModel (Stable Diffusion 1 and 2, SDXL)."
        )
    adapter = UNetAdapter(pipe)
    adapter.check()
    return adapter
