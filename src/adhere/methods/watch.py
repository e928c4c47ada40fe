"""Watching: the maps of every step are recorded, and nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from torch import Tensor

from adhere.methods.base import LatentMethod, Method
from adhere.methods.reading import Reading
from adhere.methods.schedule import Schedule, Step, check_window
from adhere.typed import Fraction, Positive, typed


@typed
class Watch(LatentMethod):
    """Reads the attention maps of the pipeline's own pass, after any edits beside it.

    Attributes:
        start: fraction of the loop at which watching begins.
        stop: fraction of the loop at which it ends.
        temperature: of the softmax over tokens; None keeps raw probabilities.
    """

    start: Fraction = 0.0
    stop: Fraction = 1.0
    temperature: Positive | None = 0.01
    layers: str = "default"

    name = "watch"

    @classmethod
    def like(cls, method: Method) -> Watch:
        """Sees attention as a method does, so that the curves of two traces can be compared."""
        if not isinstance(method, LatentMethod):
            return cls()
        temperature = getattr(method, "temperature", cls.temperature)
        return cls(layers=method.layers, temperature=temperature)

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @property
    def schedule(self) -> Schedule:
        """Latents never move."""
        return Schedule(step_size=0.0, start=self.start, stop=self.stop)

    def maps(self, reading: Reading) -> Tensor:
        """Attention after the softmax, smoothed, (B, H, W, T)."""
        return reading.smoothed(self.temperature)

    def loss(self, reading: Reading) -> Tensor:
        """(B,) zeros: there is nothing to minimise."""
        return reading.aggregate().new_zeros(len(reading))

    @property
    def moves(self) -> bool:
        """False, so that a sum has the schedule of another term."""
        return False

    def watches(self, step: Step) -> bool:
        """Whether this step lies in the window."""
        return step.within(self.start, self.stop)


def watched(methods: Sequence[Method]) -> list[Method]:
    """The same methods, with the maps recorded at every step."""
    movers = [method for method in methods if isinstance(method, LatentMethod)]
    others = [method for method in methods if not isinstance(method, LatentMethod)]
    return [reduce(add, [*movers, Watch()]), *others]
