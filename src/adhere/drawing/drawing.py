"""`draw`: one call from a prompt to images that carry their recipe."""

from __future__ import annotations

import inspect
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from PIL import Image

from adhere.drawing.environment import environment
from adhere.drawing.loading import Loaded, load
from adhere.drawing.png import save_image
from adhere.drawing.recipe import ModelRecipe, Recipe
from adhere.drawing.request import (
    Sampling,
    as_seeds,
    check_schedule,
    checked_prompt,
    checked_size,
    guidance_of,
)
from adhere.drawing.schedulers import scheduler_named, scheduler_recipe
from adhere.drawing.stated import method_named
from adhere.errors import AdhereWarning, NonFiniteLoss, UnsupportedPipeline
from adhere.methods import Method
from adhere.methods.base import checked
from adhere.methods.registry import recipes_of
from adhere.nursing import nurse
from adhere.nursing.checks import check_boxes
from adhere.nursing.trace import Trace
from adhere.subjects import Subject, find_subjects

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

Model = Union[str, "os.PathLike[str]", "DiffusionPipeline", Loaded]
OnStep = Callable[[int, int], None]
DEFAULT_METHOD = "emergent-layout"


@dataclass(frozen=True)
class Drawing:
    """Images, what they were made from, and what happened.

    Attributes:
        images: one for each seed.
        recipes: one for each image.
        traces: one for each batch; a baseline drawing has none.
        seconds: that sampling took.
    """

    images: tuple[Image.Image, ...]
    recipes: tuple[Recipe, ...]
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0

    @property
    def trace(self) -> Trace:
        """The trace of a drawing of one batch.

        Raises:
            ValueError: it has several batches, or was drawn without a method.
        """
        if len(self.traces) != 1:
            raise ValueError(
                f"This drawing has {len(self.traces)} traces; a baseline has none, and one of "
                "several batches has one each, in `traces`."
            )
        return self.traces[0]

    def save(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Writes each image as a PNG with its recipe inside, over no other file.

        Args:
            folder: made where it is missing.

        Returns:
            The files, one for each image.
        """
        pairs = zip(self.images, self.recipes, strict=True)
        return tuple(save_image(image, recipe, folder) for image, recipe in pairs)


def draw(
    prompt: str,
    *,
    model: Model = "mini",
    method: str | Method | Sequence[str | Method] | None = DEFAULT_METHOD,
    subjects: Sequence[str | int | Sequence[str] | Subject] | None = None,
    boxes: Mapping[str, Sequence[float]] | None = None,
    seeds: int | Sequence[int] = (0,),
    steps: int = 50,
    guidance_scale: float | None = None,
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    scheduler: str | Any = None,  # noqa: ANN401
    dtype: str | None = None,
    device: str | None = None,
    batch_size: int = 4,
    on_step: OnStep | None = None,
    on_batch: Callable[[Drawing], None] | None = None,
) -> Drawing:
    """Draws a prompt, one image for each seed.

        adhere.draw("a cat and a frog", seeds=range(4)).save("images")

    Args:
        prompt: what to draw.
        model: "mini" or "mini-joint" (bundled), a folder, a hub id, what
            `adhere.drawing.loading.load` gave, or a text-to-image pipeline of yours.
        method: what nurses: the name of a method, with its paper's numbers, or with those that
            the model's folder states in `methods.json`, as that of "mini" does; a method; a list
            of these, of which one may move latents; None for the baseline.
        subjects: what the image must hold; None finds it, see `adhere.find_subjects`. For a
            baseline image they are checked, and nothing more.
        boxes: places of subjects by their word, each (left, top, right, bottom) in fractions of
            the image, from the top left corner; see `adhere.nurse`.
        seeds: one or several, from 0 to 2**63 - 1; each image has a random generator of its
            own on the CPU, so that it depends on no other one, nor on the device.
        steps: of sampling.
        guidance_scale: of classifier-free guidance; None takes the pipeline's default.
        negative_prompt: what guidance leads away from.
        size: width and height in pixels; None takes the model's.
        scheduler: a short name, see `adhere.drawing.schedulers.SCHEDULERS`, or a scheduler; None
            takes the pipeline's.
        dtype: "float32", "bfloat16" or "float16", where the model is loaded here.
        device: where the model is loaded to; None takes a GPU where there is one.
        batch_size: how many images are sampled together, at most 64.
        on_step: called after each step with the steps done and their number, all
            batches together.
        on_batch: called with each batch as soon as it is done.

    Returns:
        The drawing.

    Raises:
        ValueError: an argument out of range, or an unknown name.
        AdhereError: what `adhere.nurse` raises; `NonFiniteLoss` also for an image of NaN.
    """
    methods = _methods(method, _name_of(model))
    check_boxes(methods, boxes)
    prompt = checked_prompt(prompt)
    asked = Sampling(
        subjects=subjects,
        boxes=boxes,
        seeds=as_seeds(seeds),  # type: ignore[arg-type]
        steps=steps,
        guidance_scale=guidance_scale,
        negative_prompt="" if negative_prompt is None else negative_prompt,
        size=size,
        scheduler=scheduler,
        batch_size=batch_size,
    )
    loaded = loaded_model(model, dtype, device)
    pipe = loaded.pipe
    width, height = checked_size(pipe, asked.size)
    if subjects is not None and not methods:
        # A baseline image needs none; a wrong one would be passed over in silence.
        find_subjects(pipe, prompt, subjects)
    guidance, scale = guidance_of(pipe)
    if asked.guidance_scale is not None:
        if guidance is None and asked.guidance_scale != scale:
            raise ValueError(
                f"Got a guidance scale, which {type(pipe).__name__} does not take; leave it out."
            )
        scale = asked.guidance_scale
    seeds, batch_size = asked.seeds, asked.batch_size
    batches = [seeds[i : i + batch_size] for i in range(0, len(seeds), batch_size)]
    done: list[Drawing] = []
    with _scheduler_of(pipe, scheduler), _without_progress_bar(pipe):
        check_schedule(pipe.scheduler, asked.steps)
        shared = Recipe(
            prompt=prompt,
            negative_prompt=asked.negative_prompt,
            subjects=(),
            methods=recipes_of(methods),
            seed=seeds[0],
            batch=batches[0],
            steps=asked.steps,
            guidance_scale=scale,
            width=width,
            height=height,
            scheduler=scheduler_recipe(pipe.scheduler),
            model=loaded.source,
            dtype=str(pipe.dtype).removeprefix("torch."),
            device=pipe.device.type,
            environment=environment(pipe.device.type),
        )
        for number, batch in enumerate(batches):
            report = _counting(on_step, number, len(batches))
            recipe = replace(shared, seed=batch[0], batch=batch)
            done.append(_draw_batch(pipe, recipe, methods, subjects, boxes, report))
            if on_batch is not None:
                on_batch(done[-1])
    return Drawing(
        tuple(image for one in done for image in one.images),
        tuple(recipe for one in done for recipe in one.recipes),
        tuple(trace for one in done for trace in one.traces),
        sum(one.seconds for one in done),
    )


def _draw_batch(
    pipe: DiffusionPipeline,
    recipe: Recipe,
    methods: Sequence[Method],
    subjects: Sequence[Any] | None,
    boxes: Mapping[str, Sequence[float]] | None,
    on_step: OnStep | None,
) -> Drawing:
    import torch

    def after_step(pipe: Any, index: int, _: object, changed: dict) -> dict:  # noqa: ANN401
        if on_step is not None:
            on_step(index + 1, pipe.num_timesteps)
        return changed

    takes = inspect.signature(pipe.__call__).parameters
    if recipe.negative_prompt and "negative_prompt" not in takes:
        raise ValueError(
            f"Got a negative prompt, which {type(pipe).__name__} does not take; leave it out."
        )
    optional = {
        # An empty one is left to the pipeline's own default.
        **({"negative_prompt": recipe.negative_prompt} if recipe.negative_prompt else {}),
        guidance_of(pipe)[0]: recipe.guidance_scale,
        # Else some pipelines draw the nearest of their own sizes and scale the image.
        "use_resolution_binning": False,
    }
    optional = {name: value for name, value in optional.items() if name in takes}
    nursing = (
        nurse(pipe, methods, prompt=recipe.prompt, subjects=subjects, boxes=boxes)
        if methods
        else nullcontext()
    )
    started = time.perf_counter()
    with _global_generator(recipe.batch[0]), nursing as trace:
        result = pipe(  # type: ignore[operator]
            recipe.prompt,
            num_images_per_prompt=len(recipe.batch),
            **optional,
            num_inference_steps=recipe.steps,
            width=recipe.width,
            height=recipe.height,
            generator=[torch.Generator().manual_seed(seed) for seed in recipe.batch],
            callback_on_step_end=after_step,
            output_type="np",
        )
    seconds = time.perf_counter() - started
    if not np.isfinite(result.images).all():
        raise NonFiniteLoss(
            "The image came out as NaN or infinity; the model's weights are broken, or "
            f"{recipe.dtype} is too narrow for it: use float32 or bfloat16."
        )
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        warnings.warn(
            "The model's safety checker has blackened images.", AdhereWarning, stacklevel=3
        )
    found = trace.subjects[0] if trace is not None and trace.subjects else ()
    recipe = replace(recipe, subjects=found)
    return Drawing(
        tuple(pipe.image_processor.numpy_to_pil(result.images)),  # type: ignore[attr-defined]
        tuple(replace(recipe, seed=seed) for seed in recipe.batch),
        () if trace is None else (trace,),
        seconds,
    )


def _name_of(model: Model) -> str | None:
    if isinstance(model, Loaded):
        return model.source.name
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    # Where diffusers loaded it from.
    config = getattr(model, "config", None)
    return str(config.get("_name_or_path") or "") if isinstance(config, Mapping) else ""


def _methods(
    method: str | Method | Sequence[str | Method] | None, model: str | None
) -> tuple[Method, ...]:
    given = [method] if isinstance(method, str) or not isinstance(method, Sequence) else method
    if list(given) in ([None], ["none"]):
        return ()
    if "none" in given:
        raise ValueError("Got the method none beside others; give it alone, or leave it out.")
    return checked([method_named(m, model=model) if isinstance(m, str) else m for m in given])


def loaded_model(model: Model, dtype: str | None = None, device: str | None = None) -> Loaded:
    """The model as a text-to-image pipeline."""
    if isinstance(model, str | os.PathLike):
        loaded = load(model, dtype=dtype, device=device)
    elif dtype is not None or device is not None:
        raise ValueError(
            "Got a dtype or device for a pipeline that is loaded already; move it yourself, as "
            "with pipe.to('cuda', torch.float16)."
        )
    elif isinstance(model, Loaded):
        loaded = model
    elif not callable(model) or not hasattr(model, "config"):
        raise ValueError(
            f"Got {model!r} as the model; give 'mini', a folder, an id on the hub or a pipeline."
        )
    else:
        # The weights of an object may have changed since they were read from anywhere.
        loaded = Loaded(model, ModelRecipe((_name_of(model) or "")[:1_000], None, None))
    pipe = loaded.pipe
    takes = inspect.signature(pipe.__call__).parameters
    needed = {"prompt", "height", "width", "callback_on_step_end"}
    if not needed <= takes.keys() or takes.keys() & {"image", "control_image"}:
        raise UnsupportedPipeline(
            f"draw got a {type(pipe).__name__}; expected a text-to-image pipeline. Call one that "
            "needs images too inside adhere.nurse(pipe, …)."
        )
    return loaded


@contextmanager
def _scheduler_of(
    pipe: DiffusionPipeline,
    scheduler: str | Any,  # noqa: ANN401
) -> Iterator[None]:
    """The pipeline with another scheduler for a while."""
    own = pipe.scheduler  # type: ignore[attr-defined]
    if isinstance(scheduler, str):
        scheduler = scheduler_named(scheduler, own)
    elif scheduler is not None and not hasattr(scheduler, "set_timesteps"):
        raise ValueError(
            f"Got {scheduler!r} as the scheduler; give a short name such as 'euler', or a "
            "scheduler of diffusers."
        )
    try:
        if scheduler is not None:
            pipe.scheduler = scheduler  # type: ignore[attr-defined]
        yield
    finally:
        if scheduler is not None:
            pipe.scheduler = own  # type: ignore[attr-defined]


@contextmanager
def _without_progress_bar(pipe: DiffusionPipeline) -> Iterator[None]:
    """The pipeline's own bar off for a while: progress is told by `on_step`."""
    own = dict(getattr(pipe, "_progress_bar_config", {}))
    pipe.set_progress_bar_config(**{**own, "disable": True})
    try:
        yield
    finally:
        pipe.set_progress_bar_config(**own)


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """PyTorch's global random numbers from a seed for a while: some methods take theirs there."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _counting(on_step: OnStep | None, number: int, batches: int) -> OnStep | None:
    if on_step is None:
        return None
    return lambda done, count: on_step(number * count + done, batches * count)
