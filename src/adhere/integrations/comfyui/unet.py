"""ComfyUI's U-Net as a family that nursing passes can read.

Shapes: R rows of a call, A heads, N image queries, T text columns, C channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adhere.attention.call import AttentionCall, Region
from adhere.families import Encoder, Family, Layer, Opened
from adhere.families.call import DenoiserCall
from adhere.integrations.comfyui.calls import objective_factor
from adhere.integrations.comfyui.editing import OVERRIDE


class ComfyUNet(Family):
    """Knows the layers and the calls of ComfyUI's `UNetModel`."""

    component = "diffusion_model"
    sample, text, conditional = "x", "context", "last"
    whole = ("transformer_options",)

    @cached_property
    def denoiser(self) -> nn.Module:
        """The U-Net itself."""
        return self.pipe

    def layers(self) -> tuple[Layer, ...]:
        """Every cross-attention layer, in the order of a pass."""
        return self._layers("attn2")

    def self_layers(self) -> tuple[Layer, ...]:
        """Every self-attention layer, in the order of a pass."""
        return self._layers("attn1")

    def _layers(self, ending: str) -> tuple[Layer, ...]:
        found, factor = [], 1
        for name, module in self.denoiser.named_modules():
            kind = type(module).__name__
            # Each stands after the attention of its resolution.
            if kind == "Downsample":
                factor *= 2
            elif kind == "Upsample":
                factor //= 2
            elif name.endswith(ending):
                found.append(Layer(name, module, factor))
        return tuple(found)

    def objective_factor(self) -> int:
        """A quarter of the latents, or the coarsest resolution."""
        return objective_factor(self.denoiser)

    @property
    def choices(self) -> Mapping[str, str]:
        """Blocks by their side of the network."""
        sides = {"down": "input_blocks", "middle": "middle_block", "up": "output_blocks"}
        return {"all": "", **sides}

    def region(self, opened: Opened, call: AttentionCall) -> Region:
        """All queries are the image's, all keys the text's."""
        return Region.of(opened.first, opened.samples, slice(None), slice(None))

    def size(self, call: DenoiserCall) -> tuple[int, int]:
        """Height and width of the latents."""
        height, width = call[self.sample].shape[-2:]
        return height, width

    def place_of(self, call: DenoiserCall) -> tuple[slice, ...]:
        """The first channels; an inpainting denoiser takes more."""
        return slice(None), slice(0, self.denoiser.out_channels)  # type: ignore[arg-type]

    def passing(self, opened: Opened, latents: Tensor, samples: list[int]) -> DenoiserCall:
        """The call for chosen conditional samples, by attention that taps can see."""
        call = super().passing(opened, latents, samples)
        options = opened.call["transformer_options"]
        former = options.get(OVERRIDE)
        # The wrappers that led here are left out.
        inner = {**options, "cond_or_uncond": [0], "wrappers": {}, OVERRIDE: _seen(former)}
        return call.replace("transformer_options", inner)

    def encoders(self) -> tuple[Encoder, ...]:
        """None: the node's prompt is placed already."""
        return ()

    def check(self) -> None:
        """Nothing is refused here; `unet_of` has looked."""


def _seen(former: Callable | None) -> Callable:
    """An override of attention that calls PyTorch's own, through the one that was there."""

    def override(_: Callable, *args: Any, **keywords: Any) -> Tensor:
        if former is not None:
            return former(_attention, *args, **keywords)
        return _attention(*args, **keywords)

    return override


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    *_: Any,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **__: Any,
) -> Tensor:
    """Attention by ComfyUI's signature.

    Args:
        query: (R, N, A * C), or (R, A, N, C) where `skip_reshape` says so; key and value alike.
        key: see `query`.
        value: see `query`.
        heads: A.
        mask: added to the scores, (N, T), (R, N, T) or (R, A, N, T).
        skip_reshape: whether the heads are split already.
        skip_output_reshape: whether they stay split.
    """
    if not skip_reshape:
        query, key, value = (
            one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query, key, value)
        )
    if mask is not None and mask.ndim == 3:
        mask = mask.unsqueeze(1)
    result = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return result if skip_output_reshape else result.transpose(1, 2).flatten(2)


def thaw(denoiser: nn.Module) -> None:
    """Give a denoiser weights that gradients can pass, where it was loaded under inference mode.

    The numbers stay the same, one weight at a time is copied.
    """
    with torch.inference_mode(False):
        for module in denoiser.modules():
            for name, weight in [*module.named_parameters(recurse=False)]:
                if weight.is_inference():
                    setattr(module, name, nn.Parameter(weight.clone(), requires_grad=False))
