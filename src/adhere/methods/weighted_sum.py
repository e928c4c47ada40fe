"""Several objectives as one."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from adhere.methods.base import LatentMethod, Method, Read
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Schedule, Step
from adhere.typed import typed

M = TypeVar("M", bound=Method)


@typed
class WeightedSum(LatentMethod):
    """The weighted sum of several losses.

    `a + 0.5 * b` makes one. Thresholds are compared with the score of the first term that moves
    latents, and maps and peaks in the trace are as that term sees them.

    Attributes:
        terms: pairs of a weight and a method.
        own_schedule: when latents move; None takes the schedule of the first term that moves them.
            A sum of sums has the first of theirs.
    """

    name: ClassVar[str] = "weighted-sum"
    terms: tuple[tuple[float, LatentMethod], ...]
    own_schedule: Schedule | None = None

    @property
    def leader(self) -> LatentMethod:
        """The first term that moves latents, or the first where none does."""
        methods = [method for _, method in self.terms]
        if not methods:
            raise ValueError("The sum has no terms; add methods to it.")
        return next((method for method in methods if method.moves), methods[0])

    @property
    def schedule(self) -> Schedule:
        """Its own, or that of the first term that moves latents."""
        return self.own_schedule or self.leader.schedule

    @property
    def layers(self) -> str:  # type: ignore[override]
        """The layers that the first term that moves latents reads."""
        return self.leader.layers

    @property
    def moves(self) -> bool:
        """Whether any of the terms does."""
        return self.leader.moves

    @property
    def needs_self_attention(self) -> bool:  # type: ignore[override]
        """Whether any of the terms does."""
        return any(method.needs_self_attention for _, method in self.terms)

    @property
    def needs_attributes(self) -> bool:  # type: ignore[override]
        """Whether all of the terms that move latents do: else one of them has something to do."""
        return self.moves and all(m.needs_attributes for _, m in self.terms if m.moves)

    def loss(self, reading: Reading) -> Tensor:
        """The weighted sum of the losses, (B,)."""
        return torch.stack([weight * m.loss(reading) for weight, m in self.terms]).sum(0)

    def score(self, reading: Reading) -> Tensor:
        """What the first term that moves latents compares with its thresholds, (B,)."""
        return self.leader.score(reading)

    def refining_loss(self, reading: Reading) -> Tensor | None:
        """The weighted sum with each term's own, or None where no term has one."""
        own = [method.refining_loss(reading) for _, method in self.terms]
        if all(loss is None for loss in own):
            return None
        pairs = zip(self.terms, own, strict=True)
        parts = [w * (m.loss(reading) if loss is None else loss) for (w, m), loss in pairs]
        return torch.stack(parts).sum(0)

    def maps(self, reading: Reading) -> Tensor:
        """What the first term that moves latents sees, (B, H, W, T)."""
        return self.leader.maps(reading)

    def peaks(self, reading: Reading) -> list[Tensor]:
        """Those of the first term that moves latents, (S,) for each sample."""
        return self.leader.peaks(reading)

    def search(self, latents: Tensor, read: Read, step: Step) -> Tensor:
        """The searches of the terms, one after the other."""
        for _, method in self.terms:
            if method.searches_at(step):
                latents = method.search(latents, read, step)
        return latents

    def searches_at(self, step: Step) -> bool:
        """Whether any of the terms does."""
        return any(method.searches_at(step) for _, method in self.terms)

    def reads_finer(self, subjects: Subjects) -> bool:
        """Whether any of the terms does."""
        return any(method.reads_finer(subjects) for _, method in self.terms)

    def watches(self, step: Step) -> bool:
        """Whether any of the terms does."""
        return any(method.watches(step) for _, method in self.terms)


def sum_of(*methods: LatentMethod, weight: float = 1.0) -> WeightedSum:
    """The sum of methods, some of which may be sums, times a number."""
    sums = [m if isinstance(m, WeightedSum) else WeightedSum(((1.0, m),)) for m in methods]
    return WeightedSum(
        tuple((weight * own, term) for one in sums for own, term in one.terms),
        next((one.own_schedule for one in sums if one.own_schedule), None),
    )


def terms_of(method: M) -> tuple[M, ...]:
    """The methods of a sum, or the one."""
    if isinstance(method, WeightedSum):
        return tuple(term for _, term in method.terms)  # type: ignore[return-value]
    return (method,)
