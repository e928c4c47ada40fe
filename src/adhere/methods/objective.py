"""A loss of one's own as a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from adhere.methods.base import LatentMethod, check_steps, check_window, expect
from adhere.methods.reading import Reading
from adhere.methods.schedule import Schedule
from adhere.values import fit


@dataclass(frozen=True)
class Objective(LatentMethod):
    """Minimises any function of the attention of one pass.

        def spread(reading):
            ...
            return loss  # (B,), each sample's from its own maps alone

        with adhere.nurse(pipe, adhere.Objective(spread, step_size=10)): ...

    Attributes:
        function: from a `Reading` to a loss (B,).
        step_size: factor of the gradient at the first step.
        step_range: (first, last) of the linear ramp whose square root scales `step_size`.
        start: fraction of the loop at which nursing begins.
        stop: fraction of the loop at which it ends.
        layers: which layers are read, see `LatentMethod`.
    """

    function: Callable[[Reading], Tensor]
    step_size: float = 20.0
    step_range: tuple[float, float] = (1.0, 0.5)
    start: float = 0.0
    stop: float = 0.5
    layers: str = "default"

    name = "objective"

    def __post_init__(self) -> None:
        fit(self, Objective)
        expect(callable(self.function), f"function {self.function!r}", "a function of a reading")
        check_steps(self.step_size, self.step_range)
        check_window(self.start, self.stop)

    @property
    def schedule(self) -> Schedule:
        """Without thresholds."""
        return Schedule(self.step_size, self.step_range, self.start, self.stop)

    def loss(self, reading: Reading) -> Tensor:
        """What the function returns, (B,).

        Raises:
            ValueError: the function returned another shape.
        """
        loss = self.function(reading)
        if not isinstance(loss, Tensor) or loss.shape != (len(reading),):
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"The loss function gave {got}; give a tensor of shape ({len(reading)},), one "
                "number a sample, from that sample's maps alone."
            )
        return loss
