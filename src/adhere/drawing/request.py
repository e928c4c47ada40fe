"""What may be asked of `draw`: every argument is checked, and made what pipelines take."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen

from adhere.subjects.text import check_prompt, check_text
from adhere.typed import NonNegative, PositiveCount, typed

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

LONGEST_TEXT = 10_000
LARGEST_SEED = 2**63 - 1
LARGEST_BATCH = 64
MOST_SEEDS = 1_000
# A side this many times the one that the model was trained at is a slip of the keyboard.
_LARGEST_FACTOR = 8

Seed = Annotated[int, Ge(0), Le(LARGEST_SEED)]


@typed
class Sampling:
    """How images are sampled.

    Attributes:
        subjects: what the image must hold; found in the prompt without it.
        boxes: places of subjects by their word, each (left, top, right, bottom) in fractions of
            the image.
        seeds: one image each.
        steps: of sampling.
        guidance_scale: of classifier-free guidance; the pipeline's without it.
        negative_prompt: what guidance leads away from.
        size: width and height in pixels; the model's without it.
        scheduler: ddim, ddpm, dpm++2m, dpm++2m-sde, euler, euler-a, heun, lcm, pndm or unipc; the
            model's without it.
        batch_size: how many images are sampled together.
    """

    subjects: Any = None
    boxes: Any = None
    seeds: Annotated[tuple[Seed, ...], MinLen(1), MaxLen(MOST_SEEDS)] = (0,)
    steps: PositiveCount = 50
    guidance_scale: NonNegative | None = None
    negative_prompt: Annotated[str, MaxLen(LONGEST_TEXT)] = ""
    size: Any = None
    scheduler: Any = None
    batch_size: Annotated[int, Ge(1), Le(LARGEST_BATCH)] = 4

    def __post_init__(self) -> None:
        check_text(self.negative_prompt, "negative prompt")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                f"`seeds` has a seed twice in {list(self.seeds)}; each seed is one image."
            )


def checked_prompt(prompt: object) -> str:
    """The prompt.

    Raises:
        ValueError: an empty prompt, what is no text, or a text that is too long.
    """
    check_prompt(prompt)
    if len(str(prompt)) > LONGEST_TEXT:
        raise ValueError(f"The prompt is longer than {LONGEST_TEXT} characters; shorten it.")
    return str(prompt)


def as_seeds(seeds: object) -> object:
    """One seed or several as a tuple, to be checked."""
    is_list = isinstance(seeds, Iterable) and not isinstance(seeds, str)
    return tuple(seeds) if is_list else (seeds,)  # type: ignore[arg-type]


def checked_size(pipe: DiffusionPipeline, size: Any) -> tuple[int, int]:  # noqa: ANN401
    """Width and height in pixels that a pipeline can draw, by default its own.

    Raises:
        ValueError: no pair of such numbers; the message says what they must be.
    """
    multiple = int(getattr(pipe, "vae_scale_factor", 8))
    denoiser = getattr(pipe, "unet", None) or pipe.transformer  # type: ignore[attr-defined]
    # FLUX and its kin state the size in the pipeline.
    trained = getattr(denoiser.config, "sample_size", None) or getattr(
        pipe, "default_sample_size", 128
    )
    rows, columns = (trained, trained) if isinstance(trained, int) else trained
    native = columns * multiple, rows * multiple
    if size is None:
        return native
    largest = _LARGEST_FACTOR * max(native)
    # Pipelines of diffusers ask for multiples of 8 whatever their autoencoder's own factor is.
    multiple = math.lcm(multiple, 8)
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    if len(sides) == 2 and all(
        type(side) is int and multiple <= side <= largest and side % multiple == 0
        for side in sides
    ):
        return sides[0], sides[1]
    got = "x".join(map(str, sides)) if len(sides) == 2 else repr(size)
    raise ValueError(
        f"Got size {got}; give a width and a height that are multiples of {multiple}, at most "
        f"{largest} (this model's own size is {native[0]}x{native[1]})."
    )


def guidance_of(pipe: DiffusionPipeline) -> tuple[str | None, float]:
    """The argument of a pipeline's call that scales its guidance, and its default.

    Qwen-Image takes a `guidance_scale` that does nothing, and says so by the default None. A
    pipeline without guidance has no such argument, and 1.
    """
    parameters = inspect.signature(pipe.__call__).parameters
    for name in ("guidance_scale", "true_cfg_scale", "distilled_guidance_scale"):
        scale = getattr(parameters.get(name), "default", None)
        if isinstance(scale, int | float):
            return name, float(scale)
    return ("guidance_scale", 7.5) if "guidance_scale" in parameters else (None, 1.0)


def check_schedule(scheduler: Any, steps: int) -> None:  # noqa: ANN401
    """Makes sure that a scheduler has so many steps; it is left as it is.

    Raises:
        ValueError: it has not.
    """
    most = scheduler.config.get("num_train_timesteps", 1_000)
    # Trained betas may be fewer than the timesteps that the configuration states.
    most = min(most, len(getattr(scheduler, "alphas_cumprod", range(most))))
    if steps > most:
        raise ValueError(f"Got {steps} steps; this model has {most} timesteps to take them from.")
    # Near that number some refuse, some go beyond the last timestep, some take one for all.
    tried, why = copy.deepcopy(scheduler), ""
    # Flow matching begins at pure noise, which is the last timestep; its shift may hang on the
    # image's size, which changes nothing here.
    is_flow = not hasattr(tried, "alphas_cumprod")
    shift = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    try:
        tried.set_timesteps(steps, **shift)
    except (ValueError, IndexError, RuntimeError) as error:
        why = f" ({str(error).split('. ')[0].rstrip('.')})"
    else:
        timesteps = tried.timesteps
        is_one = steps > 1 and len(timesteps.unique()) == 1
        is_within = float(timesteps.max()) < most + is_flow
        if timesteps.isfinite().all() and is_within and not is_one:
            return
    raise ValueError(
        f"Got {steps} steps, which {type(scheduler).__name__} cannot take of this model's {most} "
        f"timesteps{why}; give fewer."
    )
