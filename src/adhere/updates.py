"""Moving latents: pure functions of latents and of a way to read what they make of attention.

Shapes: B samples, C x h x w a sample's latents.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adhere.errors import NonFiniteLoss


@dataclass(frozen=True)
class Reading:
    """What a pass over the latents found.

    Attributes:
        loss: (B,), with its graph back to the latents.
        attained: (B,), what thresholds are held against, or None without thresholds.
    """

    loss: Tensor
    attained: Tensor | None = None


Evaluate = Callable[[Tensor], Reading]


@dataclass(frozen=True)
class Outcome:
    """What nursing did to the latents at one step.

    Attributes:
        latents: (B, C, h, w), moved.
        refinements: (B,), updates that each sample took for the threshold's sake.
        forwards: passes of the denoiser.
        backwards: gradients taken.
    """

    latents: Tensor
    refinements: Tensor
    forwards: int
    backwards: int


def gradient(latents: Tensor, loss: Tensor, scale: float = 1.0) -> Tensor:
    """The gradient of each sample's loss for its own latents, (B, C, h, w).

    Samples do not interact, so the gradient of the sum is every sample's own.

    Args:
        latents: a leaf that the loss depends on.
        loss: (B,).
        scale: the loss is multiplied by it on the way back, so that half precision does not
            lose small gradients.

    Raises:
        NonFiniteLoss: the loss or its gradient is NaN or infinite.
    """
    if not loss.isfinite().all():
        raise NonFiniteLoss(
            f"The loss is {[round(v, 4) for v in loss.tolist()]}; it should be finite. Use "
            "float32 or bfloat16 weights, or a smaller step_size."
        )
    (slope,) = torch.autograd.grad(loss.sum() * scale, latents)
    slope = slope / scale
    if not slope.isfinite().all():
        raise NonFiniteLoss(
            "The gradient of the loss holds NaN or infinity; use float32 or bfloat16 weights, "
            "or a smaller step_size."
        )
    return slope


def move(
    latents: Tensor,
    evaluate: Evaluate,
    step_size: float,
    threshold: float | None = None,
    max_refinements: int = 0,
    updates_on_exit: bool = False,
    updates: bool = True,
    loss_scale: float = 1.0,
) -> Outcome:
    """Latents after one step of nursing: refined until the threshold is attained, then moved once.

    Args:
        latents: (B, C, h, w), float32.
        evaluate: reads latents that require a gradient.
        step_size: factor of the gradient.
        threshold: samples whose `attained` is below it are moved again and again.
        max_refinements: how often at the most.
        updates_on_exit: whether the reading that finds the threshold attained is still followed
            by an update, as in the authors' code.
        updates: whether the ordinary update, one a step, follows.
        loss_scale: see `gradient`.

    Returns:
        The moved latents and what it cost. A sample that is done stays where it is.

    Source: arXiv 2301.13826, algorithm 1; its code updates on exit.
    """
    refinements = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
    forwards = backwards = 0

    def read(latents: Tensor) -> tuple[Tensor, Reading]:
        nonlocal forwards
        forwards += 1
        leaf = latents.detach().requires_grad_()
        return leaf, evaluate(leaf)

    def updated(leaf: Tensor, reading: Reading, chosen: Tensor) -> Tensor:
        nonlocal backwards
        backwards += 1
        moved = leaf.detach() - step_size * gradient(leaf, reading.loss, loss_scale)
        return torch.where(chosen.view(-1, 1, 1, 1), moved, leaf.detach())

    leaf, reading = read(latents)
    if threshold is not None and reading.attained is not None:
        below = reading.attained < threshold
        going = below
        for turn in range(max_refinements):
            if not going.any():
                break
            latents = updated(leaf, reading, going)
            refinements = refinements + going
            is_last = turn + 1 == max_refinements
            if is_last and not updates:
                return Outcome(latents, refinements, forwards, backwards)
            leaf, reading = read(latents)
            assert reading.attained is not None
            before, below = below, reading.attained < threshold
            going = going & (before if updates_on_exit else below)
    latents = leaf.detach()
    if updates:
        everyone = torch.ones(len(latents), dtype=torch.bool, device=latents.device)
        latents = updated(leaf, reading, everyone)
    return Outcome(latents, refinements, forwards, backwards)
