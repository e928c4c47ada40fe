"""What a method is: something that moves latents, or something that edits attention.

Shapes: B samples, N pixels of a layer, T tokens.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from adhere.attention.maps import AttentionMaps, smooth_tokens
from adhere.subjects.subject import Subject

Subjects = Sequence[Sequence[Subject]]


@dataclass(frozen=True)
class Step:
    """Where the sampling loop is.

    Attributes:
        index: the loop's turn, from 0, as the papers' code counts it.
        count: how many turns the loop has (51 for 50 steps of PNDM).
        timestep: the scheduler's.
    """

    index: int
    count: int
    timestep: float

    def within(self, start: float, stop: float) -> bool:
        """Whether this turn lies in a window given in fractions of the loop."""
        return turn(start, self.count) <= self.index < turn(stop, self.count)


def turn(fraction: float, count: int) -> int:
    """The turn at a fraction of a loop: 0.5 of 50 is 25, and so is 0.5 of PNDM's 51."""
    return math.floor(fraction * count + 1e-9)


class Method(ABC):
    """A paper's recipe with its numbers.

    Attributes:
        name: names it in commands and reports.
        paper: title and arXiv id.
        bibtex: how it is cited.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""


class LatentMethod(Method):
    """Moves the latents down the gradient of a loss on the attention maps.

    Methods add up, also by `sum`: `AttendAndExcite() + 0.5 * DivideAndBind()` minimises the
    weighted sum of the two losses, on the schedule of the first that moves latents at all.
    """

    @abstractmethod
    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """One number a sample, (B,): samples must not mix, or thresholds could not stop singly."""

    def attained(self, maps: AttentionMaps, subjects: Subjects) -> Tensor:
        """What thresholds are held against, (B,): a sample is refined while it is below."""
        raise NotImplementedError(f"{type(self).__name__} has thresholds but nothing to compare.")

    @abstractmethod
    def step_size_at(self, step: Step) -> float:
        """The factor of the gradient at this turn; 0 where the latents are left alone."""

    def sees(self, maps: AttentionMaps) -> Tensor:
        """Attention as this method looks at it, (B, H, W, T): the heat maps that a trace keeps.

        By default after the softmax over tokens that the family begins with, and smoothed. A
        method with a softmax of its own says so here.
        """
        return smooth_tokens(maps.normalised())

    def peaks(self, maps: AttentionMaps, subjects: Subjects) -> list[Tensor]:
        """For each sample the highest attention of each of its subjects, (S,), for the trace.

        By default of the mean of a word's tokens in what the method sees. A method whose
        thresholds compare peaks gives those that it compares.
        """
        return [
            torch.stack([own[..., list(s.token_indices)].mean(-1).amax() for s in mine])
            for own, mine in zip(self.sees(maps), subjects, strict=True)
        ]

    def threshold_at(self, step: Step) -> float | None:
        """What must be attained at this turn before the loop goes on, or None."""
        return None

    def max_refinements_at(self, step: Step) -> int:
        """How many updates a threshold may cost."""
        return 0

    @property
    def updates_on_exit(self) -> bool:
        """Whether the refinement that finds its threshold attained still updates."""
        return False

    def reads_finer_levels(self, subjects: Subjects) -> bool:
        """Whether the loss reads finer maps than those of the objective's level, for these."""
        return False

    @property
    def nurses_repeats(self) -> bool:
        """Whether latents are moved also where the scheduler begins its step from others.

        The second call of PNDM and of Heun is such a one: the move touches the predicted noise
        alone. The authors' loops know no difference.
        """
        return False

    def watches(self, step: Step) -> bool:
        """Whether the maps are recorded at this turn even if nothing is moved."""
        return False

    @property
    def moves(self) -> bool:
        """Whether latents are moved at any turn; a sum has the schedule of one that does."""
        return True

    def __add__(self, other: LatentMethod) -> LatentMethod:
        """The sum of two objectives, on the schedule of the first that moves."""
        if not isinstance(other, LatentMethod):
            return NotImplemented
        return WeightedSum((*_terms(self), *_terms(other)))

    def __radd__(self, other: int) -> LatentMethod:
        """The method itself where nothing is added: `sum` begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, weight: float) -> LatentMethod:
        """The objective times a number."""
        if not isinstance(weight, int | float):
            return NotImplemented
        return WeightedSum(tuple((weight * w, m) for w, m in _terms(self)))

    __rmul__ = __mul__


def _terms(method: LatentMethod) -> tuple[tuple[float, LatentMethod], ...]:
    return method.terms if isinstance(method, WeightedSum) else ((1.0, method),)


@dataclass(frozen=True)
class WeightedSum(LatentMethod):
    """Several objectives as one, on the schedule and the thresholds of the first that moves.

    Attributes:
        terms: pairs of a weight and a method.
    """

    name: ClassVar[str] = "weighted-sum"
    terms: tuple[tuple[float, LatentMethod], ...]

    def __post_init__(self) -> None:
        weights = [weight for weight, _ in self.terms]
        expect(all(map(math.isfinite, weights)), f"weights {weights}", "finite numbers")

    @property
    def _leader(self) -> LatentMethod:
        """The first that moves latents, or the very first where none does."""
        methods = [method for _, method in self.terms]
        return next((method for method in methods if method.moves), methods[0])

    @property
    def moves(self) -> bool:
        """Whether any of the methods does."""
        return self._leader.moves

    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """The weighted sum of the losses, (B,)."""
        return torch.stack([w * m.loss(maps, subjects, step) for w, m in self.terms]).sum(0)

    def attained(self, maps: AttentionMaps, subjects: Subjects) -> Tensor:
        """What the first that moves holds against its thresholds, (B,)."""
        return self._leader.attained(maps, subjects)

    def sees(self, maps: AttentionMaps) -> Tensor:
        """What the first that moves sees, (B, H, W, T)."""
        return self._leader.sees(maps)

    def peaks(self, maps: AttentionMaps, subjects: Subjects) -> list[Tensor]:
        """Those of the first that moves, (S,) for each sample."""
        return self._leader.peaks(maps, subjects)

    def step_size_at(self, step: Step) -> float:
        """That of the first that moves."""
        return self._leader.step_size_at(step)

    def threshold_at(self, step: Step) -> float | None:
        """That of the first that moves."""
        return self._leader.threshold_at(step)

    def max_refinements_at(self, step: Step) -> int:
        """That of the first that moves."""
        return self._leader.max_refinements_at(step)

    @property
    def updates_on_exit(self) -> bool:
        """That of the first that moves."""
        return self._leader.updates_on_exit

    def reads_finer_levels(self, subjects: Subjects) -> bool:
        """Whether any of the methods does."""
        return any(m.reads_finer_levels(subjects) for _, m in self.terms)

    @property
    def nurses_repeats(self) -> bool:
        """That of the first that moves."""
        return self._leader.nurses_repeats

    def watches(self, step: Step) -> bool:
        """Whether any of the methods does."""
        return any(m.watches(step) for _, m in self.terms)


@dataclass(frozen=True)
class LayerContext:
    """What an attention edit is told about the layer that it edits.

    Attributes:
        layer: the module's name.
        step: where the loop is.
        size: height and width of the layer's map, N = height * width.
        subjects: one list a sample.
        ends: for each sample the position of its end token.
        memory: kept for this layer from step to step, empty at first; the edit's own.
    """

    layer: str
    step: Step
    size: tuple[int, int]
    subjects: Subjects
    ends: tuple[int, ...]
    memory: dict[str, Tensor] = field(default_factory=dict)


class AttentionMethod(Method):
    """Edits the cross-attention of the real pass, conditional half only."""

    @abstractmethod
    def is_active(self, step: Step) -> bool:
        """Whether attention is edited at this turn."""

    @property
    def everywhere(self) -> bool:
        """Whether all cross-attention is edited, or only the level that objectives read."""
        return True

    def bias(self, subjects: Subjects, ends: Sequence[int], tokens: int) -> Tensor | None:
        """What is added to the scores of each token, (B, T), or None.

        An edit that can be said so costs nothing: the fused kernel stays in use, and
        `probabilities` is never asked.
        """
        return None

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The weights that values are mixed with.

        Args:
            scores: (B, heads, N, T), scaled, before the softmax, float32.
            context: the layer.

        Returns:
            (B, heads, N, T).
        """
        raise NotImplementedError(f"{type(self).__name__} gives neither bias nor probabilities.")


