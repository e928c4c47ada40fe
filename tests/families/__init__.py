"""Tiny offline pipelines of every family of denoiser; `FAMILIES` names every toy."""

from . import blocks, cross, flux, flux2, flux3, more, qwen, sd3, zimage
from .toy import Toy

_KINDS = (sd3, flux, qwen, zimage, flux2, cross, more, blocks, flux3)
FAMILIES: dict[str, Toy] = {name: toy for kind in _KINDS for name, toy in kind.TOYS.items()}
# Those around a transformer.
TRANSFORMERS = [name for name in FAMILIES if name != "modular-sdxl"]
