"""When a method acts in the sampling loop, and how strongly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from adhere.typed import Count, NonNegative, typed

Pairs = Annotated[tuple[tuple[float, float], ...], Field(examples=[((0.0, 0.05), (0.2, 0.5))])]
"""(where in the loop, value) of each pair."""

AUTHORS_LOOP: dict[str, Any] = {
    "stop": 25,
    "in_steps": True,
    "updates_on_exit": True,
    "nurses_repeats": True,
}
"""The numbers of a `Schedule` in the code of arXiv 2301.13826, on which other authors built."""

# Of timesteps, from noise to image.
_LARGEST_TIME = 1000.0
_NEAR_ZERO = 1e-3


@dataclass(frozen=True)
class Step:
    """Where the sampling loop is.

    Attributes:
        index: the loop's step, from 0, as the papers' code counts it.
        count: how many steps the loop has (51 for 50 steps of PNDM).
        timestep: the scheduler's.
        after: the timestep of the next step, 0 at the end.
        noise: standard deviation of the noise in what the denoiser gets, in 0...1.
    """

    index: int
    count: int
    timestep: float
    after: float = 0.0
    noise: float = 1.0

    def within(self, start: float, stop: float, in_steps: bool = False) -> bool:
        """Whether this step lies in a window, which has at least one step unless it is empty.

        Args:
            start: where the window begins.
            stop: where it ends, as `start` or later.
            in_steps: whether both count steps; else they are fractions of the loop.
        """
        first, last = (step_index(at, self.count, in_steps) for at in (start, stop))
        if start < stop:
            last = max(last, first + 1)
        return first <= self.index < last


def step_index(position: float, count: int, in_steps: bool = False) -> int:
    """The index of a step: 25 for 0.5 of 50 steps, and also of PNDM's 51.

    Args:
        position: a number of steps, or a fraction of the loop.
        count: how many steps the loop has.
        in_steps: whether the position counts steps.
    """
    return int(position) if in_steps else math.floor(position * count + 1e-9)


@typed
class Schedule:
    """When latents move, how far, and what must be reached before the loop goes on.

    Attributes:
        step_size: factor of the gradient at the first step.
        step_range: (first, last) of the linear ramp whose square root scales `step_size`.
        start: where nursing begins, a fraction of the loop or a number of steps.
        stop: where it ends; a window that is not empty has at least one step.
        in_steps: whether `start`, `stop` and `refine_at` count steps; else they are fractions.
        refine_at: pairs (where in the loop, threshold of the score to be reached there).
        max_refinements: updates that a threshold may cost.
        max_refinements_first: the same at the first step; None for the same number.
        updates_on_exit: whether the pass that finds its threshold reached is followed by an
            update.
        nurses_repeats: whether latents also move at scheduler calls that ignore the sample they
            are given (PNDM's second call, Heun's second evaluation), where the shift changes the
            predicted noise alone.
    """

    step_size: NonNegative = 20.0
    step_range: tuple[NonNegative, NonNegative] = (1.0, 0.5)
    start: NonNegative = 0.0
    stop: NonNegative = 0.5
    in_steps: bool = False
    refine_at: Pairs = ()
    max_refinements: Count = 20
    max_refinements_first: Count | None = None
    updates_on_exit: bool = False
    nurses_repeats: bool = False

    def __post_init__(self) -> None:
        check_window(self.start, self.stop, self.in_steps)
        check_positions("refine_at", self.refine_at, self.in_steps)

    def step_size_at(self, step: Step) -> float:
        """The factor of the gradient at a step; 0 outside the window.

        Source: the code published with arXiv 2301.13826 (the square root of a linear ramp); its
            text says that the decay is linear.
        """
        if not step.within(self.start, self.stop, self.in_steps):
            return 0.0
        first, last = self.step_range
        share = step.index / max(step.count - 1, 1)
        return self.step_size * math.sqrt(first + (last - first) * share)

    def threshold_at(self, step: Step) -> float | None:
        """The largest threshold that falls on a step, or None.

        In a short loop several fractions may fall on one step.
        """
        here = [
            value
            for at, value in self.refine_at
            if step_index(at, step.count, self.in_steps) == step.index
        ]
        return max(here, default=None)

    def max_refinements_at(self, step: Step) -> int:
        """Updates that a threshold may cost at a step."""
        if step.index == 0 and self.max_refinements_first is not None:
            return self.max_refinements_first
        return self.max_refinements


@typed
class FlowSchedule(Schedule):
    """The step size of a control that is added to a flow's velocity.

    With time t from 0 (noise) to 1 (image) it is `step_size * s(t) * (1 - t) * |dt|`, where
    `s(t) = 2 (1 - t) / t`, both parts of the fraction with a thousandth added.

    Source: arXiv 2510.02315, the control of FOCUS.
    """

    def step_size_at(self, step: Step) -> float:
        """The factor of the gradient at a step; 0 outside the window."""
        if not step.within(self.start, self.stop):
            return 0.0
        # A U-Net's last timestep is 0, where a flow's is above.
        noise = max(step.timestep, 1.0) / _LARGEST_TIME
        strength = 2 * (noise + _NEAR_ZERO) / (1 - noise + _NEAR_ZERO)
        span = max(step.timestep - step.after, 1.0) / _LARGEST_TIME
        return self.step_size * strength * noise * span


def last_before(pairs: Sequence[tuple[float, float]], step: Step, in_steps: bool) -> float | None:
    """The value of the last pair whose position is at or before a step, or None."""
    begun = [
        (at, value) for at, value in pairs if step_index(at, step.count, in_steps) <= step.index
    ]
    return max(begun)[1] if begun else None


def check_window(start: float, stop: float, in_steps: bool = False) -> None:
    """Refuse a window outside the loop.

    Raises:
        ValueError: not 0 <= start <= stop, or beyond 1 where fractions count.
    """
    if not start <= stop:
        raise ValueError(f"`start` must be <= `stop`, got start {start:g} and stop {stop:g}.")
    check_positions("start", ((start, 0),), in_steps)
    check_positions("stop", ((stop, 0),), in_steps)


def check_positions(name: str, pairs: Pairs, in_steps: bool = False) -> None:
    """Refuse pairs whose first number is no place in the loop.

    Raises:
        ValueError: a first number is outside 0...1, or, where steps count, below 0 or broken.
    """
    for at, _ in pairs:
        if in_steps and (at < 0 or at != int(at)):
            raise ValueError(f"`{name}` must be at whole numbers of steps, got {at:g}.")
        if not in_steps and not 0 <= at <= 1:
            raise ValueError(
                f"`{name}` must be at fractions of the loop (0 to 1), not at steps, got {at:g}. "
                "Divide by the number of steps, or set in_steps=True."
            )
