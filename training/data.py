"""Cached latents of the training mix as the code draws it today."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from training.joint_pipeline import autoencoder
from training.latents import cached, scene
from training.world.sprites import fingerprint

SCENES = 49_152


def world_digest(seed: int) -> str:
    """Names the mix: what the first scenes are, and the artwork they are drawn with."""
    first = "".join(repr(scene(seed, number)) for number in range(256))
    return hashlib.sha256((first + fingerprint()).encode()).hexdigest()[:12]


def load(folder: Path, count: int = SCENES, seed: int = 0) -> Tensor:
    """Latents (count, 4, 16, 16) float16 of the training mix, made where missing.

    They stand in `latents-<digest of the mix>`, so a changed mix makes new ones.
    """
    own = folder / f"latents-{world_digest(seed)}"
    own.mkdir(parents=True, exist_ok=True)
    encoder = autoencoder().to(memory_format=torch.channels_last)
    return cached(own, encoder, count, seed, {"seed": seed}, torch.device("cpu"))
