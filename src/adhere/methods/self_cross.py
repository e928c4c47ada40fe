"""Self-Cross Guidance: where one subject's cells look, no other subject may be attended.

Weimin Qiu, Jieke Wang, Meng Tang, "Self-Cross Diffusion Guidance for Text-to-Image Synthesis of
Similar Subjects", CVPR 2025, https://arxiv.org/abs/2411.18936

Shapes: B samples, S subjects of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import ScheduledMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Pairs
from adhere.typed import NonNegative, typed


@typed
class SelfCross(ScheduledMethod):
    """Raises the weakest subject's peak, and parts self-attention from other subjects' maps.

    The self-attention of a subject is the mean over the cells in which it stands out (by Otsu's
    threshold), weighted by its map there.

    Attributes:
        refine_at: pairs (where in the loop, peak to be reached there).
        overlap: weight of the overlap of self- and cross-attention.

    Source: arXiv 2411.18936, the self-cross loss, beside the loss of Attend-and-Excite. The
        authors' code adds it to InitNO's or CONFORM's; with `InitNO` it makes a sum.
    """

    refine_at: Pairs = ((0.2, 0.8), (0.4, 0.8))
    overlap: NonNegative = 1.0

    name = "self-cross"
    needs_self_attention = True
    least_subjects = 2
    paper = "Self-Cross Guidance, arXiv 2411.18936"
    bibtex = """@inproceedings{qiu2025selfcross,
  title     = {Self-Cross Diffusion Guidance for Text-to-Image Synthesis of Similar Subjects},
  author    = {Qiu, Weimin and Wang, Jieke and Tang, Meng},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2025},
  note      = {arXiv:2411.18936}
}"""

    @classmethod
    def official(cls) -> SelfCross:
        """The authors' schedule of Stable Diffusion 1: 25 steps, refined at 10 and 20."""
        return cls(
            stop=25,
            refine_at=((10, 0.8), (20, 0.8)),
            in_steps=True,
            updates_on_exit=True,
            nurses_repeats=True,
        )

    def loss(self, reading: Reading) -> Tensor:
        """(B,), what is missing to the weakest peak, plus the weighted overlap."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def score(self, reading: Reading) -> Tensor:
        """(B,), the peak of the weakest subject."""
        return torch.stack([peaks.amin() for peaks in self.peaks(reading)])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        maps = reading.subject_maps(sample, temperature=self.temperature)
        inside = torch.stack([losses.foreground(one) for one in maps])
        weights = (maps * inside).flatten(1)
        looks = _shares(weights @ reading.self_attention()[sample].to(weights))
        shared = torch.minimum(looks[:, None], _shares(maps.flatten(1))).sum(-1)
        others = ~torch.eye(len(maps), dtype=torch.bool, device=maps.device)
        return losses.excitation(maps).amax() + self.overlap * shared[others].mean()


def _shares(maps: Tensor) -> Tensor:
    """Maps (S, N) as distributions over the cells."""
    return maps / maps.sum(-1, keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
