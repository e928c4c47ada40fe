"""Runs that begin from noise alone, which a method may need."""

import math

from torch import Tensor

from adhere.errors import UnsupportedPipeline


def check_noise(name: str, latents: Tensor, begin: int) -> None:
    """Refuse a run that does not begin from noise alone.

    Args:
        name: of the method that needs it.
        latents: (B, ...), as the denoiser gets them at its first call.
        begin: the place in the scheduler's timesteps at which the run begins.

    Raises:
        UnsupportedPipeline: it begins late, as image to image does, or from other latents than
            independent standard normal ones, such as those of an image.
    """
    if begin:
        found = f"this run begins at step {begin} of its scheduler, from a noised image"
    else:
        unlike = [what for own in latents if (what := _unlike_noise(own))]
        if not unlike:
            return
        found = f"this run begins from latents with {unlike[0]}"
    raise UnsupportedPipeline(
        f"{name} searches for initial noise, and {found}. Let the pipeline draw its noise "
        "(text to image, or strength 1.0), give rounds=0, or use another method."
    )


def _unlike_noise(latents: Tensor) -> str:
    """What tells the latents of a sample from standard normal noise, or nothing."""
    own = latents.float()
    mean, spread = float(own.mean()), float(own.std())
    if not 0.5 < spread < 2:
        return f"a standard deviation of {spread:.2f}"
    own = own - mean
    # Rows of latents, or packed tokens, side by side.
    alike = float((own[..., 1:, :] * own[..., :-1, :]).sum() / own.square().sum())
    # Few numbers are uneven by chance.
    most = max(0.5, 4 / math.sqrt(own.numel()))
    if abs(mean) > most:
        return f"a mean of {mean:.2f}"
    return f"a correlation of {alike:.2f} between neighbours" if abs(alike) > most else ""
