"""Modular pipelines: blocks of diffusers put together, with the parts of the other toys.

A guider, where there is one, is a component; the toys leave it as it is, so guidance is always on
(or always off in Z-Image).
"""

from dataclasses import replace

from diffusers.modular_pipelines import (
    Flux2AutoBlocks,
    Flux2KleinAutoBlocks,
    Flux2KleinBaseAutoBlocks,
    FluxAutoBlocks,
    FluxKontextAutoBlocks,
    Krea2AutoBlocks,
    QwenImageAutoBlocks,
    StableDiffusion3AutoBlocks,
    StableDiffusionXLAutoBlocks,
    ZImageAutoBlocks,
)

import toys

from . import flux, flux2, more, qwen, sd3, zimage
from .toy import NEGATIVE, Toy


def modular(blocks, pipe):
    """A modular pipeline of these blocks, with the components of a pipeline."""
    made = blocks().init_pipeline()
    needed = set(made.components)
    given = {name: part for name, part in pipe.components.items() if name in needed}
    made.update_components(**{name: part for name, part in given.items() if part is not None})
    silence(made._blocks)
    return made


def silence(block):
    """Without a progress bar in any block."""
    for inner in block.sub_blocks.values():
        if hasattr(inner, "set_progress_bar_config"):
            inner.set_progress_bar_config(disable=True)
        silence(inner)


def made(blocks, toy, guidance, **arguments):
    """The toy of a modular pipeline with the parts of another toy."""
    # The blocks that decode do not all know the output type "latent".
    call = {"output": "latents", "output_type": "pt"} | arguments
    return replace(
        toy,
        build=lambda: modular(blocks, toy.build()),
        guidance=guidance,
        guided=call,
        plain=call,
        schedulers=("euler",),
    )


ALWAYS = "always two calls"
NARROW, WINDOW = {"max_sequence_length": 32}, {"max_sequence_length": 64}
TOYS = {
    "modular-sdxl": replace(
        made(StableDiffusionXLAutoBlocks, Toy(build=toys.sdxl, guidance=ALWAYS), ALWAYS),
        schedulers=("ddim", "sigmas"),
    ),
    "modular-sd3": made(
        StableDiffusion3AutoBlocks, sd3.TOY, ALWAYS, negative_prompt=NEGATIVE, **NARROW
    ),
    "modular-flux": made(FluxAutoBlocks, flux.TOY, "one call", **NARROW),
    "modular-flux-kontext": made(
        FluxKontextAutoBlocks,
        replace(flux.TOYS["flux-kontext"], lists=False),
        "one call",
        **NARROW,
    ),
    "modular-flux2": made(
        Flux2AutoBlocks, flux2.TOYS["flux2-dev"], "one call", max_sequence_length=96
    ),
    "modular-flux2-klein": made(
        Flux2KleinAutoBlocks, flux2.TOYS["flux2-klein"], "one call", **WINDOW
    ),
    "modular-flux2-klein-base": made(Flux2KleinBaseAutoBlocks, flux2.TOY, ALWAYS, **WINDOW),
    "modular-krea-2": made(
        Krea2AutoBlocks,
        Toy(build=lambda: more.krea2(taps=range(2, 36, 3)), guidance=ALWAYS),
        ALWAYS,
        **NARROW,
    ),
    "modular-qwen-image": made(QwenImageAutoBlocks, qwen.TOY, ALWAYS, negative_prompt=NEGATIVE),
    "modular-z-image": made(
        ZImageAutoBlocks, replace(zimage.TOY, wide=(32, 48)), "one call", **WINDOW
    ),
}
