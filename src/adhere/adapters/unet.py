"""U-Net pipelines (Stable Diffusion 1 and 2, SDXL): where attention, samples and latents are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from adhere.attention.maps import TokenRange
from adhere.errors import UnsupportedPipeline

_BLOCK = re.compile(r"(down_blocks|mid_block|up_blocks)(?:\.(\d+))?\.")
_ORDER = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
# Cells on the shorter side that a map needs to show where a subject is.
_ENOUGH_CELLS = 16


@dataclass(frozen=True)
class Layer:
    """A cross-attention layer.

    Attributes:
        name: of its module in the denoiser.
        module: the attention.
        factor: latent side over map side.
    """

    name: str
    module: nn.Module
    factor: int


@dataclass(frozen=True)
class UNetAdapter:
    """Knows the modules of `UNet2DConditionModel`, and of a pipeline around it.

    Attributes:
        pipe: the pipeline, which is never changed here.
    """

    pipe: Any

    @property
    def module(self) -> nn.Module:
        """What the pipeline calls: the denoiser, or torch.compile's wrapper of it."""
        return self.pipe.unet

    @property
    def denoiser(self) -> UNet2DConditionModel:
        """The denoiser itself."""
        return getattr(self.pipe.unet, "_orig_mod", self.pipe.unet)

    @property
    def tokenizer(self) -> Any:
        """The first one of the pipeline; SDXL's refiner has the second alone."""
        for name in ("tokenizer", "tokenizer_2"):
            found = getattr(self.pipe, name, None)
            if found is not None:
                return found
        raise UnsupportedPipeline(
            f"{type(self.pipe).__name__} has no tokenizer, by which the words of the prompt are "
            "found; load it with one, also where prompt_embeds are given."
        )

    @property
    def latent_channels(self) -> int:
        """Channels of the latents; an inpainting denoiser takes more."""
        return self.denoiser.config.out_channels  # type: ignore[attr-defined]

    def layers(self) -> tuple[Layer, ...]:
        """Every cross-attention layer, in the order in which a pass meets them."""
        blocks = len(self.denoiser.config.block_out_channels)  # type: ignore[attr-defined]
        found = []
        for name, module in self.denoiser.named_modules():
            place = _BLOCK.match(name)
            if place is None or not name.endswith(".attn2"):
                continue
            part, number = place[1], int(place[2] or 0)
            depth = {
                "down_blocks": number,
                "mid_block": blocks - 1,
                "up_blocks": blocks - 1 - number,
            }[part]
            found.append((_ORDER[part], Layer(name, module, 2**depth)))
        return tuple(layer for _, layer in sorted(found, key=lambda pair: pair[0]))

    def objective_factor(self) -> int:
        """The level that objectives read.

        The coarsest one that has at least 16 cells on the shorter side at the model's native
        size: 16x16 for Stable Diffusion at 512 pixels, 32x32 for SDXL at 1024, as the papers
        have it; else the finest.
        """
        native = self.denoiser.config.sample_size  # type: ignore[attr-defined]
        # A configuration may leave it open; 64 is what most have.
        side = min(native) if isinstance(native, Sequence) else native or 64
        factors = sorted({layer.factor for layer in self.layers()})
        if not factors:
            raise UnsupportedPipeline(
                f"{type(self.denoiser).__name__} has no cross-attention (no module named attn2), "
                "and nursing reads that; use a text-to-image model."
            )
        enough = [f for f in factors if -(-side // f) >= _ENOUGH_CELLS]
        return max(enough) if enough else factors[0]

    def token_range(self) -> TokenRange:
        """Which columns count: with Stable Diffusion 1's text encoder also those of padding.

        The others put so much attention on the end token and the padding that words would never
        stand out. They are told apart by the width of the tokens (1024 and 2048 against 768) or
        by a second tokenizer.

        Source: the switch `sd_2_1` of the code published with arXiv 2301.13826.
        """
        width = self.denoiser.config.cross_attention_dim  # type: ignore[attr-defined]
        width = max(width) if isinstance(width, Sequence) else width
        is_first_generation = getattr(self.pipe, "tokenizer_2", None) is None and width < 1024
        return "padded" if is_first_generation else "words"

    def branches(self) -> int:
        """How many copies of the latents the pipeline denoises together, the conditional last."""
        return 2 if self.pipe.do_classifier_free_guidance else 1

    def check(self) -> None:
        """Refuse what cannot be nursed.

        Raises:
            UnsupportedPipeline: by the name of the switch that is in the way.
        """
        kind = type(self.pipe).__name__
        if not hasattr(type(self.pipe), "do_classifier_free_guidance"):
            raise UnsupportedPipeline(
                f"{kind} does not say whether it guides (it has no do_classifier_free_guidance), "
                "so the conditional samples cannot be found; use a pipeline that does, such as "
                "StableDiffusionPipeline."
            )
        has_third = hasattr(type(self.pipe), "image_guidance_scale")
        if has_third or hasattr(self.pipe, "pag_applied_layers"):
            raise UnsupportedPipeline(
                f"{kind} denoises three branches at once (it guides by something besides the "
                "prompt), and nursing knows two; use the plain pipeline of the same model."
            )
        if any(parameter.is_inference() for parameter in self.denoiser.parameters()):
            raise UnsupportedPipeline(
                "The denoiser was loaded under torch.inference_mode(), so that no gradient can "
                "pass through it; load it outside, and run it inside if you like."
            )
        for name, module in self.denoiser.named_modules():
            hook = getattr(module, "_hf_hook", None)
            if name and hook is not None and getattr(hook, "offload", False):
                raise UnsupportedPipeline(
                    f"Sequential CPU offload is on (module {name}); a backward pass cannot run "
                    "through it. Use pipe.enable_model_cpu_offload() instead."
                )
            registry = getattr(module, "_diffusers_hook", None)
            for hook_name in getattr(registry, "hooks", {}):
                raise UnsupportedPipeline(
                    f"The denoiser carries the hook {hook_name!r} (group offloading or a cache), "
                    "which keeps state between passes that nursing would disturb; turn it off "
                    "(for example pipe.unet.disable_cache()), or load the pipeline without it."
                )
        if type(self.pipe.scheduler).__name__ == "SASolverScheduler":
            raise UnsupportedPipeline(
                "SASolverScheduler rebuilds the sample from an earlier one, so that nursing "
                "would be lost; use another scheduler, such as DPMSolverMultistepScheduler."
            )
