"""Methods from their names and numbers, as words of a shell or of a recipe, and back."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from adhere.methods import METHODS, Method
from adhere.names import unknown
from adhere.values import as_hint, read


def method_named(name: str, *, official: bool = False, model: str | None = None) -> Method:
    """A method with the numbers of its paper, or with those that suit the bundled model.

    Args:
        name: one of `METHODS`.
        official: the authors' behaviour where it differs.
        model: what it will nurse; "mini" states numbers of its own, see `adhere.mini.tuned`.

    Raises:
        ValueError: no such method; the nearest name is suggested.
    """
    if name not in METHODS:
        raise unknown("method", name, [*METHODS, "none"])
    kind: Any = METHODS[name]
    if official:
        return kind.official()
    if model == "mini":
        from adhere import mini

        return mini.tuned(name)
    return kind()


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
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return str(getattr(value, "__qualname__", reprlib.repr(value)))[:200]
