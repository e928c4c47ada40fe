"""A-STAR: subjects keep apart, and each keeps the place that it had one step before.

Aishwarya Agarwal, Srikrishna Karanam, K J Joseph, Apoorv Saxena, Koustava Goswami, Balaji Vasan
Srinivasan, "A-STAR: Test-time Attention Segregation and Retention for Text-to-image Synthesis",
ICCV 2023, https://arxiv.org/abs/2306.14544

Shapes: B samples, S subjects of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import SubjectMethod
from adhere.methods.reading import Reading
from adhere.typed import NonNegative, typed


@typed
class AStar(SubjectMethod):
    """Lowers the overlap of subjects, and retains where each was at the nursed step before.

    Attributes:
        segregation: weight of the overlap of subjects.
        retention: weight of the part of a subject's last place that it has left.

    Source: arXiv 2306.14544, the attention segregation and the attention retention loss. No code
        is published. The numbers of the schedule are those of Attend-and-Excite, and a subject's
        last place is made of its map by Otsu's threshold.
    """

    segregation: NonNegative = 1.0
    retention: NonNegative = 1.0

    name = "a-star"
    paper = "A-STAR, arXiv 2306.14544"
    bibtex = """@inproceedings{agarwal2023astar,
  title     = {{A-STAR}: Test-time Attention Segregation and Retention for Text-to-image Synthesis},
  author    = {Agarwal, Aishwarya and Karanam, Srikrishna and Joseph, K J and Saxena, Apoorv and Goswami, Koustava and Srinivasan, Balaji Vasan},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision},
  year      = {2023},
  note      = {arXiv:2306.14544}
}"""  # noqa: E501

    @classmethod
    def official(cls) -> AStar:
        """The same: no code is published."""
        return cls()

    def loss(self, reading: Reading) -> Tensor:
        """(B,), the overlap of all pairs of subjects, and what each has left of its place."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        maps = self.subject_maps(reading, sample)
        first, second = losses.pairs(len(maps))
        loss = self.segregation * losses.overlap(maps[first], maps[second]).sum()
        if reading.previous is None:
            return loss
        former = self.subject_maps(reading.previous, sample)
        places = [losses.foreground(one) for one in former]
        kept = losses.overlap(maps, torch.stack(places).to(maps))
        return loss + self.retention * (1 - kept).sum()
