"""The optimizer of every stage: Muon for matrices and kernels, AdamW for the rest."""

from collections.abc import Iterable

import torch
from torch import nn


class Optimiser:
    """Muon (arXiv 2502.16982 scaling) on hidden weights, AdamW on embeddings, norms and biases.

    Convolution kernels are seen as matrices (out, in·height·width) that share their memory.

    Args:
        modules: what is trained.
        lr: the rate of both, as one would choose it for AdamW.
        steps: the length of the run; the rate rises over the first 2% and falls to zero by a
            half cosine.
    """

    def __init__(self, modules: Iterable[nn.Module], lr: float, steps: int) -> None:
        named = [pair for module in modules for pair in module.named_parameters()]
        hidden = [
            p
            for name, p in named
            if p.ndim >= 2 and min(p.shape[:2]) > 8 and "embedding" not in name
        ]
        chosen = {id(p) for p in hidden}
        self.kernels = [
            (p, nn.Parameter(p.data.view(p.shape[0], -1), requires_grad=False)) for p in hidden
        ]
        rest = [p for _, p in named if id(p) not in chosen]
        self.parameters = [*hidden, *rest]
        self.parts: dict[str, torch.optim.Optimizer] = {
            "muon": torch.optim.Muon(
                [matrix for _, matrix in self.kernels],
                lr=lr,
                weight_decay=0.01,
                adjust_lr_fn="match_rms_adamw",
            ),
            "adamw": torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.0),
        }
        self.lr, self.steps = lr, steps

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, 0.02 * self.steps))
        half_cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / self.steps)).item())
        return self.lr * min(warm, 1.0) * half_cosine

    def step(self, step: int) -> None:
        """Move the weights down the gradient, and forget the gradient."""
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for parameter, matrix in self.kernels:
            grad = parameter.grad
            matrix.grad = None if grad is None else grad.reshape(matrix.shape)
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = self.rate(step)
            part.step()
        for parameter in self.parameters:
            parameter.grad = None
