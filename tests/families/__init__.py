"""Tiny offline pipelines of every family of denoiser, and the facts of each family.

`FAMILIES` names every toy.
"""

from . import flux, sd3
from .toy import Toy

FAMILIES: dict[str, Toy] = {**sd3.TOYS, **flux.TOYS}
