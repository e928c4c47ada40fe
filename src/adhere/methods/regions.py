"""Regions: every subject stays inside the box that the user draws for it.

Ours, in the manner of regional prompting: the columns of a subject and of its attributes are
attended inside the subject's box alone. No pass of the denoiser is added and no gradient taken.
Nearest published work: Bounded Attention (arXiv 2403.16990).

Shapes: B samples, N image queries, T text columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.boxes import boxed, closeness
from adhere.methods.reading import Subjects
from adhere.methods.schedule import Step, check_window
from adhere.typed import Fraction, NonNegative, typed


@typed
class Regions(AttentionMethod):
    """Lowers a subject's scores outside its box, by a slope at the box's edges.

    Words without a box keep their scores, and text does not attend to text otherwise than before.
    A word that belongs to several subjects is attended in all of their boxes.

    Attributes:
        strength: what is taken from scores outside; attention falls by the factor
            exp(-strength) there.
        softness: width of the slope around a box, in sides of the image; 0 for a hard edge.
        with_attributes: whether a subject's attributes are kept in its box too.
        start: fraction of the loop at which regions begin.
        stop: fraction of the loop at which they are released.
    """

    strength: NonNegative = 9.0
    softness: Fraction = 0.05
    with_attributes: bool = True
    start: Fraction = 0.0
    stop: Fraction = 1.0

    name = "regions"
    needs_boxes = True

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @classmethod
    def official(cls) -> Regions:
        """The same: the method is ours."""
        return cls()

    def is_active(self, step: Step) -> bool:
        """Whether this step lies in the window."""
        return step.within(self.start, self.stop)

    def edits(self, subjects: Subjects) -> bool:
        """Whether any subject has a box, and the strength is above 0."""
        return self.strength > 0 and any(boxed(own) for own in subjects)

    def bias(self, context: LayerContext) -> Tensor:
        """What is taken from scores, (B, 1, N, T)."""
        key = "bias", context.size, context.device
        if key not in context.shared:
            near = [self._near(context, sample) for sample in range(len(context.subjects))]
            lowered = self.strength * (torch.stack(near) - 1)
            context.shared[key] = lowered.flatten(2).mT.unsqueeze(1).to(context.device)
        return context.shared[key]

    def _near(self, context: LayerContext, sample: int) -> Tensor:
        """How near each column is to its box, (T, H, W); 1 for columns without one."""
        near: dict[int, Tensor] = {}
        for subject, box in boxed(context.subjects[sample]):
            own = closeness(box, context.size, self.softness)
            for column in subject.columns(self.with_attributes):
                near[column] = torch.maximum(near[column], own) if column in near else own
        found = torch.ones((len(context.columns), *context.size))
        for column, own in near.items():
            found[column] = own
        return found
