"""The search for initial noise: its mean and variance are learnt, and stay near 0 and 1.

Source: arXiv 2404.04650 and the code published with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Of Adam.
_EPSILON = 1e-3
# Noise may leave the standard normal distribution so far.
_MOST_DIVERGENCE = 1e-3
# Steps back to it after one step of the search; the authors' code has no limit and may hang.
_MOST_STEPS_BACK = 200

# From noise (1, ...) to its loss, (), and what it lacks; None where it lacks nothing.
Judge = Callable[[Tensor], tuple[Tensor, float] | None]


@dataclass(frozen=True)
class NoiseSearch:
    """How long the search goes on.

    Attributes:
        rounds: how many noises are tried, at least 1.
        iterations: steps of Adam in each.
        last_iterations: steps from the best of them, where all have failed.
        rate: of Adam.
    """

    rounds: int
    iterations: int
    last_iterations: int
    rate: float

    def find(self, noise: Tensor, judge: Judge) -> Tensor:
        """The first noise that lacks nothing, else the last one of the best round, (1, ...).

        Args:
            noise: where the search begins; it seeds the generator of further noise.
            judge: what is minimised.
        """
        seed = hashlib.sha256(noise.float().cpu().numpy().tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:4], "big"))
        tried = []
        for _ in range(self.rounds):
            found, lacking = self._round(noise, judge, self.iterations)
            if lacking is None:
                return found
            tried.append((lacking, len(tried), noise))
            drawn = torch.randn(noise.shape, generator=generator, dtype=torch.float32)
            noise = drawn.to(noise)
        return self._round(min(tried)[2], judge, self.last_iterations)[0]

    def _round(self, noise: Tensor, judge: Judge, iterations: int) -> tuple[Tensor, float | None]:
        """The noise after a search from one beginning, and what it lacks: None where nothing."""
        mean = torch.zeros_like(noise, requires_grad=True)
        log_variance = torch.zeros_like(noise, requires_grad=True)
        adam = torch.optim.Adam([mean, log_variance], lr=self.rate, eps=_EPSILON)
        lacking = torch.inf
        for _ in range(iterations):
            moved = noise * (log_variance / 2).exp() + mean
            judged = judge(moved)
            if judged is None:
                return moved.detach(), None
            loss, lacking = judged
            _step(adam, loss)
            for _ in range(_MOST_STEPS_BACK):
                left = _divergence(mean, log_variance)
                if left <= _MOST_DIVERGENCE:
                    break
                _step(adam, left)
        return (noise * (log_variance / 2).exp() + mean).detach(), lacking


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The mean Kullback-Leibler divergence from the standard normal distribution, ()."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


def _step(adam: torch.optim.Adam, loss: Tensor) -> None:
    """One step of the search."""
    parameters = adam.param_groups[0]["params"]
    slopes = torch.autograd.grad(loss, parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope
    adam.step()
