"""Attend-and-Excite: every subject must dominate some patch of the image.

Hila Chefer, Yuval Alaluf, Yael Vinker, Lior Wolf, Daniel Cohen-Or, "Attend-and-Excite:
Attention-Based Semantic Guidance for Text-to-Image Diffusion Models", SIGGRAPH 2023,
https://arxiv.org/abs/2301.13826
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import SubjectMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import AUTHORS_LOOP, Pairs
from adhere.typed import typed


@typed
class AttendAndExcite(SubjectMethod):
    """Raises the highest attention of the most neglected subject.

    Attributes:
        refine_at: pairs (where in the loop, peak to be reached there).

    Source: arXiv 2301.13826, the loss of the most neglected subject and the iterative refinement,
        with the numbers of the authors' code. It updates once more when a threshold is found
        reached, nurses PNDM's repeated call too, and counts in steps, which are off here and on in
        `official()`.
    """

    refine_at: Pairs = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))

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

    @classmethod
    def official(cls) -> AttendAndExcite:
        """The authors' behaviour, step for step."""
        return cls(**AUTHORS_LOOP, refine_at=((0, 0.05), (10, 0.5), (20, 0.8)))

    def loss(self, reading: Reading) -> Tensor:
        """(B,), one minus the peak of the most neglected subject."""
        maps = [self.subject_maps(reading, sample) for sample in range(len(reading))]
        return torch.stack([losses.excitation(own).amax() for own in maps])

    def score(self, reading: Reading) -> Tensor:
        """(B,), the peak of the most neglected subject."""
        return torch.stack([peaks.amin() for peaks in self.peaks(reading)])
