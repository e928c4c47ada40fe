"""Attend-and-Excite: every subject must dominate some patch of the image.

Hila Chefer, Yuval Alaluf, Yael Vinker, Lior Wolf, Daniel Cohen-Or, "Attend-and-Excite:
Attention-Based Semantic Guidance for Text-to-Image Diffusion Models", SIGGRAPH 2023,
https://arxiv.org/abs/2301.13826
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.attention.maps import Pieces, smooth, together
from adhere.methods import losses
from adhere.methods.base import ScheduledMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Pairs
from adhere.subjects.subject import Subject
from adhere.typed import typed


@typed
class AttendAndExcite(ScheduledMethod):
    """Raises the highest attention of the most neglected subject.

    Attributes:
        refine_at: pairs (where in the loop, peak to be reached there).
        smoothed: whether maps are smoothed before their peak is taken.
        pieces: how the tokens of one word become one map.
        with_attributes: whether a subject's map is the one of its whole phrase, see `together`, so
            that its peak must be where it is and its attributes are. Ours; thresholds are then
            compared with that peak.

    Source: arXiv 2301.13826, the loss of the most neglected subject and the iterative refinement,
        with the numbers of the authors' code. It updates once more when a threshold is found
        reached, nurses PNDM's repeated call too, and counts in steps, which are off here and on in
        `official()`.
    """

    refine_at: Pairs = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
    smoothed: bool = True
    pieces: Pieces = "mean"
    with_attributes: bool = False

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
        return cls(
            stop=25,
            refine_at=((0, 0.05), (10, 0.5), (20, 0.8)),
            in_steps=True,
            updates_on_exit=True,
            nurses_repeats=True,
        )

    def loss(self, reading: Reading) -> Tensor:
        """(B,), one minus the peak of the most neglected subject."""
        return torch.stack([losses.excitation(own).amax() for own in self._subjects(reading)])

    def score(self, reading: Reading) -> Tensor:
        """(B,), the peak of the most neglected subject."""
        return torch.stack([peaks.amin() for peaks in self.peaks(reading)])

    def maps(self, reading: Reading) -> Tensor:
        """Attention after this method's softmax, (B, H, W, T), smoothed if its peaks are."""
        read = reading.smoothed if self.smoothed else reading.normalised
        return read(self.temperature)

    def peaks(self, reading: Reading) -> list[Tensor]:
        """For each sample the highest attention of each of its subjects, in 0...1."""
        return [own.amax((-2, -1)) for own in self._subjects(reading)]

    def _subjects(self, reading: Reading) -> list[Tensor]:
        """For each sample the maps of its subjects, (S, H, W)."""
        return [
            torch.stack([self._map(reading, sample, subject) for subject in subjects])
            for sample, subjects in enumerate(reading.subjects)
        ]

    def _map(self, reading: Reading, sample: int, subject: Subject) -> Tensor:
        """The map of a subject, (H, W)."""
        words = subject.words if self.with_attributes else (subject,)
        is_phrase = len(words) > 1
        maps = [
            reading.word(
                sample,
                word.token_indices,
                temperature=self.temperature,
                smoothed=self.smoothed and not is_phrase,
                pieces=self.pieces,
            )
            for word in words
        ]
        if not is_phrase:
            return maps[0]
        phrase = together(torch.stack(maps))
        return smooth(phrase) if self.smoothed else phrase
