"""Methods from their names and numbers, as words of a shell or of a recipe, and back."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from adhere.loading import local_folder
from adhere.methods import METHODS, LatentMethod, Method
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum
from adhere.names import unknown
from adhere.recipe import MethodRecipe
from adhere.values import as_hint, read

# Of a term of a sum, in a recipe; no parameter can have such a name.
WEIGHT = "weight in the sum"


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
    if name not in METHODS:
        raise unknown("method", name, [*METHODS, "none"])
    kind: Any = METHODS[name]
    if official:
        return kind.official()
    stated = {} if model is None else stated_numbers(model)
    return with_parameters(kind(), stated.get(name, {}))


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
            raise ValueError("it is no table of methods and their parameters.")
        for name, numbers in stated.items():
            with_parameters(method_named(name), numbers)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} cannot be used: {error} Mend the file, or take it away."
        ) from None
    return stated


def recipes_of(methods: Sequence[Method]) -> tuple[MethodRecipe, ...]:
    """Methods as a picture's recipe has them: of a sum every term, with its weight."""
    found = []
    for method in methods:
        if isinstance(method, WeightedSum):
            for weight, term in method.terms:
                numbers = parameters_of(term) | {WEIGHT: float(weight)}
                found.append(MethodRecipe(term.name, numbers))
        else:
            found.append(MethodRecipe(method.name, parameters_of(method)))
    return tuple(found)


def methods_of(recipes: Sequence[MethodRecipe]) -> list[Method]:
    """The methods of a picture's recipe; several that move latents are one sum.

    Raises:
        ValueError: one that is not known here, such as a function of the user's; or numbers that
            it does not take.
    """
    kinds = {**METHODS, Watch.name: Watch}
    found: list[Method] = []
    terms: list[tuple[float, LatentMethod]] = []
    place, is_sum = 0, False
    for recipe in recipes:
        if recipe.name not in kinds:
            raise ValueError(
                f"The method is {recipe.name!r}, which is none of {', '.join(kinds)}; "
                "draw again from the Python that has it."
            )
        numbers = dict(recipe.parameters)
        is_sum |= WEIGHT in numbers
        weight = as_hint(numbers.pop(WEIGHT, 1.0), float)
        method = with_parameters(kinds[recipe.name](), numbers)
        if not isinstance(method, LatentMethod):
            found.append(method)
            continue
        place = place if terms else len(found)
        terms.append((weight, method))  # type: ignore[arg-type]
    if is_sum or len(terms) > 1:
        found.insert(place, WeightedSum(tuple(terms)))
    elif terms:
        found.insert(place, terms[0][1])
    return found


def with_parameters(method: Method, values: Mapping[str, object]) -> Method:
    """A method with other numbers.

    Args:
        method: a method that is a dataclass.
        values: parameter name to value, or to a text that says it: "10", "true", "row",
            "1.0,0.5" for several numbers, "0:0.05,0.2:0.5" for pairs.

    Raises:
        ValueError: no such parameter, or a value of another type.
    """
    hints = get_type_hints(type(method))
    known = [field.name for field in fields(method)]  # type: ignore[arg-type]
    given = {}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"parameter of {method.name}", name, known)
        try:
            hint = hints[name]
            given[name] = read(value, hint) if isinstance(value, str) else as_hint(value, hint)
        except ValueError as error:
            raise ValueError(
                f"{name} of {method.name} is {reprlib.repr(value)}, expected {error}."
            ) from None
    return replace(method, **given)  # type: ignore[type-var]


def parameters_of(method: Method) -> dict[str, object]:
    """All numbers of a method, as JSON has them.

    What JSON has no form for, such as a user's function, is given by its name or short `repr`.
    """
    if not is_dataclass(method):
        return {}
    return {field.name: _plain(getattr(method, field.name)) for field in fields(method)}


def said(value: object) -> str:
    """A parameter's value in the words that `with_parameters` reads."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Sequence):
            return ",".join(":".join(said(part) for part in pair) for pair in value)
        return ",".join(said(part) for part in value)
    if isinstance(value, float):
        # A plus would be one between methods.
        short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return short.replace("e+", "e")
    return str(value).lower()


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return str(getattr(value, "__qualname__", reprlib.repr(value)))[:200]
