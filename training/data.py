"""Cached latents and cells of the training mix as the code draws it today."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from adhere.mini.train.latents import cached, scene
from adhere.mini.world.sprites import fingerprint
from training import cells
from training.joint_pipeline import autoencoder

SCENES = 49_152


def world_digest(seed: int) -> str:
    """Names the mix: what the first scenes are, and the artwork they are drawn with."""
    first = "".join(repr(scene(seed, number)) for number in range(256))
    return hashlib.sha256((first + fingerprint()).encode()).hexdigest()[:12]


def load(
    folder: Path, count: int = SCENES, seed: int = 0, with_cells: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Latents (count, 4, 16, 16) float16 and cells (count, 2, 8, 8), made where missing.

    They stand in `latents-<digest of the mix>`, so a changed mix makes new ones.
    """
    own = folder / f"latents-{world_digest(seed)}"
    own.mkdir(parents=True, exist_ok=True)
    settings = {"seed": seed}
    encoder = autoencoder().to(memory_format=torch.channels_last)
    means = cached(own, encoder, count, seed, settings, torch.device("cpu"))
    if not with_cells:
        return means, None
    return means, cells.cached(own / "cells.safetensors", count, seed, settings)