def expect(holds: bool, got: str, expected: str) -> None:
    """Refuses a number of a method that is out of range.

    Raises:
        ValueError: the condition does not hold.
    """
    if not holds:
        raise ValueError(f"got {got}, expected {expected}.")


def expect_window(start: float, stop: float) -> None:
    """Refuses a window that is not one of fractions of the loop.

    Raises:
        ValueError: not 0 <= start <= stop <= 1.
    """
    expect(0 <= start <= stop <= 1, f"start {start} and stop {stop}", "0 <= start <= stop <= 1")


def expect_decay(step_range: tuple[float, float]) -> None:
    """Refuses the ends of a decay whose square root there is not.

    Raises:
        ValueError: one is below 0, or no number.
    """
    holds = all(end >= 0 for end in step_range)
    expect(holds, f"step_range {step_range}", "two numbers from 0 on")


def expect_fractions(name: str, pairs: Sequence[tuple[float, float]]) -> None:
    """Refuses pairs that name their turn by anything but a fraction of the loop.

    Raises:
        ValueError: a first number of a pair is not within 0…1.
    """
    for fraction, _ in pairs:
        expect(
            0 <= fraction <= 1,
            f"{name} at {fraction:g}",
            "fractions of the loop, not steps: 0 <= fraction <= 1 in each pair",
        )


def checked(given: Any) -> tuple[Method, ...]:
    """One method or several as a tuple.

    Raises:
        ValueError: there is none, or something that is not an instance of a method.
    """
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    methods: tuple[Any, ...] = tuple(given) if is_list else (given,)
    wrong = [m for m in methods if not isinstance(m, LatentMethod | AttentionMethod)]
    if wrong or not methods:
        got = f"{wrong[0]!r} as a method" if wrong else "no method"
        raise ValueError(
            f"Got {got}; give an instance such as adhere.AttendAndExcite(), or a list of them."
        )
    return methods


def decayed(step_size: float, step_range: tuple[float, float], step: Step) -> float:
    """The step size after the decay of the family: the square root of a linear ramp.

    Source: the code published with arXiv 2301.13826, whose text says linear.
    """
    first, last = step_range
    share = step.index / max(step.count - 1, 1)
    return step_size * math.sqrt(first + (last - first) * share)


def at_turn(values: Sequence[tuple[float, float]], step: Step) -> float | None:
    """The largest value whose fraction of the loop falls on this turn, or None.

    In a short loop several fractions may fall on one turn.
    """
    here = [value for fraction, value in values if turn(fraction, step.count) == step.index]
    return max(here, default=None)
