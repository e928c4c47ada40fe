"""Runs that begin from noise alone, which a method may need."""

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
            standard normal ones.
    """
    if begin:
        found = f"this run begins at step {begin} of its scheduler, from a noised image"
    else:
        spread = [round(float(own.float().std()), 2) for own in latents]
        if all(0.5 < one < 2 for one in spread):
            return
        found = f"this run begins from latents with a standard deviation of {spread}"
    raise UnsupportedPipeline(
        f"{name} searches for initial noise, and {found}. Let the pipeline draw its noise "
        "(text to image, or strength 1.0), give rounds=0, or use another method."
    )
