"""Schedulers by their short names, and as an image's recipe has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from inspect import signature
from typing import Any

from adhere.drawing.recipe import SchedulerRecipe
from adhere.errors import first_line, unknown

SCHEDULERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
"""Short name to the class in diffusers and what it needs besides the pipeline's configuration."""

_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_OF_FLOW: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", **_FLOW}),
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "lcm": ("FlowMatchLCMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", _FLOW),
}
"""The same for models of flow matching, of which the others know nothing."""

# What Stable Diffusion's latents need, where the pipeline's own scheduler has no such setting and
# the class's default is meant for pixels.
_FOR_LATENTS = {"clip_sample": False, "set_alpha_to_one": False}


def scheduler_named(name: str, own: Any) -> Any:  # noqa: ANN401
    """A scheduler by its short name, with the configuration of the pipeline's own.

    Args:
        name: one of `SCHEDULERS`.
        own: the pipeline's.

    Raises:
        ValueError: no such scheduler, or none for models of flow matching; the nearest name is
            suggested.
    """
    import diffusers

    if name not in SCHEDULERS:
        raise unknown("scheduler", name, SCHEDULERS)
    config = dict(own.config)
    if "FlowMatch" in type(own).__name__ or config.get("use_flow_sigmas"):
        return _of_flow(name, config)
    class_name, needed = SCHEDULERS[name]
    return getattr(diffusers, class_name).from_config({**_FOR_LATENTS, **config, **needed})


def _of_flow(name: str, config: dict[str, Any]) -> Any:  # noqa: ANN401
    """A scheduler of flow matching, with what it takes of another one's configuration."""
    import diffusers

    if name in _OF_FLOW:
        class_name, needed = _OF_FLOW[name]
        kind = getattr(diffusers, class_name)
        # The shift of some models hangs on the image's size, which the pipeline tells as mu.
        if (
            not config.get("use_dynamic_shifting")
            or "mu" in signature(kind.set_timesteps).parameters
        ):
            own = {"flow_shift": config.get("shift", 1.0), **config, **needed}
            takes = signature(kind.__init__).parameters
            return kind.from_config({key: own[key] for key in own.keys() & takes.keys()})
    raise ValueError(
        f"Got the scheduler {name!r}, which does not know this model's flow matching. Give "
        "euler or another that does, or leave it out."
    )


def scheduler_recipe(scheduler: Any) -> SchedulerRecipe:  # noqa: ANN401
    """A scheduler's class and those of its settings that its class takes.

    JSON has no infinity, which some settings have by default: those are left to the class.
    """
    taken = signature(type(scheduler).__init__).parameters
    config = {k: v for k, v in scheduler.config.items() if k in taken}
    config = json.loads(json.dumps(config, default=_plain))
    kept = {k: v for k, v in config.items() if not isinstance(v, float) or math.isfinite(v)}
    return SchedulerRecipe(type(scheduler).__name__, kept)


def short_name(recipe: SchedulerRecipe) -> str | None:
    """The short name of a recipe's class with its settings, where it has one."""
    fitting = (
        name
        for table in (SCHEDULERS, _OF_FLOW)
        for name, (kind, needed) in table.items()
        if kind == recipe.name and all(recipe.config.get(k) == v for k, v in needed.items())
    )
    return next(fitting, None)


def scheduler_from_recipe(recipe: SchedulerRecipe, own: Any) -> Any:  # noqa: ANN401
    """The scheduler of a recipe, of a class that is known or the pipeline's own.

    Raises:
        ValueError: the class is neither, or does not take the settings.
    """
    import diffusers

    if recipe == scheduler_recipe(own):
        return own
    known = {kind for table in (SCHEDULERS, _OF_FLOW) for kind, _ in table.values()}
    if recipe.name == type(own).__name__:
        kind = type(own)
    elif recipe.name in known:
        kind = getattr(diffusers, recipe.name)
    else:
        raise unknown("scheduler", recipe.name, sorted(known))
    try:
        return kind.from_config(dict(recipe.config))
    except (TypeError, ValueError, NotImplementedError, ArithmeticError, RuntimeError) as error:
        raise ValueError(
            f"{recipe.name} does not take the recipe's settings: {first_line(error)}."
        ) from error


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else str(value)  # type: ignore[attr-defined]
