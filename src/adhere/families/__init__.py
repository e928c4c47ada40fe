"""What is known of each kind of denoiser: layers, latents, grids and columns."""

from __future__ import annotations

from typing import Any

from adhere.errors import UnsupportedPipeline
from adhere.families.base import Family, Layer, Opened
from adhere.families.call import same
from adhere.families.columns import Placed, batched, place
from adhere.families.encoder import Encoder

__all__ = [
    "Encoder",
    "Family",
    "Layer",
    "Opened",
    "Placed",
    "batched",
    "family_of",
    "place",
    "same",
]


def family_of(pipe: Any) -> Family:
    """The family of a pipeline, by the class of its denoiser.

    Args:
        pipe: a diffusers pipeline, or a modular one.

    Raises:
        UnsupportedPipeline: its denoiser is none that is known, or something that is on in it
            cannot be nursed.
    """
    from adhere.families.joint import JointFamily
    from adhere.families.rows import REFUSED, ROWS
    from adhere.families.unet import UNetFamily

    found = {name: _inner(getattr(pipe, name, None)) for name in ("unet", "transformer")}
    family: Family | None = None
    if isinstance(found["unet"], UNetFamily.models):
        family = UNetFamily(pipe)
    else:
        kinds = [kind.__name__ for kind in type(found["transformer"]).__mro__]
        row = next((ROWS[kind] for kind in kinds if kind in ROWS), None)
        family = None if row is None else JointFamily(pipe, row)
    if family is None or not hasattr(pipe, "scheduler"):
        there = [type(one).__name__ for one in found.values() if one is not None]
        got = there[0] if there else "no unet and no transformer"
        reason = f": {REFUSED[got]}" if got in REFUSED else ""
        known = ", ".join(["UNet2DConditionModel", *ROWS])
        raise UnsupportedPipeline(
            f"{type(pipe).__name__} has {got}, which cannot be nursed{reason}. Use a diffusers "
            f"pipeline around one of: {known}."
        )
    family.check()
    return family


def _inner(denoiser: Any) -> Any:
    """The denoiser itself, without torch.compile's wrapper."""
    return getattr(denoiser, "_orig_mod", denoiser)
