"""Scheduler differences that matter when the sample is shifted before `step`.

A scheduler may scale what the denoiser sees, evaluate the denoiser twice for one step, keep the
base of a step to itself, or rebuild the sample from an earlier one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from adhere.errors import AdhereWarning


def input_scale(scheduler: Any, timestep: float) -> float:
    """What the scheduler multiplies latents by before the denoiser sees them; 1 for flows."""
    scale = getattr(scheduler, "scale_model_input", None)
    if scale is None:
        return 1.0
    return float(scale(torch.ones((), dtype=torch.float64), timestep))


def noises_of(scheduler: Any, timesteps: Sequence[float]) -> list[float]:
    """Standard deviation of the noise in what the denoiser gets at each timestep, in 0...1."""
    config = scheduler.config
    steps = getattr(config, "num_train_timesteps", 1000)
    signal = getattr(scheduler, "alphas_cumprod", None)
    if signal is None or getattr(config, "use_flow_sigmas", False):
        return [min(max(timestep / steps, 0.0), 1.0) for timestep in timesteps]
    places = [min(max(round(timestep), 0), len(signal) - 1) for timestep in timesteps]
    return (1 - torch.as_tensor(signal)[places].double()).sqrt().tolist()


def begin_of(scheduler: Any, timestep: Any) -> int:
    """The place in the scheduler's timesteps at which a run begins: not 0 for image to image.

    Args:
        scheduler: the pipeline's, its timesteps set.
        timestep: what the denoiser's first call gets, in the scheduler's unit, or None.
    """
    if hasattr(scheduler, "begin_index"):
        return scheduler.begin_index or 0
    if timestep is None:
        return 0
    first = torch.as_tensor(timestep).flatten()[0]
    places = (
        torch.as_tensor(scheduler.timesteps) == first.to(scheduler.timesteps.device)
    ).nonzero()
    return int(places[0]) if len(places) else 0


def goes_back(times: Sequence[float], place: int, timestep: Any) -> bool:
    """Whether the denoiser is called at no later time than before, where no step of these does so.

    Args:
        times: of the scheduler's steps.
        place: the coming one.
        timestep: what the denoiser gets, in the scheduler's unit, or None.
    """
    if timestep is None:
        return False
    now = float(torch.as_tensor(timestep).flatten()[0])
    return now >= times[place - 1] and now not in times[place : place + 1]


def evaluations(scheduler: Any) -> int:
    """How often the denoiser is called for one step of the loop, as the methods' authors count.

    Heun and its kin evaluate each step twice. PNDM's repeated second call counts as a step of its
    own.
    """
    return 2 if hasattr(scheduler, "state_in_first_order") else 1


def ignores_sample(scheduler: Any) -> bool:
    """Whether the coming step begins from a sample the scheduler kept, not the one it is given.

    Latents moved at such a call would touch the predicted noise and nothing else.
    """
    return (_behaviour(scheduler) or _never)(scheduler)


def warn_of_unknown(scheduler: Any) -> None:
    """Say so where it is not known from which sample the steps of a scheduler begin."""
    if _behaviour(scheduler) is None:
        warnings.warn(
            f"{type(scheduler).__name__} is not among the schedulers that nursing knows, so each "
            "step is taken to begin from the latents that it is given. If images come out "
            f"unchanged or broken, use one of {', '.join(sorted(_BEHAVIOURS))}.",
            AdhereWarning,
            stacklevel=5,
        )


def _behaviour(scheduler: Any) -> Callable[[Any], bool] | None:
    """By the scheduler's class, or the nearest above it that is known."""
    names = [kind.__name__ for kind in type(scheduler).__mro__]
    return next((_BEHAVIOURS[name] for name in names if name in _BEHAVIOURS), None)


def _never(scheduler: Any) -> bool:
    """Every step begins from the sample that it is given."""
    return False


def _second_evaluation(scheduler: Any) -> bool:
    """The second evaluation of a step begins where the first did."""
    return not scheduler.state_in_first_order


def _higher_order(scheduler: Any) -> bool:
    """A new base is taken only with the solver of first order."""
    return scheduler.order_list[scheduler.step_index or 0] != 1


def _repeated_call(scheduler: Any) -> bool:
    """PNDM's second call, and of its Runge-Kutta steps the last three of four calls."""
    calls, config = scheduler.counter, scheduler.config
    if not config.skip_prk_steps and calls < len(scheduler.prk_timesteps):
        return calls % 4 != 0
    return calls == 1


# Class to whether its coming step ignores the sample that it is given.
_BEHAVIOURS: Mapping[str, Callable[[Any], bool]] = {
    "DDIMScheduler": _never,
    "DDPMScheduler": _never,
    "DEISMultistepScheduler": _never,
    "DPMSolverMultistepScheduler": _never,
    "DPMSolverSinglestepScheduler": _higher_order,
    "EulerAncestralDiscreteScheduler": _never,
    "EulerDiscreteScheduler": _never,
    "FlowMatchEulerDiscreteScheduler": _never,
    "FlowMatchHeunDiscreteScheduler": _second_evaluation,
    "FlowMatchLCMScheduler": _never,
    "HeunDiscreteScheduler": _second_evaluation,
    "KDPM2AncestralDiscreteScheduler": _second_evaluation,
    "KDPM2DiscreteScheduler": _second_evaluation,
    "LCMScheduler": _never,
    "LMSDiscreteScheduler": _never,
    "PNDMScheduler": _repeated_call,
    "SCMScheduler": _never,
    "TCDScheduler": _never,
    "UniPCMultistepScheduler": _never,
}


@contextmanager
def keeping_sample(scheduler: Any) -> Iterator[None]:
    """The scheduler's step, inside the block, begins from the sample that it is given.

    UniPC corrects the sample by what it remembers of the last step, and so would undo a shift;
    the correction of this one step is left out.
    """
    listed = getattr(scheduler, "disable_corrector", None)
    if listed is None or not scheduler.step_index:
        yield
        return
    scheduler.disable_corrector = [*listed, scheduler.step_index - 1]
    try:
        yield
    finally:
        scheduler.disable_corrector = listed


def of_step(args: tuple, kwargs: dict) -> tuple[Any, Any, Tensor, tuple, dict]:
    """Output, timestep and sample of a scheduler's step, and what else it gets."""
    names = ("model_output", "timestep", "sample")
    named = dict(kwargs)
    values = [
        args[place] if place < len(args) else named.pop(name) for place, name in enumerate(names)
    ]
    return values[0], values[1], values[2], args[3:], named
