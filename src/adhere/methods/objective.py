"""A loss of one's own as a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from adhere.attention.maps import AttentionMaps
from adhere.methods.base import (
    LatentMethod,
    Step,
    Subjects,
    decayed,
    expect,
    expect_decay,
    expect_window,
)
from adhere.values import fit


@dataclass(frozen=True)
class Objective(LatentMethod):
    """Minimises any function of the attention maps.

        def spread(maps, subjects):
            ...
            return loss  # (B,), each sample's from its own maps alone

        with adhere.nurse(pipe, adhere.Objective(spread, step_size=10), prompt=prompt): ...

    Attributes:
        function: from `AttentionMaps` and one list of subjects a sample to a loss (B,).
        step_size: factor of the gradient at the first step.
        step_range: what the square of the decay runs through from the first to the last step.
        start: fraction of the loop at which nursing begins.
        stop: fraction of the loop at which it ends.
    """

    function: Callable[[AttentionMaps, Subjects], Tensor]
    step_size: float = 20.0
    step_range: tuple[float, float] = (1.0, 0.5)
    start: float = 0.0
    stop: float = 0.5

    name = "objective"

    def __post_init__(self) -> None:
        fit(self, Objective)
        expect(callable(self.function), f"function {self.function!r}", "one of maps and subjects")
        expect(self.step_size >= 0, f"step_size {self.step_size}", "at least 0")
        expect_window(self.start, self.stop)
        expect_decay(self.step_range)

    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """What the function says, (B,).

        Raises:
            ValueError: the function gave another shape.
        """
        loss = self.function(maps, subjects)
        if not isinstance(loss, Tensor) or loss.shape != (len(subjects),):
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"The loss function gave {got}; give a tensor of shape ({len(subjects)},), one "
                "number a sample, from that sample's maps alone."
            )
        return loss

    def step_size_at(self, step: Step) -> float:
        """The decayed step size inside the window, 0 outside."""
        inside = step.within(self.start, self.stop)
        return decayed(self.step_size, self.step_range, step) if inside else 0.0
