"""Methods with the parameters that a model states."""

from __future__ import annotations

import json
from collections.abc import Mapping

from adhere.drawing.loading import local_folder
from adhere.methods import Method, make


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
    folder = local_folder(model)
    file = None if folder is None else folder / "methods.json"
    if file is None or not file.is_file():
        return {}
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(stated, dict) or not all(isinstance(v, dict) for v in stated.values()):
            raise ValueError("expected a table of methods and their parameters.")
        for name, numbers in stated.items():
            make(name, numbers)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} cannot be used: {error} Mend the file, or take it away."
        ) from None
    return stated
