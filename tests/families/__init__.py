"""Tiny offline pipelines of every family of denoiser, and the facts of each family.

`FAMILIES` names every toy.
"""

from . import flux, flux2, qwen, sd3, zimage
from .toy import Toy

FAMILIES: dict[str, Toy] = {**sd3.TOYS, **flux.TOYS, **qwen.TOYS, **zimage.TOYS, **flux2.TOYS}
