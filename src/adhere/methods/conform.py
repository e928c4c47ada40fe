"""CONFORM: words of one subject attract each other, words of different subjects repel.

Tuna Han Salih Meral, Enis Simsar, Federico Tombari, Pinar Yanardag, "CONFORM: Contrast is All You
Need For High-Fidelity Text-to-Image Diffusion Models", CVPR 2024, https://arxiv.org/abs/2312.06059

Shapes: B samples, W words of a sample, H x W the grid of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.methods.base import ScheduledMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Pairs
from adhere.typed import NonNegative, Positive, typed


@typed
class Conform(ScheduledMethod):
    """A contrastive loss on maps: a noun and its attributes are one class, each subject its own.

    The maps of the nursed step before are further members of their classes. Raw probabilities are
    read, smoothed, so that `temperature` is None.

    Attributes:
        stop: where nursing ends.
        refine_at: pairs (where in the loop, minus the loss that is to be reached there). 0 is out
            of reach, so that all of `max_refinements` are spent, as the paper has it.
        contrast_temperature: of the contrastive loss.
        with_previous: whether the maps of the step before take part.

    Source: arXiv 2312.06059, the contrastive loss (NT-Xent), with the numbers of the authors'
        notebook.
        Their pipeline's own defaults differ from it (stop 25, and a softmax over tokens that
        scales the maps of the step before again and again).
    """

    stop: NonNegative = 0.6
    refine_at: Pairs = ((0.0, 0.0), (0.2, 0.0), (0.4, 0.0))
    temperature: Positive | None = None
    contrast_temperature: Positive = 0.5
    with_previous: bool = True

    name = "conform"
    least_subjects = 2
    paper = "CONFORM, arXiv 2312.06059"
    bibtex = """@inproceedings{meral2024conform,
  title     = {{CONFORM}: Contrast is All You Need For High-Fidelity Text-to-Image Diffusion Models},
  author    = {Meral, Tuna Han Salih and Simsar, Enis and Tombari, Federico and Yanardag, Pinar},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2024},
  note      = {arXiv:2312.06059}
}"""  # noqa: E501

    @classmethod
    def official(cls) -> Conform:
        """The authors' schedule in steps, PNDM's repeated call too."""
        return cls(
            stop=30,
            refine_at=((0, 0.0), (10, 0.0), (20, 0.0)),
            in_steps=True,
            nurses_repeats=True,
        )

    def loss(self, reading: Reading) -> Tensor:
        """(B,), at least 0; 0 where no class has two members."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        members, classes = self._members(reading, sample)
        if self.with_previous and reading.previous is not None:
            former, same = self._members(reading.previous, sample)
            members, classes = torch.cat([members, former]), torch.cat([classes, same])
        unit = F.normalize(members, dim=-1)
        closeness = unit @ unit.T / self.contrast_temperature
        is_same = classes[:, None] == classes
        anchors, positives = (is_same & ~torch.eye(len(unit)).bool().to(is_same)).nonzero().T
        repelling = closeness.masked_fill(is_same, -torch.inf).logsumexp(-1)[anchors]
        attracting = closeness[anchors, positives]
        losses = torch.logaddexp(attracting, repelling) - attracting
        return losses.sum() / max(len(losses), 1)

    def _members(self, reading: Reading, sample: int) -> tuple[Tensor, Tensor]:
        """The maps of all words, (W, H * W), and the subject of each, (W,)."""
        words = [
            (index, word.token_indices)
            for index, subject in enumerate(reading.subjects[sample])
            for word in subject.words
        ]
        maps = [
            reading.word(sample, columns, temperature=self.temperature).flatten()
            for _, columns in words
        ]
        classes = torch.tensor([index for index, _ in words], device=maps[0].device)
        return torch.stack(maps), classes
