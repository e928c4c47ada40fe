"""Moving latents: pure functions of latents and of a way to read what they make of attention.

Shapes: B samples, K of them chosen, C x h x w a sample's latents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adhere.errors import NonFiniteLoss


@dataclass(frozen=True)
class Reading:
    """What a pass over chosen samples found.

    Attributes:
        loss: (K,), with its graph back to the latents.
        attained: (K,), what thresholds are held against, or None without thresholds.
    """

    loss: Tensor
    attained: Tensor | None = None


# From the latents (K, C, h, w) of chosen samples, and their positions (K,) in the batch.
Evaluate = Callable[[Tensor, Tensor], Reading]


@dataclass(frozen=True)
class Outcome:
    """What nursing did to the latents at one step.

    Attributes:
        latents: (B, C, h, w), moved.
        loss: (B,), of each sample's last reading, which its last update is based on.
        refinements: (B,), updates that each sample took for the threshold's sake.
        forwards: passes of the denoiser.
        backwards: gradients taken.
    """

    latents: Tensor
    loss: Tensor
    refinements: Tensor
    forwards: int
    backwards: int


def gradient(latents: Tensor, loss: Tensor, scales: Sequence[float] = (1.0,)) -> Tensor:
    """The gradient of each sample's loss for its own latents, (K, C, h, w).

    Samples do not interact, so the gradient of the sum is every sample's own.

    Args:
        latents: a leaf that the loss depends on.
        loss: (K,).
        scales: the loss is multiplied by the first on the way back, so that half precision does
            not lose small gradients; by the next one where that overflows.

    Raises:
        NonFiniteLoss: the loss or its gradient is NaN or infinite.
    """
    if not loss.isfinite().all():
        raise NonFiniteLoss(
            f"The loss is {[round(v, 4) for v in loss.tolist()]}; it should be finite. Use "
            "float32 or bfloat16 weights, or a smaller step_size."
        )
    if not loss.requires_grad:
        raise ValueError(
            "The loss does not depend on the attention maps; compute it from them with torch, "
            "without detaching."
        )
    for scale in scales:
        is_last = scale == scales[-1]
        (slope,) = torch.autograd.grad(loss.sum() * scale, latents, retain_graph=not is_last)
        if slope.isfinite().all():
            return slope / scale
    raise NonFiniteLoss(
        "The gradient of the loss holds NaN or infinity; use float32 or bfloat16 weights, or a "
        "smaller step_size."
    )


def move(
    latents: Tensor,
    evaluate: Evaluate,
    step_size: float,
    threshold: float | None = None,
    max_refinements: int = 0,
    updates_on_exit: bool = False,
    loss_scales: Sequence[float] = (1.0,),
) -> Outcome:
    """Latents after one step of nursing: refined until the threshold is attained, then moved once.

    A sample that has attained the threshold waits where it is while others are refined, and is
    not read again: its gradient there is known.

    Args:
        latents: (B, C, h, w), float32.
        evaluate: reads chosen samples' latents, which require a gradient.
        step_size: factor of the gradient.
        threshold: samples whose `attained` is below it are moved again and again.
        max_refinements: how often at the most.
        updates_on_exit: whether the reading that finds the threshold attained is still followed
            by an update, as in the authors' code.
        loss_scales: see `gradient`.

    Returns:
        The moved latents, and what it took.

    Raises:
        NonFiniteLoss: the loss, its gradient or the moved latents are NaN or infinite.

    Source: arXiv 2301.13826, algorithm 1; its code updates on exit.
    """
    latents = latents.detach().clone()
    slopes = torch.zeros_like(latents)
    loss = latents.new_zeros(len(latents))
    refinements = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
    going = torch.ones(len(latents), dtype=torch.bool, device=latents.device)
    below = going.clone()
    passes = 0
    while going.any():
        chosen = going.nonzero().squeeze(1)
        leaf = latents[chosen].requires_grad_()
        reading = evaluate(leaf, chosen)
        passes += 1
        loss[chosen] = reading.loss.detach().to(loss.dtype)
        slopes[chosen] = gradient(leaf, reading.loss, loss_scales)
        attained = None if reading.attained is None else reading.attained.detach()
        # The next pass must not find the graph of this one still in memory.
        del leaf, reading
        if threshold is None or attained is None or passes > max_refinements:
            break
        was_below = below.clone()
        below[chosen] = attained < threshold
        going = going & (was_below if updates_on_exit and passes > 1 else below)
        latents[going] -= step_size * slopes[going]
        refinements += going
    moved = latents - step_size * slopes
    if not moved.isfinite().all():
        raise NonFiniteLoss(
            f"A step of size {step_size:g} took the latents to NaN or infinity; they should stay "
            "finite. Use a smaller step_size."
        )
    return Outcome(moved, loss, refinements, passes, passes)
