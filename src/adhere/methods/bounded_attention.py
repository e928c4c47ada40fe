"""Bounded Attention: no subject attends to another one's box, nor to its words.

Omer Dahary, Or Patashnik, Kfir Aberman, Daniel Cohen-Or, "Be Yourself: Bounded Attention for
Multi-Subject Text-to-Image Generation", ECCV 2024, https://arxiv.org/abs/2403.16990

Shapes: B samples, H x W the grid of the maps, N = H * W, T text columns, S boxed subjects.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adhere.methods.base import AttentionMethod, LayerContext, ScheduledMethod
from adhere.methods.boxes import boxed, masks
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Pairs, Step, last_before, step_index
from adhere.typed import Count, Fraction, NonNegative, typed

# Added to scores that are to have no attention; finite, so that no row is without any.
_NEVER = -1e4


@typed
class BoundedAttention(ScheduledMethod, AttentionMethod):
    """Bounds attention by boxes, and moves latents so that it fills them.

    In the real pass a subject's words are attended in its box alone, and cells of a box attend to
    their own box and to the background. In nursing passes the background may attend to the words
    too, so that the loss can see what lies outside. Subjects without a box are left alone.

    Attributes:
        step_size: factor of the gradient at the first step; 18 for SDXL in the authors' code.
        step_range: factors of `step_size` at `start` and at `stop`, 1 and 5 / 18 for SDXL; between
            them it falls linearly.
        stop: where guidance ends.
        refine_at: pairs (where in the loop, score from there on): each step is refined until one
            minus the mean loss of a subject is reached.
        max_refinements: further updates that a step may take.
        cross_weight: of the loss on attention to words.
        self_weight: of the loss on attention of the image to itself.
        bound_until: fraction of the loop until which attention is bounded.
        with_attributes: whether a subject's attributes are bounded by its box too.

    Source: arXiv 2403.16990, the loss of Bounded Guidance and the masks of Bounded Denoising, with
        the numbers of the authors' code. The paper replaces boxes by clusters of self-attention
        after guidance; here boxes bound to the end. The code also hides function words, counts the
        end token among a subject's words and lets it not reach the background.
    """

    step_size: NonNegative = 8.0
    step_range: tuple[NonNegative, NonNegative] = (1.0, 0.25)
    stop: NonNegative = 0.3
    refine_at: Pairs = ((0.0, 0.8),)
    max_refinements: Count = 4
    cross_weight: NonNegative = 1.5
    self_weight: NonNegative = 0.5
    bound_until: Fraction = 1.0
    with_attributes: bool = True

    name = "bounded-attention"
    paper = "Bounded Attention, arXiv 2403.16990"
    bibtex = """@inproceedings{dahary2024yourself,
  title     = {Be Yourself: Bounded Attention for Multi-Subject Text-to-Image Generation},
  author    = {Dahary, Omer and Patashnik, Or and Aberman, Kfir and Cohen-Or, Daniel},
  booktitle = {European Conference on Computer Vision},
  year      = {2024},
  note      = {arXiv:2403.16990}
}"""
    needs_boxes = True
    needs_self_attention = True

    @classmethod
    def official(cls) -> BoundedAttention:
        """The numbers of the authors' code for Stable Diffusion 1, in steps."""
        return cls(stop=15, in_steps=True, refine_at=((0, 0.8),), layers="up", nurses_repeats=True)

    def step_size_at(self, step: Step) -> float:
        """The factor of the gradient at a step, linear; 0 outside the window."""
        if not step.within(self.start, self.stop, self.in_steps):
            return 0.0
        first, last = (step_index(at, step.count, self.in_steps) for at in (self.start, self.stop))
        passed = (step.index - first) / max(last - first, 1)
        begin, end = self.step_range
        return self.step_size * (begin + (end - begin) * passed)

    def threshold_at(self, step: Step) -> float | None:
        """That of the last pair at or before a step."""
        return last_before(self.refine_at, step, self.in_steps)

    def loss(self, reading: Reading) -> Tensor:
        """(B,), the weighted sum over subjects of (1 - share of attention inside)²."""
        return torch.stack([self._of(reading, sample) for sample in range(len(reading))])

    def score(self, reading: Reading) -> Tensor:
        """(B,), one minus the mean loss of a subject."""
        counts = [max(len(boxed(own)), 1) for own in reading.subjects]
        loss = self.loss(reading)
        return 1 - loss / torch.tensor(counts).to(loss)

    def _of(self, reading: Reading, sample: int) -> Tensor:
        subjects = reading.subjects[sample]
        words = reading.aggregate()[sample].flatten(0, 1)
        image = reading.self_attention()[sample]
        inside = masks(subjects, reading.grid).to(words.device)
        outside = ~inside.any(0)
        total = words.new_zeros(())
        for (subject, _), own in zip(boxed(subjects), inside, strict=True):
            for weight, maps, context in (
                (self.cross_weight, words, list(subject.columns(self.with_attributes))),
                (self.self_weight, image, own),
            ):
                theirs = maps[:, context].sum(1)
                held, lost = theirs[own].sum(), theirs[outside].sum()
                total = total + weight * (1 - held / (held + len(inside) * lost)).square()
        return total

    def is_active(self, step: Step) -> bool:
        """While attention is bounded."""
        return step.within(0.0, self.bound_until)

    def edits(self, subjects: Subjects) -> bool:
        """Whether any subject has a box."""
        return any(boxed(own) for own in subjects)

    @property
    def edits_self_attention(self) -> bool:
        """Both kinds of attention are bounded."""
        return True

    def bias(self, context: LayerContext) -> Tensor:
        """The bound of words, (B, 1, N, T)."""
        bound = torch.zeros((len(context.subjects), math.prod(context.size), len(context.columns)))
        for sample, subjects in enumerate(context.subjects):
            inside = masks(subjects, context.size)
            for (subject, _), own in zip(boxed(subjects), inside, strict=True):
                hidden = ~own & inside.any(0) if context.is_nursing else ~own
                for column in subject.columns(self.with_attributes):
                    bound[sample, hidden, column] = _NEVER
        return bound.unsqueeze(1)

    def self_bias(self, context: LayerContext) -> Tensor:
        """The bound of boxes, (B, 1, N, N)."""
        bounds = []
        for subjects in context.subjects:
            inside = masks(subjects, context.size)
            boxes = inside.to(torch.float32)
            among, any_box = (boxes.mT @ boxes) > 0, inside.any(0)
            bounds.append(any_box[:, None] & any_box[None] & ~among)
        return torch.stack(bounds).unsqueeze(1) * _NEVER
