"""Divide & Bind: spread each subject's attention, and lay an attribute's over its subject's.

Yumeng Li, Margret Keuper, Dan Zhang, Anna Khoreva, "Divide & Bind Your Attention for Improved
Generative Semantic Nursing", BMVC 2023, https://arxiv.org/abs/2307.10864

Shapes: B samples, H x W the grid of the maps, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from adhere import losses
from adhere.attention.maps import AttentionMaps, select, smooth, smooth_tokens
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
    turn,
)
from adhere.values import fit

if TYPE_CHECKING:
    from adhere.subjects import Subject

Variation = Literal["mean", "sum", "last-row"]
Divergence = Literal["clipped", "normalised"]


@dataclass(frozen=True)
class DivideAndBind(LatentMethod):
    """Raises the total variation of the weakest subject, and binds attributes to their subjects.

    Total variation rewards several excited places a subject, where Attend-and-Excite asks for a
    single peak; the Jensen-Shannon divergence of a subject's map and its attribute's is taken off.
    `DivideAndBind(binding=False)` leaves attributes alone, and so may stop the pass that nurses
    sooner: attributes are read from the finer levels of the denoiser, where it has any, else from
    the level that subjects are read from.

    `official` and `as_written` give the authors' code and the paper's formulas where this
    differs. The default has neighbours compared along both sides of the grid, where the code
    compares rows with the last one. On smooth maps that makes about half the number (medians of
    0.52, 0.51 and 0.47 of the code's where that is near 0.05, 0.2 and 0.3, over softmaxes of
    random fields that vary over 1 to 4 of 16 cells), so thresholds are half the code's.

    Attributes:
        step_size: factor of the gradient at the first step.
        step_range: the decay's ends, see `adhere.methods.base.decayed`.
        start: fraction of the loop from which on latents move.
        stop: fraction of the loop from which on they do not.
        refine_at: pairs (fraction of the loop, total variation that the weakest subject is to
            reach there, in the unit of `variation`).
        temperature: of the softmax over tokens.
        max_refinements_first: how many updates the threshold of the first step may cost.
        max_refinements: how many those of later steps may.
        binding: whether attributes are bound at all.
        binding_weights: pairs (fraction of the loop, weight of binding from there on).
        variation: "mean" or "sum" over neighbours, or "last-row", what the authors' code does.
        divergence: "clipped", what the authors' code does, or "normalised", the paper's.
        binds_all: whether every subject is bound, or binding counts for the weakest alone.
        pieces: how the tokens of one word become one map.
        updates_on_exit: whether the refinement that finds its threshold reached still updates.
        nurses_repeats: whether latents are moved also at the second call of PNDM, which then
            uses the move for the predicted noise alone.

    Source: arXiv 2307.10864, equations 1 to 3. The authors' code takes the weakest subject after
        binding is taken off and not before, and weighs binding by 1, 5, 10 over the loop.
    """

    step_size: float = 20.0
    step_range: tuple[float, float] = (1.0, 0.5)
    start: float = 0.0
    stop: float = 0.5
    refine_at: tuple[tuple[float, float], ...] = ((0.0, 0.025), (0.2, 0.1), (0.4, 0.15))
    temperature: float = 0.01
    max_refinements_first: int = 100
    max_refinements: int = 50
    binding: bool = True
    binding_weights: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.2, 5.0), (0.4, 10.0))
    variation: Variation = "mean"
    divergence: Divergence = "clipped"
    binds_all: bool = False
    pieces: Literal["mean", "max", "last"] = "mean"
    updates_on_exit: bool = False  # type: ignore[assignment]
    nurses_repeats: bool = False  # type: ignore[assignment]

    name = "divide-and-bind"
    paper = "Divide & Bind, arXiv 2307.10864"
    bibtex = """@inproceedings{li2023divide,
  title     = {Divide \\& Bind Your Attention for Improved Generative Semantic Nursing},
  author    = {Li, Yumeng and Keuper, Margret and Zhang, Dan and Khoreva, Anna},
  booktitle = {34th British Machine Vision Conference},
  year      = {2023},
  note      = {arXiv:2307.10864}
}"""

    def __post_init__(self) -> None:
        fit(self, DivideAndBind)
        expect(self.step_size >= 0, f"step_size {self.step_size}", "at least 0")
        expect_window(self.start, self.stop)
        expect_decay(self.step_range)
        expect_fractions("refine_at", self.refine_at)
        expect_fractions("binding_weights", self.binding_weights)
        expect(self.temperature > 0, f"temperature {self.temperature}", "one above 0")
        for name in ("max_refinements_first", "max_refinements"):
            count = getattr(self, name)
            expect(count >= 0, f"{name} {count}", "at least 0")

    @classmethod
    def official(cls, *, binding: bool = True) -> DivideAndBind:
        """The authors' code: rows against the last row, its thresholds, a last needless update.

        Args:
            binding: True for the code's mode "tv_bind", False for "tv".
        """
        return cls(
            refine_at=((0.0, 0.05), (0.2, 0.2), (0.4, 0.3)),
            binding=binding,
            variation="last-row",
            updates_on_exit=True,
            nurses_repeats=True,
        )

    @classmethod
    def as_written(cls, *, binding: bool = True) -> DivideAndBind:
        """The paper's formulas: summed variation, distributions, one weight, every subject bound.

        The paper's sums are 240 times the means on a 16 x 16 grid. Step size, thresholds and the
        weight of binding follow that, so that one step is as long as the default's.

        Args:
            binding: whether attributes are bound.
        """
        scale = 240.0
        return cls(
            step_size=20.0 / scale,
            refine_at=((0.0, 0.025 * scale), (0.2, 0.1 * scale), (0.4, 0.15 * scale)),
            binding=binding,
            binding_weights=((0.0, scale),),
            variation="sum",
            divergence="normalised",
            binds_all=True,
        )

    def reads_finer_levels(self, subjects: Subjects) -> bool:
        """Whether there are attributes to bind, which are read from finer levels."""
        return self.binding and any(subject.attributes for own in subjects for subject in own)

    def sees(self, maps: AttentionMaps) -> Tensor:
        """Attention after this method's softmax and smoothed, (B, H, W, T)."""
        return smooth_tokens(maps.normalised(temperature=self.temperature))

    def peaks(self, maps: AttentionMaps, subjects: Subjects) -> list[Tensor]:
        """The peak of each map whose variation is compared with thresholds, (S,) a sample."""
        own = maps.normalised(temperature=self.temperature)
        return [
            torch.stack([self._map(one, s.token_indices).amax() for s in mine])
            for one, mine in zip(own, subjects, strict=True)
        ]

    def loss(self, maps: AttentionMaps, subjects: Subjects, step: Step) -> Tensor:
        """(B,), minus the variation of the weakest subject, with what binding takes off."""
        own = maps.normalised(temperature=self.temperature)
        bound = self.reads_finer_levels(subjects)
        fine = maps.normalised(_shrunk(maps), self.temperature) if bound else own
        weight = self._binding_weight(step) if bound else 0.0
        samples = zip(own, fine, subjects, strict=True)
        return torch.stack([self._loss(*sample, weight) for sample in samples])

    def attained(self, maps: AttentionMaps, subjects: Subjects) -> Tensor:
        """(B,), the total variation of the weakest subject."""
        own = maps.normalised(temperature=self.temperature)
        samples = zip(own, subjects, strict=True)
        return torch.stack([self._variations(*sample).amin() for sample in samples])

    def step_size_at(self, step: Step) -> float:
        """The decayed step size inside the window, 0 outside."""
        inside = step.within(self.start, self.stop)
        return decayed(self.step_size, self.step_range, step) if inside else 0.0

    def threshold_at(self, step: Step) -> float | None:
        """The variation to be reached at this turn."""
        return at_turn(self.refine_at, step)

    def max_refinements_at(self, step: Step) -> int:
        """Updates that a threshold may cost, more of them at the first turn."""
        return self.max_refinements if step.index else self.max_refinements_first

    def _loss(
        self, own: Tensor, fine: Tensor, subjects: Sequence[Subject], weight: float
    ) -> Tensor:
        variations = self._variations(own, subjects)
        if not weight:
            return -variations.amin()
        taken_off = weight * torch.stack([self._divergence(own, fine, one) for one in subjects])
        if self.binds_all:
            return taken_off.sum() - variations.amin()
        return -(variations - taken_off).amin()

    def _variations(self, own: Tensor, subjects: Sequence[Subject]) -> Tensor:
        """The total variation of each subject, (S,)."""
        maps = torch.stack([self._map(own, subject.token_indices) for subject in subjects])
        if self.variation == "last-row":
            return losses.total_variation_to_last_row(maps)
        return losses.total_variation(maps, self.variation)

    def _divergence(self, own: Tensor, fine: Tensor, subject: Subject) -> Tensor:
        """How far the subject's attributes are from it, together, ()."""
        clipped = self.divergence == "clipped"
        divergence = losses.clipped_jensen_shannon if clipped else losses.jensen_shannon
        wanted = self._map(own, subject.token_indices)
        total = wanted.new_zeros(())
        for attribute in subject.attributes:
            total = total + divergence(wanted, self._map(fine, attribute.token_indices))
        return total

    def _map(self, maps: Tensor, token_indices: Sequence[int]) -> Tensor:
        return smooth(select(maps, token_indices, self.pieces))

    def _binding_weight(self, step: Step) -> float:
        begun = [pair for pair in self.binding_weights if turn(pair[0], step.count) <= step.index]
        return max(begun)[1] if begun else 0.0


def _shrunk(maps: AttentionMaps) -> dict[str, Tensor]:
    """The finer layers on the grid that objectives read, each cell the nearest of theirs."""
    height, width = maps.size(maps.factor)
    shrunk = {}
    for name, layer in maps.finer().items():
        rows = torch.arange(height, device=layer.device) * layer.shape[1] // height
        columns = torch.arange(width, device=layer.device) * layer.shape[2] // width
        shrunk[name] = layer[:, rows][:, :, columns]
    return shrunk
