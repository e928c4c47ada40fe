"""A loss of one's own as a method."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Schedule, check_window
from adhere.typed import Fraction, NonNegative, typed


@typed
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
    """

    function: Callable[[Reading], Tensor]
    step_size: NonNegative = 20.0
    step_range: tuple[NonNegative, NonNegative] = (1.0, 0.5)
    start: Fraction = 0.0
    stop: Fraction = 0.5
    layers: str = "default"

    name = "objective"

    def __post_init__(self) -> None:
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
