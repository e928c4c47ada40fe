"""U-Net pipelines: Stable Diffusion 1 and 2, SDXL, and those around the same denoiser."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from adhere.attention.call import AttentionCall, Region
from adhere.errors import UnsupportedPipeline
from adhere.families.base import Family, Layer, Opened
from adhere.families.call import DenoiserCall
from adhere.families.encoder import CLIP_COLUMNS, Encoder
from adhere.families.encoders import tokenizer_of
from adhere.families.switches import refuse_switches

_BLOCK = re.compile(r"(down_blocks|mid_block|up_blocks)(?:\.(\d+))?\.")
# Cells on the shorter side that a map needs to show where a subject is.
_ENOUGH_CELLS = 16


class UNetFamily(Family):
    """Knows `UNet2DConditionModel`: cross-attention at several resolutions, batched branches."""

    component = "unet"
    sample, text, conditional = "sample", "encoder_hidden_states", "last"
    models = (UNet2DConditionModel,)

    def layers(self) -> tuple[Layer, ...]:
        """Every cross-attention layer, in the order of a pass."""
        return self._cross

    def self_layers(self) -> tuple[Layer, ...]:
        """Every self-attention layer, in the order of a pass."""
        return self._layers(".attn1")

    @cached_property
    def _cross(self) -> tuple[Layer, ...]:
        return self._layers(".attn2")

    def _layers(self, ending: str) -> tuple[Layer, ...]:
        last = len(self._config.block_out_channels) - 1
        found = []
        for part in ("down_blocks", "mid_block", "up_blocks"):
            blocks = getattr(self.denoiser, part)
            for name, module in () if blocks is None else blocks.named_modules(prefix=part):
                place = _BLOCK.match(name)
                if place is None or not name.endswith(ending):
                    continue
                number = int(place[2] or 0)
                depth = {"down_blocks": number, "mid_block": last, "up_blocks": last - number}
                found.append(Layer(name, module, 2 ** depth[part]))
        return tuple(found)

    @cached_property
    def _config(self) -> Any:
        return self.denoiser.config

    def objective_factor(self) -> int:
        """The coarsest resolution that shows where a subject is.

        That is the coarsest with at least 16 cells on the shorter side at the model's native
        size: 16x16 for Stable Diffusion at 512 pixels, 32x32 for SDXL at 1024, as the papers
        have it. Where no resolution has as many, the finest.
        """
        native = self._config.sample_size
        # A configuration may leave it open; 64 is what most have.
        side = min(native) if isinstance(native, Sequence) else native or 64
        factors = sorted({layer.factor for layer in self.layers()})
        if not factors:
            raise UnsupportedPipeline(
                f"{type(self.denoiser).__name__} has no cross-attention (no module named attn2), "
                "and nursing reads that. Use a text-to-image model."
            )
        enough = [f for f in factors if -(-side // f) >= _ENOUGH_CELLS]
        return max(enough) if enough else factors[0]

    @property
    def choices(self) -> Mapping[str, str]:
        """Blocks by their side of the network."""
        return {"all": "", "down": "down_blocks", "middle": "mid_block", "up": "up_blocks"}

    def region(self, opened: Opened, call: AttentionCall) -> Region:
        """All queries are the image's, all keys the text's."""
        return Region.of(opened.first, opened.samples, slice(None), slice(None))

    def size(self, call: DenoiserCall) -> tuple[int, int]:
        """Height and width of the latents."""
        height, width = call[self.sample].shape[-2:]
        return height, width

    def timestep(self, args: tuple, keywords: Mapping[str, Any]) -> Any:
        """The timestep as it was given."""
        return DenoiserCall.of(self.denoiser, args, keywords).get("timestep")

    def place_of(self, call: DenoiserCall) -> tuple[slice, ...]:
        """The first channels; an inpainting denoiser takes more."""
        return slice(None), slice(0, self._config.out_channels)

    def encoders(self) -> tuple[Encoder, ...]:
        """CLIP's; SDXL's two share their columns.

        With Stable Diffusion 1's text encoder padding competes too. The others put so much
        attention on the end token and the padding that words would never stand out. They are told
        apart by the width of the tokens (1024 and 2048 against 768) or by a second tokenizer.

        Source: the switch `sd_2_1` of the code published with arXiv 2301.13826.
        """
        width = self._config.cross_attention_dim
        width = max(width) if isinstance(width, Sequence) else width
        # SDXL's refiner has the second one alone.
        has_first = getattr(self.pipe, "tokenizer", None) is not None
        has_second = getattr(self.pipe, "tokenizer_2", None) is not None
        name = "tokenizer" if has_first or not has_second else "tokenizer_2"
        tokenizer = tokenizer_of(self.pipe, name)
        is_first_generation = not has_second and width < 1024
        return (Encoder(name, tokenizer, chunk=CLIP_COLUMNS, pads=is_first_generation),)

    def check(self) -> None:
        """Refuse what cannot be nursed.

        Raises:
            UnsupportedPipeline: by the name of what is in the way.
        """
        kind = type(self.pipe).__name__
        if kind == "StableDiffusionAttendAndExcitePipeline":
            raise UnsupportedPipeline(
                f"{kind} nurses by itself. Use StableDiffusionPipeline of the same model with "
                "adhere.AttendAndExcite.official()."
            )
        self.objective_factor()
        self.encoders()
        refuse_switches(self.pipe, self.denoiser)
