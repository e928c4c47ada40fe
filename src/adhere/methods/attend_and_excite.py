"""Attend-and-Excite: every subject must dominate some patch of the picture.

Hila Chefer, Yuval Alaluf, Yael Vinker, Lior Wolf, Daniel Cohen-Or, "Attend-and-Excite:
Attention-Based Semantic Guidance for Text-to-Image Diffusion Models", SIGGRAPH 2023,
https://arxiv.org/abs/2301.13826
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adhere import losses
from adhere.attention.maps import AttentionMaps, select, smooth, smooth_tokens, together
from adhere.methods.base import (
    LatentMethod,
    Step,
    Subjects,
    at_turn,
    decayed,
    expect,
    expect_decay,
    expect_fractions,
    expect_window,
)
from adhere.subjects.subject import Subject
from adhere.values import fit


@dataclass(frozen=True)
class AttendAndExcite(LatentMethod):
    """Raises the highest attention of the most neglected subject.

    Attributes:
        step_size: factor of the gradient at the first step.
        step_range: what the square of the decay runs through from the first to the last step.
        start: fraction of the loop at which nursing begins.
        stop: fraction of the loop at which it ends.
        refine_at: pairs (fraction of the loop, peak to be reached there).
        max_refinements: updates that a threshold may cost.
        temperature: of the softmax over tokens.
        smoothed: whether maps are smoothed before their peak is taken.
        pieces: how the tokens of one word become one map.
        with_attributes: whether a subject's map is the one of its whole phrase, see `together`, so
            that its peak must be where it is and its attributes are. Ours; thresholds are then
            held against that peak.
        updates_on_exit: whether the refinement that finds its threshold attained still updates.
        nurses_repeats: whether latents are moved also at the second call of PNDM, which then
            uses the move for the predicted noise alone.

    Source: arXiv 2301.13826, equations 3 and 4 and algorithm 1, with the numbers of the authors'
        code. It updates once more when a threshold is found attained, and also at PNDM's repeated
        call, which are off here and on in `official()`.
    """

    step_size: float = 20.0
    step_range: tuple[float, float] = (1.0, 0.5)
    start: float = 0.0
    stop: float = 0.5
    refine_at: tuple[tuple[float, float], ...] = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
    max_refinements: int = 20
    temperature: float = 0.01
    smoothed: bool = True
    pieces: Literal["mean", "max", "last"] = "mean"
    with_attributes: bool = False
    updates_on_exit: bool = False  # type: ignore[assignment]
    nurses_repeats: bool = False  # type: ignore[assignment]

    name = "attend-and-excite"
    paper = "Attend-and-Excite, arXiv 2301.13826"
    bibtex = """@article{chefer2023attendandexcite,
  title   = {Attend-and-Excite: Attention-Based Semantic Guidance for Text-to-Image Diffusion Models},
  author  = {Chefer, Hila and Alaluf, Yuval and Vinker, Yael and Wolf, Lior and Cohen-Or, Daniel},
  journal = {ACM Transactions on Graphics},
  volume  = {42},
  number  = {4},
  year    = {2023},
  note    = {arXiv:2301.13826}
}"""  # noqa: E501

    def __post_init__(self) -> None:
        fit(self, AttendAndExcite)
        expect(self.step_size >= 0, f"step_size {self.step_size}", "at least 0")
        expect_window(self.start, self.stop)
        expect_decay(self.step_range)
        expect_fractions("refine_at", self.refine_at)
        expect(self.temperature > 0, f"temperature {self.temperature}", "one above 0")
        count = self.max_refinements
        expect(count >= 0, f"max_refinements {count}", "at least 0")

    @classmethod
    def official(cls) -> AttendAndExcite:
        """The authors' behaviour, step for step."""
        return cls(updates_on_exit=True, nurses_repeats=True)

    def sees(self, maps: AttentionMaps) -> Tensor:
        """Attention after this method's softmax, (B, H, W, T), smoothed if its peaks are."""
        normalised = maps.normalised(temperature=self.temperature)
        return smooth_tokens(normalised) if self.smoothed else normalised

    def peaks(self, maps: AttentionMaps, subjects: Subjects) -> list[Tensor]:
        """For each sample the highest attention of each of its subjects, in 0…1."""
        return [own.amax((-2, -1)) for own in self._words(maps, subjects)]

    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """(B,), one minus the peak of the most neglected subject."""
        words = self._words(maps, subjects)
        return torch.stack([losses.excitation(own).amax() for own in words])

    def attained(self, maps: AttentionMaps, subjects: Subjects) -> Tensor:
        """(B,), the peak of the most neglected subject."""
        return torch.stack([peaks.amin() for peaks in self.peaks(maps, subjects)])

    def _words(self, maps: AttentionMaps, subjects: Subjects) -> list[Tensor]:
        """For each sample the maps of its subjects, (S, H, W)."""
        normalised = maps.normalised(temperature=self.temperature)
        words = [
            torch.stack([self._phrase(own, subject) for subject in mine])
            for own, mine in zip(normalised, subjects, strict=True)
        ]
        return [smooth(own) for own in words] if self.smoothed else words

    def _phrase(self, own: Tensor, subject: Subject) -> Tensor:
        """The map of a subject, (H, W), from those of all tokens of its sample, (H, W, T)."""
        words = (subject, *subject.attributes) if self.with_attributes else (subject,)
        return together(
            torch.stack([select(own, word.token_indices, self.pieces) for word in words])
        )

    def step_size_at(self, step: Step) -> float:
        """The decayed step size inside the window, 0 outside."""
        inside = step.within(self.start, self.stop)
        return decayed(self.step_size, self.step_range, step) if inside else 0.0

    def threshold_at(self, step: Step) -> float | None:
        """The peak to be reached at this turn."""
        return at_turn(self.refine_at, step)

    def max_refinements_at(self, step: Step) -> int:
        """Updates that a threshold may cost."""
        return self.max_refinements
