"""SAGA: learn, at one step, a distribution of latents whose samples attend to every subject.

Paul Grimal, Michaël Soumm, Hervé Le Borgne, Olivier Ferret, Akihiro Sugimoto, "SAGA: Learning
Signal-Aligned Distributions for Improved Text-to-Image Generation",
https://arxiv.org/abs/2508.13866

Shapes: B samples, S subjects, H x W the grid of the maps.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from adhere.methods import losses
from adhere.methods.base import Read, SubjectMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step, step_index
from adhere.typed import Count, NonNegative, PositiveCount, typed


@typed
class SAGA(SubjectMethod):
    """Moves the mean of the latents' distribution until samples of it show every subject apart.

    At the step `start` gradient descent with momentum learns the mean, each time on several fresh
    samples. The image goes on from there with its own noise.

    Attributes:
        step_size: of the descent, and of updates after it where `stop` lies behind `start`.
        start: at which step the mean is learnt; 5 of 28 for Stable Diffusion 3.
        stop: until where the same loss moves latents afterwards; `start` for not at all.
        momentum: of the descent; 0.7 for Stable Diffusion 3.
        rounds: of the descent; 0 for none.
        draws: samples of the distribution in each; 4 for Stable Diffusion 3.
        rescales: whether the mean may not spread further than the signal in the latents.
        seed: of the draws, the same for every sample of a batch.

    Source: arXiv 2508.13866, with the numbers of the authors' code. There the mean begins from the
        predicted image's mean and the final noise is drawn anew; here it begins from the latents'
        mean, which is the same up to noise, and their own noise stays, so that a step size of 0
        changes nothing. The spread of the signal is what the latents have beyond their noise.
    """

    start: NonNegative = 0.2
    stop: NonNegative = 0.2
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.4
    rounds: Count = 50
    draws: PositiveCount = 10
    rescales: bool = True
    seed: Count = 0

    name = "saga"
    paper = "SAGA, arXiv 2508.13866"
    bibtex = """@article{grimal2025saga,
  title   = {{SAGA}: Learning Signal-Aligned Distributions for Improved Text-to-Image Generation},
  author  = {Grimal, Paul and Soumm, Micha{\\"e}l and Le Borgne, Herv{\\'e} and Ferret, Olivier and Sugimoto, Akihiro},
  journal = {arXiv preprint arXiv:2508.13866},
  year    = {2025}
}"""  # noqa: E501

    @classmethod
    def official(cls) -> SAGA:
        """The authors' numbers, in steps."""
        return cls(start=10, stop=10, in_steps=True)

    def searches_at(self, step: Step) -> bool:
        """At one step."""
        at = step_index(self.start, step.count, self.in_steps)
        return self.rounds > 0 and step.index == min(at, step.count - 1)

    def search(self, latents: Tensor, read: Read, step: Step) -> Tensor:
        """The latents with the learnt mean in place of theirs, (B, ...)."""
        everyone = range(len(latents))
        within = (1,) if latents.ndim == 3 else tuple(range(2, latents.ndim))
        everywhere = tuple(range(1, latents.ndim))
        first = latents.mean(within, keepdim=True).expand_as(latents)
        signal = (latents.std(everywhere, keepdim=True).square() - step.noise**2).clamp_min(0)
        widest = torch.maximum(signal.sqrt(), first.std(everywhere, keepdim=True))
        mean, speed = first.clone(), torch.zeros_like(first)
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.rounds):
            slope = torch.zeros_like(mean)
            for _ in range(self.draws):
                noise = torch.randn(latents.shape[1:], generator=generator).to(latents)
                leaf = (mean + step.noise * noise).requires_grad_()
                (own,) = torch.autograd.grad(self.loss(read(leaf, everyone)).sum(), leaf)
                slope += own / self.draws
            speed = self.momentum * speed + slope
            mean = mean - self.step_size * speed
            if self.rescales:
                spread = mean.std(everywhere, keepdim=True).clamp_min(1e-12)
                # Left as it is where nothing is too wide, to the bit.
                mean = torch.where(spread > widest, mean * (widest / spread), mean)
        return latents + (mean - first)

    def loss(self, reading: Reading) -> Tensor:
        """(B,), half of what the weakest subject lacks and half of the mean overlap of pairs."""
        found = []
        for sample in range(len(reading)):
            maps = self.subject_maps(reading, sample)
            found.append((losses.excitation(maps).amax() + losses.mean_overlap(maps)) / 2)
        return torch.stack(found)

    def score(self, reading: Reading) -> Tensor:
        """(B,), one minus the loss."""
        return 1 - self.loss(reading)
