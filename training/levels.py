"""The levels of noise that trainings go on with: all of them, and where an image begins."""

import math

import torch
from torch import Tensor

# The share of noise, or of the schedule, of the first steps, and the part of a batch around it.
HIGH, HIGH_SHARE = 0.9, 0.25


def noise_levels(count: int, random: torch.Generator) -> Tensor:
    """Levels of noise (N) over (0, 1): logit-normal draws, a part of them around `HIGH`.

    The logit-normal alone (arXiv 2403.03206, section 3.1) has 0.4% beyond 0.936, where the
    first steps of an image lie.
    """
    shares = (torch.arange(count) + torch.rand(count, generator=random)) / count
    shares = shares[torch.randperm(count, generator=random)].clamp(1e-4, 1 - 1e-4)
    logits = torch.special.ndtri(shares)
    logits[: round(HIGH_SHARE * count)] += math.log(HIGH / (1 - HIGH))
    return torch.sigmoid(logits)[torch.randperm(count, generator=random)]
