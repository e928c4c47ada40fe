"""`redraw`: the image of a recipe, once more."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace

from adhere.drawing.drawing import Drawing, Model, OnStep, draw, loaded_model
from adhere.drawing.environment import environment
from adhere.drawing.loading import Loaded, local_folder
from adhere.drawing.recipe import ModelRecipe, Recipe
from adhere.drawing.schedulers import scheduler_from_recipe
from adhere.errors import AdhereWarning
from adhere.methods.registry import methods_of


def redraw(
    recipe: Recipe,
    *,
    model: Model | None = None,
    device: str | None = None,
    on_step: OnStep | None = None,
) -> Drawing:
    """Draws the image of a recipe again.

    On the same machine with the same versions it comes out identical, bit for bit. What differs
    is said by warnings.

    Args:
        recipe: see `adhere.drawing.png.read_recipe`.
        model: the model; None takes the recipe's if it is the bundled one or a folder that is
            here. One of the hub is not fetched on the word of an image alone.
        device: None takes the recipe's kind where there is one.
        on_step: see `draw`.

    Returns:
        A drawing of the one image.

    Raises:
        ValueError: the model is not at hand, or a name in the recipe is not known.
    """
    methods = methods_of(recipe.methods)
    loaded = model_again(recipe, model, device)
    pipe = loaded.pipe
    for difference in _differences(recipe, loaded.source, pipe.device.type):
        warnings.warn(f"{difference}: the image may differ.", AdhereWarning, stacklevel=2)
    batch = draw(
        recipe.prompt,
        model=loaded,
        method=methods or None,
        subjects=recipe.subjects or None,
        seeds=recipe.batch,
        steps=recipe.steps,
        guidance_scale=recipe.guidance_scale,
        negative_prompt=recipe.negative_prompt,
        size=(recipe.width, recipe.height),
        scheduler=scheduler_from_recipe(recipe.scheduler, pipe.scheduler),
        batch_size=len(recipe.batch),
        on_step=on_step,
    )
    own = recipe.batch.index(recipe.seed)
    return replace(
        batch,
        images=(batch.images[own],),
        recipes=(batch.recipes[own],),
    )


def model_again(recipe: Recipe, model: Model | None, device: str | None) -> Loaded:
    """The model of a recipe, loaded; see `redraw`."""
    if model is not None and not isinstance(model, str | os.PathLike):
        return loaded_model(model, None, device)
    name = recipe.model.name
    if model is None and local_folder(name) is None:
        raise ValueError(
            f"The image was drawn with the model {name!r}, which is neither the bundled one nor "
            "a folder here; say which model to load, as with --model."
        )
    place = device or ("cpu" if recipe.device == "cpu" else None)
    return loaded_model(name if model is None else model, recipe.dtype, place)


def _differences(recipe: Recipe, source: ModelRecipe, device: str) -> list[str]:
    """What is not as it was when the image was drawn."""
    found = []
    was = recipe.model
    if was.weights is None or source.weights is None:
        found.append("it is not known whether the model's weights are the same")
    elif was.weights != source.weights:
        found.append(f"the weights of {source.name!r} are not those of the image")
    if recipe.device != device:
        found.append(f"drawn on {recipe.device}, now on {device}")
    now: Mapping[str, str] = environment(device)
    for name in sorted({*recipe.environment, *now}):
        before, after = recipe.environment.get(name), now.get(name)
        if before != after and recipe.device == device:
            found.append(f"drawn with {name} {before}, now {after}")
    return found
