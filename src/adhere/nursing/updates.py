"""Moving latents: pure functions of latents and of a way to evaluate a loss on them.

Shapes: B samples, K of them chosen; a sample's latents may have any shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adhere.errors import NonFiniteLoss


@dataclass(frozen=True)
class Evaluation:
    """The loss of chosen samples.

    Attributes:
        loss: (K,), with its graph back to the latents.
        score: (K,), what thresholds are compared with, or None without thresholds.
        refining: (K,), what a sample below its threshold minimises, or None for the loss.
    """

    loss: Tensor
    score: Tensor | None = None
    refining: Tensor | None = None


# From the latents (K, ...) of chosen samples, and their positions (K,) in the batch.
Evaluate = Callable[[Tensor, Tensor], Evaluation]


@dataclass(frozen=True)
class Outcome:
    """What nursing did to the latents at one step.

    Attributes:
        latents: (B, ...), moved.
        loss: (B,), of each sample's last evaluation, which its last update is based on.
        refinements: (B,), updates that each sample took for the threshold's sake.
        backwards: gradients taken, one a pass of the denoiser.
    """

    latents: Tensor
    loss: Tensor
    refinements: Tensor
    backwards: int


def gradient(latents: Tensor, loss: Tensor, scales: Sequence[float] = (1.0,)) -> Tensor:
    """The gradient of each sample's loss for its own latents, (K, ...).

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
        if not loss.any():
            # Nothing to minimise, such as attributes in a prompt that has none.
            return torch.zeros_like(latents)
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
    """Latents after one step of nursing: refined until the threshold is reached, then moved once.

    A sample that has reached the threshold waits where it is while others are refined, and is
    not evaluated again: its gradient there is known.

    Args:
        latents: (B, ...), float32.
        evaluate: gives the loss of chosen samples' latents, which require a gradient.
        step_size: factor of the gradient.
        threshold: samples whose score is below it are moved again and again.
        max_refinements: how often at the most.
        updates_on_exit: whether the pass that finds the threshold reached is still followed by an
            update, as in the authors' code.
        loss_scales: see `gradient`.

    Returns:
        The moved latents, and what it took.

    Raises:
        NonFiniteLoss: the loss, its gradient or the moved latents are NaN or infinite.

    Source: arXiv 2301.13826, the iterative refinement; its code updates on exit.
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
        found = evaluate(leaf, chosen)
        passes += 1
        loss[chosen] = found.loss.detach().to(loss.dtype)
        if threshold is None or found.score is None or passes > max_refinements:
            going = torch.zeros_like(going)
        else:
            was_below = below.clone()
            below[chosen] = found.score.detach() < threshold
            going = going & (was_below if updates_on_exit and passes > 1 else below)
        wanted = found.loss
        if found.refining is not None:
            wanted = torch.where(going[chosen], found.refining, wanted)
        slopes[chosen] = gradient(leaf, wanted, loss_scales)
        # The next pass must not find the graph of this one still in memory.
        del leaf, found, wanted
        latents[going] -= step_size * slopes[going]
        refinements += going
    moved = latents - step_size * slopes
    if not moved.isfinite().all():
        raise NonFiniteLoss(
            f"A step of size {step_size:g} took the latents to NaN or infinity; they should stay "
            "finite. Use a smaller step_size."
        )
    return Outcome(moved, loss, refinements, passes)
