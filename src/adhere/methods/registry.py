"""Methods by their names and parameters, and back: what recipes, plans, pages and nodes use."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, fields, is_dataclass, replace
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, get_type_hints

from adhere import methods
from adhere.errors import unknown
from adhere.methods.base import LatentMethod, Method
from adhere.methods.schedule import Schedule
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum
from adhere.typed import Name, Stored, typed, value_of

WEIGHT = "weight in the sum"
"""Of a term of a sum, in a recipe; no parameter can have such a name."""


def _found() -> Iterator[type[Method]]:
    for module in iter_modules(methods.__path__):
        name = f"{methods.__name__}.{module.name}"
        if name == __name__:
            continue
        for kind in vars(import_module(name)).values():
            is_own = isinstance(kind, type) and kind.__module__ == name
            if is_own and issubclass(kind, Method) and hasattr(kind, "official"):
                yield kind


METHODS: Mapping[str, type[Method]] = MappingProxyType({kind.name: kind for kind in _found()})


@typed
class MethodRecipe:
    """A method's name and all its parameters, as JSON has them."""

    name: Name
    parameters: Stored = field(default_factory=dict)


def make(
    name: str, parameters: Mapping[str, object] | None = None, *, official: bool = False
) -> Method:
    """A method from its name and parameters.

    Args:
        name: one of `METHODS`.
        parameters: values of its parameters, or texts that say them, see `with_parameters`; all
            others have their defaults.
        official: start from the behaviour of the authors' code where it differs.

    Raises:
        ValueError: no such method or parameter (the nearest name is suggested), or a value that
            the parameter does not take.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    kind: Any = METHODS[name]
    return with_parameters(kind.official() if official else kind, parameters or {})


def with_parameters(method: Method | type[Method], values: Mapping[str, object]) -> Method:
    """A method with other parameters.

    Args:
        method: a method that is a dataclass, or its class for its defaults.
        values: parameter name to value, or to a text that says it: "10", "true", "row",
            "1.0,0.5" for several numbers, "0:0.05,0.2:0.5" for pairs, or JSON.

    Raises:
        ValueError: no such parameter, or a value that it does not take.
    """
    known = [one.name for one in fields(method)]  # type: ignore[arg-type]
    kind, build = (
        (method, method) if isinstance(method, type) else (type(method), partial(replace, method))  # type: ignore[arg-type]
    )
    hints = get_type_hints(kind, include_extras=True)
    given = {}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"parameter of {method.name}", name, known)
        given[name] = value_of(value, hints[name]) if isinstance(value, str) else value
    try:
        return build(**given)  # type: ignore[type-var]
    except ValueError as error:
        raise ValueError(f"{method.name}: {error}") from None


def parameters_of(method: Method) -> dict[str, object]:
    """All parameters of a method, as JSON has them.

    What JSON has no form for, such as a user's function, is given by its name or short `repr`.
    """
    if not is_dataclass(method):
        return {}
    return json.loads(
        json.dumps({one.name: getattr(method, one.name) for one in fields(method)}, default=_short)
    )


def recipes_of(used: Sequence[Method]) -> tuple[MethodRecipe, ...]:
    """Methods as an image's recipe has them.

    Of a sum every term, with its weight, after a schedule of its own.
    """
    found = []
    for method in used:
        if isinstance(method, WeightedSum):
            if method.own_schedule:
                found.append(MethodRecipe(method.name, asdict(method.own_schedule)))
            for weight, term in method.terms:
                numbers = parameters_of(term) | {WEIGHT: float(weight)}
                found.append(MethodRecipe(term.name, numbers))
        else:
            found.append(MethodRecipe(method.name, parameters_of(method)))
    return tuple(found)


def methods_of(recipes: Sequence[MethodRecipe]) -> list[Method]:
    """The methods of an image's recipe; several that move latents are one sum.

    Raises:
        ValueError: one that is not known here, such as a function of the user's; or parameters
            that it does not take.
    """
    kinds: dict[str, Any] = {**METHODS, Watch.name: Watch}
    found: list[Method] = []
    terms: list[tuple[Any, LatentMethod]] = []
    place, is_sum, own_schedule = 0, False, None
    for recipe in recipes:
        if recipe.name == WeightedSum.name:
            own_schedule = Schedule(**recipe.parameters)
            continue
        if recipe.name not in kinds:
            raise ValueError(
                f"The method is {recipe.name!r}, which is none of {', '.join(kinds)}; "
                "draw again from the Python that has it."
            )
        numbers = dict(recipe.parameters)
        is_sum |= WEIGHT in numbers
        weight = numbers.pop(WEIGHT, 1.0)
        method = with_parameters(kinds[recipe.name](), numbers)
        if not isinstance(method, LatentMethod):
            found.append(method)
            continue
        place = place if terms else len(found)
        terms.append((weight, method))
    if own_schedule and not terms:
        raise ValueError("The recipe has a sum's schedule and no method that moves latents.")
    if is_sum or own_schedule or len(terms) > 1:
        found.insert(place, WeightedSum(tuple(terms), own_schedule))
    elif terms:
        found.insert(place, terms[0][1])
    return found


def _short(value: object) -> str:
    return str(getattr(value, "__qualname__", reprlib.repr(value)))[:200]
