"""FOCUS: words of one subject look at one place, subjects at different ones, in flow models.

Eric Tillmann Bill, Enis Simsar, Thomas Hofmann, "Optimal Control Meets Flow Matching: A Principled
Route to Multi-Subject Fidelity", 2025, https://arxiv.org/abs/2510.02315

Shapes: B samples, H x W the grid of the maps, T text columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import FlowSchedule, Schedule, check_window
from adhere.typed import Fraction, NonNegative, typed

# Of the Gaussian that maps are smoothed by, in cells squared.
_VARIANCE = 1.0
# Maps are raised to this power, which brings out their peaks.
_POWER = 3


@typed
class Focus(LatentMethod):
    """Lowers the Jensen-Shannon divergence within subjects, and raises that between them.

    Made for flow matching, and for raw probabilities of joint attention. Time is read from the
    timestep, so that U-Nets have it too.

    Attributes:
        step_size: strength of the control, lambda; the paper tries 1 to 5.
        start: fraction of the loop at which nursing begins.
        stop: fraction of the loop at which it ends.

    Source: arXiv 2510.02315, with the sign of its text: the cost goes down. The authors'
        code adds the control for SD3 and subtracts it for FLUX, where it so raises the cost.
    """

    step_size: NonNegative = 1.0
    start: Fraction = 0.0
    stop: Fraction = 1.0
    layers: str = "default"

    name = "focus"
    least_subjects = 2
    paper = "FOCUS, arXiv 2510.02315"
    bibtex = """@article{bill2025focus,
  title   = {Optimal Control Meets Flow Matching: A Principled Route to Multi-Subject Fidelity},
  author  = {Bill, Eric Tillmann and Simsar, Enis and Hofmann, Thomas},
  journal = {arXiv preprint arXiv:2510.02315},
  year    = {2025},
  note    = {Version 2: FOCUS: Optimal Control for Multi-Entity World Modeling in Text-to-Image Generation}
}"""  # noqa: E501

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @classmethod
    def official(cls) -> Focus:
        """The same: the authors' code differs by its sign alone, which is taken for a slip."""
        return cls()

    @property
    def schedule(self) -> Schedule:
        """The step size follows the flow's time."""
        return FlowSchedule(step_size=self.step_size, start=self.start, stop=self.stop)

    def maps(self, reading: Reading) -> Tensor:
        """Raw probabilities, smoothed, (B, H, W, T)."""
        return reading.smoothed(None, variance=_VARIANCE)

    def loss(self, reading: Reading) -> Tensor:
        """(B,), in [0, 1]; 0 where each subject's words agree and no two subjects share a cell."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        maps = self.maps(reading)[sample].flatten(0, 1).T
        within, middles = [], []
        for subject in reading.subjects[sample]:
            own = torch.stack([maps[list(one.token_indices)].mean(0) for one in subject.words])
            own = own / own.amax(-1, keepdim=True).clamp_min(torch.finfo(own.dtype).tiny)
            shares = own.pow(_POWER) / own.pow(_POWER).sum(-1, keepdim=True)
            within.append(losses.divergence(shares))
            middles.append(shares.mean(0))
        return (torch.stack(within).mean() + 1 - losses.divergence(torch.stack(middles))) / 2
