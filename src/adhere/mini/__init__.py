"""The bundled miniature model: a real Stable Diffusion pipeline that needs no download.

It draws 128×128 scenes of 24 emoji animals and objects in 11 colours, and fails as its big
siblings do: of two subjects one may be missing, and colours leak.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

__all__ = ["bundled", "folder", "load"]


ROOT = Path(str(files("adhere.mini")))
FOLDERS = {"mini": "weights", "mini-joint": "joint"}


def bundled(root: Path = ROOT) -> dict[str, Path]:
    """The models that are here: name to folder, in the standard layout of diffusers.

    Args:
        root: holds the folders.
    """
    return {
        name: root / place
        for name, place in FOLDERS.items()
        if (root / place / "model_index.json").is_file()
    }


def folder() -> Path:
    """The folder of the bundled model "mini"."""
    return ROOT / FOLDERS["mini"]


def load() -> StableDiffusionPipeline:
    """The bundled pipeline, in single precision on the CPU.

    Nothing in it is special: it is what `StableDiffusionPipeline.from_pretrained` makes of
    `folder()`.
    """
    import torch
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(
        folder(), dtype=torch.float32, safety_checker=None, use_safetensors=True
    )
