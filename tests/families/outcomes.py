"""Which method runs on which family: found by running it on the family's toy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import torch

import adhere
import toys
from adhere.errors import UnsupportedPipeline
from adhere.nursing import nurse

from . import FAMILIES

# What a family is called in the table, and its toy: a key of FAMILIES, or a function.
TOYS = {
    "Stable Diffusion 1": toys.sd,
    "Stable Diffusion 2": toys.sd2,
    "SDXL": toys.sdxl,
    "PixArt": "pixart-sigma",
    "Sana": "sana",
    "Stable Diffusion 3": "sd3",
    "FLUX.1": "flux",
    "Chroma": "chroma",
    "FLUX.2": "flux2-klein-base",
    "FLUX.3": "modular-flux3",
    "Qwen-Image": "qwen-image",
    "Z-Image": "z-image",
    "Krea-2": "krea-2",
    "Lumina-2": "lumina-2",
    "AuraFlow": "aura-flow",
    "CogView4": "cogview4",
    "HunyuanImage": "hunyuan-image",
}
# One toy of each transformer class.
CLASSES = sorted(name for name in TOYS.values() if isinstance(name, str))
PROMPT = "a red car and a blue bowl"
BOXES = {"car": (0.0, 0.0, 0.5, 1.0), "bowl": (0.5, 0.0, 1.0, 1.0)}
# Active from the first step on, and short.
NUMBERS = {"stop": 1.0, "refine_at": (), "iterations": 2, "rounds": 1, "draws": 1}
NUMBERS |= {"last_iterations": 1}


def quick(kind):
    """A method with as many of these numbers as it has."""
    has = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in NUMBERS.items() if name in has})


@cache
def _toy(family):
    """A family's pipeline, how it is run, and the latents that it gives alone."""
    name = TOYS[family]
    if callable(name):
        pipe = name()
        draw = lambda: toys.run(pipe, PROMPT, steps=2)  # noqa: E731
    else:
        toy = FAMILIES[name]
        pipe = toy.build()

        def draw():
            torch.manual_seed(0)
            return torch.as_tensor(toy.run(pipe, PROMPT, guided=True, steps=2))

    draw()
    return pipe, draw, draw()


def outcome(family, method):
    """Says "runs", or why a method is refused there. What runs must move the latents."""
    pipe, draw, plain = _toy(family)
    kind = adhere.METHODS[method]
    given = {"prompt": PROMPT, "boxes": BOXES if kind.needs_boxes else None}
    try:
        with nurse(pipe, quick(kind), **given):
            latents = draw()
    except UnsupportedPipeline as error:
        denoiser = type(getattr(pipe, "transformer", None) or pipe.unet).__name__
        return str(error).split(". ")[0].replace(denoiser, "the model").removeprefix(f"{method} ")
    assert latents.isfinite().all() and not torch.equal(latents, plain), (family, method)
    return "runs"


def outcomes() -> Iterator[tuple[str, str, str]]:
    """Family, method and outcome of all of them."""
    for family in TOYS:
        for method in adhere.METHODS:
            yield family, method, outcome(family, method)
