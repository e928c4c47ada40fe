"""InitNO: initial noise in which every subject is seen, and none looks like another.

Xiefan Guo, Jinlin Liu, Miaomiao Cui, Jiankai Li, Hongyu Yang, Di Huang, "InitNO: Boosting
Text-to-Image Diffusion Models via Initial Noise Optimization", CVPR 2024,
https://arxiv.org/abs/2404.04650

Shapes: B samples, S subjects of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from adhere.attention.maps import smooth
from adhere.methods import losses
from adhere.methods.base import Read, SubjectMethod
from adhere.methods.noise_search import NoiseSearch
from adhere.methods.reading import Reading
from adhere.methods.schedule import AUTHORS_LOOP, Pairs, Step
from adhere.typed import Count, Fraction, NonNegative, PositiveCount, typed


@typed
class InitNO(SubjectMethod):
    """Searches for initial noise whose first maps have strong, separate subjects, then nurses on.

    Of the noise, a mean and a logarithm of the variance are learnt for each number, which stay
    near 0. A search that fails begins again with new noise. The steps then raise the weakest
    subject's peak; `InitNO(stop=0)` is the search alone.

    Attributes:
        refine_at: pairs (where in the loop, peak to be reached there).
        most_overlap: of the subjects' self-attention, above which the search goes on and the
            score is 0.
        least_peak: of the weakest subject, which ends the search.
        rounds: how many noises are tried; 0 for no search.
        iterations: steps of the search in each.
        last_iterations: steps of the search in the best of them, where all have failed.
        rate: of the search's Adam.
        clean_search: weight, in the search, of what a map has outside the blob of its peak.
        clean_refining: the same in refinements.
        levels: of Otsu's threshold, which finds the blob, see `losses.foreground`.

    Source: arXiv 2404.04650, the response scores of cross- and self-attention. As the authors'
        code does, the search takes steps of its own back to the normal distribution, where the
        paper has one joint loss. The code's weights for maps outside a
        blob are in `official`; its alignment with a running mean of earlier maps (weight 0.1) is
        left out. New noise is drawn from a generator that each sample's noise seeds.
    """

    refine_at: Pairs = ((0.2, 0.8), (0.4, 0.8))
    most_overlap: NonNegative = 0.3
    least_peak: Fraction = 0.8
    rounds: Count = 5
    iterations: Count = 10
    last_iterations: Count = 50
    rate: NonNegative = 0.01
    clean_search: NonNegative = 0.0
    clean_refining: NonNegative = 0.0
    levels: PositiveCount | None = None

    name = "initno"
    needs_self_attention = True
    needs_noise = True
    paper = "InitNO, arXiv 2404.04650"
    bibtex = """@inproceedings{guo2024initno,
  title     = {{InitNO}: Boosting Text-to-Image Diffusion Models via Initial Noise Optimization},
  author    = {Guo, Xiefan and Liu, Jinlin and Cui, Miaomiao and Li, Jiankai and Yang, Hongyu and Huang, Di},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2024},
  note      = {arXiv:2404.04650}
}"""  # noqa: E501

    @classmethod
    def official(cls) -> InitNO:
        """The authors' schedule and their weights for maps outside a blob."""
        return cls(
            **AUTHORS_LOOP,
            refine_at=((10, 0.8), (20, 0.8)),
            clean_search=1.0,
            clean_refining=0.1,
            levels=255,
        )

    @property
    def searches(self) -> bool:
        """Whether any noise is tried."""
        return self.rounds > 0

    def loss(self, reading: Reading) -> Tensor:
        """(B,), what is missing to the weakest peak."""
        return torch.stack([losses.excitation(own).amax() for own in self._subjects(reading)])

    def refining_loss(self, reading: Reading) -> Tensor:
        """(B,), with the overlap of the subjects' self-attention."""
        clean = self.clean_refining * self._outside(reading) if self.clean_refining else 0.0
        return self.loss(reading) + self._overlap(reading) + clean

    def score(self, reading: Reading) -> Tensor:
        """(B,), the peak of the weakest subject; 0 where self-attention overlaps too much."""
        is_apart = self._overlap(reading) <= self.most_overlap
        return (1 - self.loss(reading)) * is_apart

    def search(self, latents: Tensor, read: Read, step: Step) -> Tensor:
        """The noise that is found, (B, ...)."""
        search = NoiseSearch(self.rounds, self.iterations, self.last_iterations, self.rate)
        judges = [partial(self._judged, read, sample) for sample in range(len(latents))]
        return torch.cat([search.find(latents[[i]], judge) for i, judge in enumerate(judges)])

    def _judged(self, read: Read, sample: int, noise: Tensor) -> tuple[Tensor, float] | None:
        """The loss of a sample's noise and what it lacks, or None where it lacks nothing."""
        reading = read(noise, [sample])
        missing, overlap = self.loss(reading)[0], self._overlap(reading)[0]
        if missing < 1 - self.least_peak and overlap < self.most_overlap:
            return None
        loss = missing + (overlap if missing <= 0.5 else 0.0)
        if self.clean_search:
            loss = loss + self.clean_search * self._outside(reading)[0]
        return loss, float((missing + overlap).detach())

    def _subjects(self, reading: Reading) -> list[Tensor]:
        """For each sample the maps of its subjects, (S, H, W)."""
        return [self.subject_maps(reading, sample) for sample in range(len(reading))]

    def _overlap(self, reading: Reading) -> Tensor:
        """(B,), the mean overlap of the self-attention of two subjects' peaks, in [0, 0.5]."""
        found = []
        for maps, looks in zip(self._subjects(reading), reading.self_attention(), strict=True):
            own = smooth(looks[maps.flatten(1).argmax(-1)].unflatten(-1, reading.grid))
            found.append(losses.mean_overlap(own))
        return torch.stack(found)

    def _outside(self, reading: Reading) -> Tensor:
        """(B,), what the maps of each sample have outside the blobs of their peaks."""
        return torch.stack(
            [losses.outside_blob(own, self.levels) for own in self._subjects(reading)]
        )
