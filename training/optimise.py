"""The optimizer of every stage: Muon for matrices and kernels, AdamW for the rest."""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Newton and Schulz's quintic with Muon's coefficients: singular values end near 1.
QUINTIC = (3.4445, -4.7750, 2.0315)
# A transformer's last layer starts from zero, and Muon's even steps leave zero slowly.
OUTPUTS = ("proj_out.weight",)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearly orthogonal matrices of the same singular vectors, (N, R, C) with R at most C.

    Every iterate is a polynomial of the Gram matrix times the start. Of wide matrices only the
    polynomial (R, R) is iterated, which is cheaper; all in their own precision.

    Args:
        matrices: any.
        steps: of the iteration.
    """
    a, b, c = QUINTIC
    x = matrices / (matrices.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    if x.shape[2] < 2 * x.shape[1]:
        for _ in range(steps):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x
    gram, product = x @ x.mT, None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            gram = factor @ gram @ factor
    return product @ x


class Muon(torch.optim.Optimizer):
    """Muon (Jordan 2024) with the scale of arXiv 2502.16982 and Nesterov's momentum.

    `torch.optim.Muon` computes in bfloat16 whatever the machine; this one in the parameters'
    own precision, matrices of one shape together.

    Args:
        params: matrices, or kernels that are seen as matrices (out, all else).
        lr: as one would choose it for AdamW.
        momentum: of the gradient.
        weight_decay: decoupled.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Move the matrices that have a gradient."""
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                grad, buffer = parameter.grad, state["momentum_buffer"]
                buffer.lerp_(grad, 1 - group["momentum"])
                update = grad.lerp(buffer, group["momentum"]).flatten(1)
                wide = update if update.shape[0] <= update.shape[1] else update.T
                shapes[tuple(wide.shape)].append((parameter, wide))
            for shape, members in shapes.items():
                scale = 0.2 * math.sqrt(max(shape))
                found = orthogonal(torch.stack([wide for _, wide in members]))
                for (parameter, _), wide in zip(members, found, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    tall = wide if parameter.flatten(1).shape == wide.shape else wide.T
                    parameter.add_(tall.reshape(parameter.shape), alpha=-group["lr"] * scale)


def half_cosine(step: int, lr: float, steps: int) -> float:
    """A rate that rises over the first 2% of the steps and falls to zero by a half cosine."""
    warm = min(1.0, (step + 1) / max(1, 0.02 * steps))
    return lr * warm * 0.5 * (1 + math.cos(math.pi * step / steps))


class Optimiser:
    """Muon on hidden weights, AdamW on embeddings, norms, modulations, outputs and biases.

    Args:
        modules: what is trained.
        lr: the rate of both, as one would choose it for AdamW.
    """

    def __init__(self, modules: Iterable[nn.Module], lr: float) -> None:
        named = [pair for module in modules for pair in module.named_parameters()]
        hidden = [
            p
            for name, p in named
            if p.ndim >= 2
            and min(p.shape[:2]) > 8
            and "embedding" not in name
            and "norm" not in name
            and name not in OUTPUTS
        ]
        chosen = {id(p) for p in hidden}
        rest = [p for _, p in named if id(p) not in chosen]
        self.parameters = [*hidden, *rest]
        self.parts: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(hidden, lr),
            "adamw": torch.optim.AdamW(
                rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.0, foreach=True
            ),
        }

    def step(self, rate: float) -> None:
        """Move the weights down the gradient at a learning rate, and forget the gradient."""
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
        for parameter in self.parameters:
            parameter.grad = None
