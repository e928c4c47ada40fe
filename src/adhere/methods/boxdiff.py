"""BoxDiff: attend-and-excite inside boxes that the user gives.

Jinheng Xie, Yuexiang Li, Yawen Huang, Haozhe Liu, Wentian Zhang, Yefeng Zheng, Mike Zheng Shou,
"BoxDiff: Text-to-Image Synthesis with Training-Free Box-Constrained Diffusion", ICCV 2023,
https://arxiv.org/abs/2307.10816

Shapes: B samples, H x W the grid of the maps.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt, Le
from torch import Tensor

from adhere.methods.base import SubjectMethod
from adhere.methods.boxes import Box, cells, edges
from adhere.methods.reading import Reading
from adhere.methods.schedule import AUTHORS_LOOP, Pairs
from adhere.typed import Count, typed


@typed
class BoxDiff(SubjectMethod):
    """Raises each subject's attention inside its box and lowers it outside.

    Subjects without a box are left alone.

    Attributes:
        refine_at: pairs (where in the loop, mean attention inside the box to be reached there).
        share: of a box's cells, and of those outside, that a mean is taken over: the strongest.
        corner: cells beside each edge in which the map must end as the box does.

    Source: arXiv 2307.10816, the inner-box, the outer-box and the corner constraint, with the
        numbers of the authors' code. In the code's update after a refinement the terms outside the
        box and at its corners come from the maps before it and have no gradient; here they are
        computed again.
    """

    refine_at: Pairs = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
    share: Annotated[float, Gt(0), Le(1)] = 0.2
    corner: Count = 1

    name = "boxdiff"
    paper = "BoxDiff, arXiv 2307.10816"
    bibtex = """@inproceedings{xie2023boxdiff,
  title     = {{BoxDiff}: Text-to-Image Synthesis with Training-Free Box-Constrained Diffusion},
  author    = {Xie, Jinheng and Li, Yuexiang and Huang, Yawen and Liu, Haozhe and Zhang, Wentian and Zheng, Yefeng and Shou, Mike Zheng},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision},
  year      = {2023},
  note      = {arXiv:2307.10816}
}"""  # noqa: E501
    needs_boxes = True

    @classmethod
    def official(cls) -> BoxDiff:
        """The authors' behaviour, step for step."""
        return cls(**AUTHORS_LOOP, refine_at=((0, 0.05), (10, 0.5), (20, 0.8)))

    def loss(self, reading: Reading) -> Tensor:
        """(B,), the sum over subjects of the terms inside, outside and at the corners."""
        return torch.stack(
            [
                sum(
                    (self._of(own, box) for own, box in self._boxed(reading, sample)),
                    reading.aggregate().new_zeros(()),
                )
                for sample in range(len(reading))
            ]
        )

    def score(self, reading: Reading) -> Tensor:
        """(B,), the mean attention inside its box of the most neglected subject."""
        found = []
        for sample in range(len(reading)):
            inner = [self._inner(own, box) for own, box in self._boxed(reading, sample)]
            found.append(torch.stack(inner).amin() if inner else reading.aggregate().new_ones(()))
        return torch.stack(found)

    def _boxed(self, reading: Reading, sample: int) -> list[tuple[Tensor, Box]]:
        """The map of each subject that has a box, (H, W), and the box."""
        maps = zip(self.subject_maps(reading, sample), reading.subjects[sample], strict=True)
        return [(own, subject.box) for own, subject in maps if subject.box is not None]

    def _of(self, own: Tensor, box: Box) -> Tensor:
        """The loss of one subject: inside and outside of the box, and at its corners."""
        inner = (1 - self._inner(own, box)).clamp_min(0)
        inside = cells(box, _size(own)).to(own.device)
        outer = self._strongest(own[~inside]) if not inside.all() else own.new_zeros(())
        left, top, right, bottom = edges(box, _size(own))
        return (
            inner
            + outer
            + self._ends(own.amax(0), left, right)
            + self._ends(own.amax(1), top, bottom)
        )

    def _inner(self, own: Tensor, box: Box) -> Tensor:
        return self._strongest(own[cells(box, _size(own)).to(own.device)])

    def _strongest(self, values: Tensor) -> Tensor:
        """The mean of the largest share of some values, at least of one."""
        return values.topk(max(int(self.share * len(values)), 1)).values.mean()

    def _ends(self, profile: Tensor, first: int, last: int) -> Tensor:
        """How a side's profile differs from the box's around the two edges."""
        places = torch.arange(len(profile), device=profile.device)
        wanted = ((places >= first) & (places < last)).to(profile)
        near = ((places - first).abs() <= self.corner) | ((places - last).abs() <= self.corner)
        return ((profile - wanted).abs() * near).mean()


def _size(own: Tensor) -> tuple[int, int]:
    height, width = own.shape
    return height, width
