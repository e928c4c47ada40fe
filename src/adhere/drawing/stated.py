"""What a model states: parameters of methods, and its guidance."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from adhere.drawing.loading import Loaded, local_folder
from adhere.methods import Method, make
from adhere.typed import NonNegative, typed


def method_named(name: str, *, official: bool = False, model: str | None = None) -> Method:
    """A method with the numbers of its paper, or with those that its model states.

    Args:
        name: one of `METHODS`.
        official: the authors' behaviour where it differs.
        model: what it will nurse, "mini" or a folder, see `stated_numbers`.

    Raises:
        ValueError: no such method; the nearest name is suggested. Or a model that states what
            cannot be.
    """
    if official or model is None:
        return make(name, official=official)
    return make(name, stated_numbers(model).get(name))


def stated_numbers(model: str) -> Mapping[str, Mapping[str, object]]:
    """What a model says suits it: method name to parameters, from `methods.json` in its folder.

    Papers chose their numbers for Stable Diffusion; a model with fewer words or other attention
    may want others. Of the hub's models this file is not fetched.

    Args:
        model: "mini", a folder, or any other name, for which nothing is stated.

    Raises:
        ValueError: the file is no such table, or a method does not take what it says.
    """

    def read(stated: Any) -> None:  # noqa: ANN401
        if not all(isinstance(numbers, dict) for numbers in stated.values()):
            raise ValueError("expected a table of methods and their parameters.")
        for name, numbers in stated.items():
            make(name, numbers)

    return _stated(model, "methods.json", read)


@typed
class _Sampling:
    guidance_scale: NonNegative


def guidance_of(loaded: Loaded) -> float:
    """The guidance scale of a model where none is given.

    That is what `sampling.json` in its folder states, such as `{"guidance_scale": 4.5}`; else
    the default of its pipeline's call; else 7.5. Of the hub's models the file is not fetched.

    Raises:
        ValueError: the file states something else.
    """
    stated = _stated(loaded.source.name, "sampling.json", lambda stated: _Sampling(**stated))
    parameters = inspect.signature(loaded.pipe.__call__).parameters
    own = getattr(parameters.get("guidance_scale"), "default", None)
    scale = stated.get("guidance_scale", own)
    return float(scale) if isinstance(scale, int | float) else 7.5


def _stated(model: str, name: str, check: Callable[[Any], object]) -> Mapping[str, Any]:
    """The table in a file of a model's folder; empty where there is none.

    Raises:
        ValueError: the file holds no table, or one that `check` refuses.
    """
    folder = local_folder(model)
    file = None if folder is None else folder / name
    if file is None or not file.is_file():
        return {}
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(stated, dict):
            raise ValueError("expected a table.")
        check(stated)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} cannot be used: {error} Mend the file, or take it away."
        ) from None
    return stated
