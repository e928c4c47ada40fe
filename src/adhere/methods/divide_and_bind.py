"""Divide & Bind: spread each subject's attention, and lay an attribute's over its subject's.

Yumeng Li, Margret Keuper, Dan Zhang, Anna Khoreva, "Divide & Bind Your Attention for Improved
Generative Semantic Nursing", BMVC 2023, https://arxiv.org/abs/2307.10864

Shapes: B samples, S subjects of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import SubjectMethod
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import AUTHORS_LOOP, Pairs, check_positions, last_before
from adhere.subjects.subject import Subject
from adhere.typed import Count, typed

Variation = Literal["mean", "sum", "last-row"]
Divergence = Literal["clipped", "normalised"]


@typed
class DivideAndBind(SubjectMethod):
    """Raises the total variation of the weakest subject, and binds attributes to their subjects.

    Total variation rewards several excited places a subject, where Attend-and-Excite asks for a
    single peak; the Jensen-Shannon divergence of a subject's map and its attribute's is taken off.
    `DivideAndBind(binding=False)` leaves attributes alone, and so may stop the pass that nurses
    sooner: attributes are read from the finer levels of the denoiser, where it has any, else from
    the level that subjects are read from.

    `official` and `as_written` give the authors' code and the paper's formulas where this
    differs. Here neighbours are compared along both sides of the grid, where the code compares
    rows with the last one; on smooth maps that makes about half the number, so that thresholds
    are half the code's.

    Attributes:
        refine_at: pairs (where in the loop, total variation that the weakest subject is to
            reach there, in the unit of `variation`).
        max_refinements: how many updates the threshold of a later step may cost.
        max_refinements_first: how many that of the first step may.
        binding: whether attributes are bound at all.
        binding_weights: pairs (where in the loop, weight of binding from there on).
        variation: "mean" or "sum" over neighbours, or "last-row", what the authors' code does.
        divergence: "clipped", what the authors' code does, or "normalised", the paper's.
        binds_all: whether every subject is bound, or binding counts for the weakest alone.

    Source: arXiv 2307.10864, the attendance loss and the binding loss. The authors' code takes
        the weakest subject after binding is taken off and not before, and weighs binding by 1, 5,
        10 over the loop.
    """

    refine_at: Pairs = ((0.0, 0.025), (0.2, 0.1), (0.4, 0.15))
    max_refinements: Count = 50
    max_refinements_first: Count | None = 100
    binding: bool = True
    binding_weights: Pairs = ((0.0, 1.0), (0.2, 5.0), (0.4, 10.0))
    variation: Variation = "mean"
    divergence: Divergence = "clipped"
    binds_all: bool = False

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
        super().__post_init__()
        check_positions("binding_weights", self.binding_weights, self.in_steps)

    @classmethod
    def official(cls, *, binding: bool = True) -> DivideAndBind:
        """The authors' code: rows against the last row, its thresholds, a last needless update.

        Args:
            binding: True for the code's mode "tv_bind", False for "tv".
        """
        return cls(
            **AUTHORS_LOOP,
            refine_at=((0, 0.05), (10, 0.2), (20, 0.3)),
            binding_weights=((0, 1.0), (10, 5.0), (20, 10.0)),
            binding=binding,
            variation="last-row",
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

    def reads_finer(self, subjects: Subjects) -> bool:
        """Whether there are attributes to bind, which are read from finer resolutions."""
        return self.binding and any(subject.attributes for own in subjects for subject in own)

    def loss(self, reading: Reading) -> Tensor:
        """(B,), minus the variation of the weakest subject, with what binding takes off."""
        weight = 0.0
        if self.reads_finer(reading.subjects):
            weight = last_before(self.binding_weights, reading.step, self.in_steps) or 0.0
        samples = range(len(reading))
        return torch.stack([self._loss(reading, sample, weight) for sample in samples])

    def score(self, reading: Reading) -> Tensor:
        """(B,), the total variation of the weakest subject."""
        samples = range(len(reading))
        return torch.stack([self._variations(reading, sample).amin() for sample in samples])

    def _loss(self, reading: Reading, sample: int, weight: float) -> Tensor:
        variations = self._variations(reading, sample)
        if not weight:
            return -variations.amin()
        divergences = [self._divergence(reading, sample, s) for s in reading.subjects[sample]]
        taken_off = weight * torch.stack(divergences)
        if self.binds_all:
            return taken_off.sum() - variations.amin()
        return -(variations - taken_off).amin()

    def _variations(self, reading: Reading, sample: int) -> Tensor:
        """The total variation of each subject, (S,)."""
        maps = self.subject_maps(reading, sample)
        if self.variation == "last-row":
            return losses.total_variation_to_last_row(maps)
        return losses.total_variation(maps, self.variation)

    def _divergence(self, reading: Reading, sample: int, subject: Subject) -> Tensor:
        """How far the subject's attributes are from it, together, ()."""
        clipped = self.divergence == "clipped"
        divergence = losses.clipped_jensen_shannon if clipped else losses.jensen_shannon
        wanted = reading.word(sample, subject.token_indices, **self.how)
        total = wanted.new_zeros(())
        for attribute in subject.attributes:
            bound = reading.word(sample, attribute.token_indices, finer=True, **self.how)
            total = total + divergence(wanted, bound)
        return total
