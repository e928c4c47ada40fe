"""Methods from their names and numbers, as words of a shell or of a recipe, and back."""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from adhere.methods import METHODS, Method
from adhere.names import unknown

_WORDS_FOR_TRUTH = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


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
    read = {}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"parameter of {method.name}", name, known)
        try:
            read[name] = _read(value, hints[name])
        except ValueError as error:
            raise ValueError(
                f"{name} of {method.name} is {reprlib.repr(value)}, expected {error}."
            ) from None
    return replace(method, **read)  # type: ignore[type-var]


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


def _read(value: object, hint: Any) -> object:  # noqa: ANN401
    """The value as the type asks for it; the ValueError says what was expected."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        return _read(value, next(c for c in choices if c is not type(None)))
    if origin is Literal:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value
    if origin is tuple:
        return _read_several(value, choices)
    if hint is bool:
        return _read_truth(value)
    if hint in (int, float):
        return _read_number(value, hint)
    if hint is str and isinstance(value, str):
        return value
    raise ValueError("something that cannot be said in words; set it from Python")


def _read_truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS_FOR_TRUTH:
        return _WORDS_FOR_TRUTH[value.lower()]
    raise ValueError("true or false")


def _read_number(value: object, kind: type) -> int | float:
    expected = "a whole number" if kind is int else "a finite number"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        raise ValueError(expected) from None
    if not math.isfinite(number) or (isinstance(value, float) and number != value):
        raise ValueError(expected)
    return number


def _read_several(value: object, choices: tuple) -> tuple:
    nested = get_origin(choices[0]) is tuple
    expected = (
        "pairs such as 0:0.05,0.2:0.5" if nested else f"{len(choices)} numbers such as 1.0,0.5"
    )
    # Pairs are parted by commas and their numbers by colons; a flat list may have either.
    mark = "," if nested or (isinstance(value, str) and "," in value) else ":"
    parts = (value.split(mark) if value else []) if isinstance(value, str) else value
    if not isinstance(parts, Sequence):
        raise ValueError(expected)
    hints = [choices[0]] * len(parts) if choices[-1] is ... else list(choices)
    if len(hints) != len(parts):
        raise ValueError(expected)
    try:
        return tuple(_read(part, hint) for part, hint in zip(parts, hints, strict=True))
    except ValueError:
        raise ValueError(expected) from None
