"""Self-Cross Guidance: where one subject's cells look, no other subject may be attended.

Weimin Qiu, Jieke Wang, Meng Tang, "Self-Cross Diffusion Guidance for Text-to-Image Synthesis of
Similar Subjects", CVPR 2025, https://arxiv.org/abs/2411.18936

Shapes: B samples, S subjects of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.attention.maps import smooth
from adhere.methods import losses
from adhere.methods.base import SubjectMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import AUTHORS_LOOP, Pairs
from adhere.typed import NonNegative, typed

# Of the authors' code: levels of Otsu's threshold, the finest grid with raw maps, and what is
# added to a map's sum.
_LEVELS, _FINEST_RAW, _ADDED = 255, 16, 1e-4


@typed
class SelfCross(SubjectMethod):
    """Raises the weakest subject's peak, and parts self-attention from other subjects' maps.

    The self-attention of a subject is the mean over the cells in which it stands out (by Otsu's
    threshold), weighted by its map there.

    Attributes:
        refine_at: pairs (where in the loop, peak to be reached there).
        overlap: weight of the overlap of self- and cross-attention, which is in [0, 1].
        clean: weight of what a map has outside the blob of its peak, see `losses.outside_blob`.
        as_published: whether the overlap is that of the authors' code: self-attention smoothed,
            cross-attention as it is up to 16 cells a side, Otsu's threshold in 255 levels, and
            no overlap while a subject's peak is below 0.5.

    Source: arXiv 2411.18936, the self-cross loss, beside the loss of Attend-and-Excite. The
        authors' code adds it to InitNO's or CONFORM's; with `InitNO` it makes a sum. The code's
        alignment with a running mean of earlier maps (weight 0.1, refinements alone) is left out.
    """

    refine_at: Pairs = ((0.2, 0.8), (0.4, 0.8))
    overlap: NonNegative = 1.0
    clean: NonNegative = 0.0
    as_published: bool = False

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
        """The authors' loop on InitNO for Stable Diffusion 1, without its search."""
        return cls(
            **AUTHORS_LOOP,
            refine_at=((10, 0.8), (20, 0.8)),
            clean=0.1,
            as_published=True,
        )

    def loss(self, reading: Reading) -> Tensor:
        """(B,), what is missing to the weakest peak, plus the weighted overlap."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def score(self, reading: Reading) -> Tensor:
        """(B,), the peak of the weakest subject."""
        return torch.stack([peaks.amin() for peaks in self.peaks(reading)])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        maps = self.subject_maps(reading, sample)
        missing = losses.excitation(maps).amax()
        outside = self.clean * losses.outside_blob(maps, _LEVELS) if self.clean else 0.0
        if self.as_published and missing > 0.5:
            return missing + outside
        inside = torch.stack([losses.foreground(m, self._levels) for m in maps])
        weights = (maps * inside).flatten(1)
        looks = (weights @ reading.self_attention()[sample].to(weights)).unflatten(
            1, maps.shape[1:]
        )
        if self.as_published:
            looks = _shares(smooth(looks), _ADDED)
            attended = _shares(maps, _ADDED) if maps.shape[-2] > _FINEST_RAW else maps
        else:
            looks, attended = _shares(looks), _shares(maps)
        shared = torch.minimum(looks[:, None], attended).sum((-2, -1))
        others = ~torch.eye(len(maps), dtype=torch.bool, device=maps.device)
        return missing + outside + self.overlap * shared[others].mean()

    @property
    def _levels(self) -> int | None:
        return _LEVELS if self.as_published else None


def _shares(maps: Tensor, added: float = 0.0) -> Tensor:
    """Maps (S, H, W) over their sums, to which something may be added."""
    total = maps.sum((-2, -1), keepdim=True) + added
    return maps / total.clamp_min(torch.finfo(maps.dtype).tiny)
