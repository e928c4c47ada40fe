"""What may be asked of `draw`: every argument is checked, and made what pipelines take."""

from __future__ import annotations

import copy
import math
import numbers
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from adhere.drawing.recipe import LARGEST_BATCH, LARGEST_SEED, LONGEST_TEXT
from adhere.subjects.text import check_prompt, check_text

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

MOST_SEEDS = 1_000
# A side this many times the one that the model was trained at is a slip of the keyboard.
_LARGEST_FACTOR = 8


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, of Python or of NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def checked_prompts(prompt: object, negative_prompt: object) -> tuple[str, str]:
    """Both prompts as texts; no negative one is an empty one.

    Raises:
        ValueError: an empty prompt, what is no text, or a text that is too long.
    """
    check_prompt(prompt)
    texts = str(prompt), "" if negative_prompt is None else negative_prompt
    check_text(texts[1], "negative prompt")
    if max(map(len, texts)) > LONGEST_TEXT:  # type: ignore[arg-type]
        raise ValueError(f"A prompt is longer than {LONGEST_TEXT} characters; shorten it.")
    return texts  # type: ignore[return-value]


def checked_seeds(seeds: Any) -> tuple[int, ...]:  # noqa: ANN401
    """One seed or several as a tuple.

    Raises:
        ValueError: none, too many, one twice, or what is no seed.
    """
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        seeds = [seeds]
    given = tuple(seeds)
    if not 0 < len(given) <= MOST_SEEDS:
        raise ValueError(f"Got {len(given)} seeds; give from 1 to {MOST_SEEDS}.")
    for seed in given:
        if not is_whole(seed) or not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"Got seed {seed!r}; give whole numbers from 0 to 2**63 - 1.")
    checked = tuple(operator.index(seed) for seed in given)
    if len(set(checked)) < len(checked):
        raise ValueError(f"Got a seed twice in {list(checked)}; each seed is one picture.")
    return checked


def checked_steps(steps: Any) -> int:  # noqa: ANN401
    """How many steps to sample with; a pipeline's scheduler may allow fewer.

    Raises:
        ValueError: no whole number from 1 on.
    """
    if not is_whole(steps) or steps < 1:
        raise ValueError(f"Got {steps!r} steps; give a whole number from 1 on.")
    return operator.index(steps)


def checked_scale(guidance_scale: Any) -> float | None:  # noqa: ANN401
    """The scale of classifier-free guidance, or None for the pipeline's.

    Raises:
        ValueError: no finite number from 0 on.
    """
    if guidance_scale is None:
        return None
    is_number = isinstance(guidance_scale, numbers.Real) and not isinstance(guidance_scale, bool)
    scale = float(guidance_scale) if is_number else math.nan
    if not 0 <= scale < math.inf:
        raise ValueError(f"Got guidance scale {guidance_scale!r}; give a number from 0 on.")
    return scale


def checked_batch_size(batch_size: Any) -> int:  # noqa: ANN401
    """How many pictures to sample together.

    Raises:
        ValueError: no whole number within the limits.
    """
    if not is_whole(batch_size) or not 1 <= batch_size <= LARGEST_BATCH:
        raise ValueError(
            f"Got batch size {batch_size!r}; give a whole number from 1 to {LARGEST_BATCH}."
        )
    return operator.index(batch_size)


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
        is_whole(side) and multiple <= side <= largest and side % multiple == 0 for side in sides
    ):
        return operator.index(sides[0]), operator.index(sides[1])
    got = "x".join(map(str, sides)) if len(sides) == 2 else repr(size)
    raise ValueError(
        f"Got size {got}; give a width and a height that are multiples of {multiple}, at most "
        f"{largest} (this model's own size is {native[0]}x{native[1]})."
    )


def check_schedule(scheduler: Any, steps: int) -> None:  # noqa: ANN401
    """Makes sure that a scheduler has so many steps; it is left as it is.

    Raises:
        ValueError: it has not.
    """
    most = scheduler.config.get("num_train_timesteps", 1_000)
    if steps > most:
        raise ValueError(f"Got {steps} steps; this model has {most} timesteps to take them from.")
    # Near that number some refuse, some go beyond the last timestep, some take one for all.
    tried, why = copy.deepcopy(scheduler), ""
    try:
        tried.set_timesteps(steps)
    except (ValueError, IndexError, RuntimeError) as error:
        why = f" ({str(error).split('. ')[0].rstrip('.')})"
    else:
        timesteps = tried.timesteps
        is_one = steps > 1 and len(timesteps.unique()) == 1
        if timesteps.isfinite().all() and float(timesteps.max()) < most and not is_one:
            return
    raise ValueError(
        f"Got {steps} steps, which {type(scheduler).__name__} cannot take of this model's {most} "
        f"timesteps{why}; give fewer."
    )
