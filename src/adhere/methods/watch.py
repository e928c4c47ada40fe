"""Watching: the maps of every step are recorded, and nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from adhere.attention.maps import AttentionMaps
from adhere.methods.base import LatentMethod, Step, Subjects, expect_window
from adhere.values import fit


@dataclass(frozen=True)
class Watch(LatentMethod):
    """Reads the attention maps, for heat maps of a plain run.

    Attributes:
        start: fraction of the loop at which watching begins.
        stop: fraction of the loop at which it ends.
    """

    start: float = 0.0
    stop: float = 1.0

    name = "watch"

    def __post_init__(self) -> None:
        fit(self, Watch)
        expect_window(self.start, self.stop)

    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """(B,) zeros: there is nothing to minimise."""
        return maps.aggregate().new_zeros(len(subjects))

    def step_size_at(self, step: Step) -> float:
        """0: the latents are left alone."""
        return 0.0

    @property
    def moves(self) -> bool:
        """Never, so that a sum has the schedule of another."""
        return False

    def watches(self, step: Step) -> bool:
        """Maps are recorded although nothing is moved, in the pipeline's own pass."""
        return step.within(self.start, self.stop)
