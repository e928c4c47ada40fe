"""Values of parameters: what their types allow, whoever gives them, and in whatever form."""

from __future__ import annotations

import math
import numbers
import reprlib
import types
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LARGEST_WHOLE = 1_000_000
"""Whole numbers are lengths, counts and seeds; a stranger's recipe may ask for no more."""

_WORDS_FOR_TRUTH = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


def fit(method: object, kind: type) -> None:
    """Makes every field of a frozen dataclass what its annotation says.

    A number of NumPy becomes one of Python and a list a tuple, so that a picture's recipe can
    hold all of them. What has an annotation of another kind is left as it is.

    Args:
        method: an instance that is being made.
        kind: the class whose fields are meant; those of a subclass are its own affair.

    Raises:
        ValueError: a value of another type, one that is not finite, or too large a one.
    """
    for name, hint in _hints(kind).items():
        value = getattr(method, name)
        try:
            object.__setattr__(method, name, as_hint(value, hint))
        except ValueError as error:
            raise ValueError(f"got {name} {reprlib.repr(value)}, expected {error}.") from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def as_hint(value: object, hint: Any) -> object:  # noqa: ANN401
    """A value as its type asks for it.

    Args:
        value: anything.
        hint: bool, int, float, a Literal, a tuple of these, or one of these or None. Values of
            any other are given back as they are.

    Raises:
        ValueError: it cannot be one; the message says only what was expected.
    """
    origin, choices = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else as_hint(value, _besides_none(hint))
    if origin is Literal:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(_said_several(hint))
        return _each(value, hint, as_hint)
    if hint is bool and not isinstance(value, bool):
        raise ValueError("true or false")
    return _number(value, hint) if hint in (int, float) else value


def read(text: str, hint: Any) -> object:  # noqa: ANN401
    """A value from words, as its type asks for it.

    Args:
        text: "10", "true", "row", "none", "1.0,0.5" for several numbers, "0:0.05,0.2:0.5" for
            pairs.
        hint: see `as_hint`; also str.

    Raises:
        ValueError: it says none; the message says only what was expected.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if text.lower() == "none" else read(text, _besides_none(hint))
    if origin is tuple:
        # Pairs are parted by commas and their numbers by colons; a flat list may have either.
        mark = "," if _is_nested(hint) or "," in text else ":"
        return _each(text.split(mark) if text else [], hint, read)
    if hint is bool:
        return as_hint(_WORDS_FOR_TRUTH.get(text.lower()), bool)
    if hint in (int, float):
        try:
            return as_hint(hint(text), hint)
        except ValueError:
            raise ValueError(_said_number(hint)) from None
    if origin is Literal or hint is str:
        return as_hint(text, hint)
    raise ValueError("something that cannot be said in words; set it from Python")


def _each(parts: Sequence, hint: Any, take: Any) -> tuple:  # noqa: ANN401
    """The parts of a tuple, each as its own type asks for it."""
    choices = get_args(hint)
    hints = [choices[0]] * len(parts) if choices[-1] is ... else list(choices)
    try:
        return tuple(take(part, one) for part, one in zip(parts, hints, strict=True))
    except ValueError:
        raise ValueError(_said_several(hint)) from None


def _number(value: object, kind: type) -> int | float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(_said_number(kind))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(_said_number(kind))
    if kind is float:
        return number
    if number != int(number) or abs(number) > LARGEST_WHOLE:
        raise ValueError(_said_number(kind))
    return int(number)


def _besides_none(hint: Any) -> Any:  # noqa: ANN401
    return next(choice for choice in get_args(hint) if choice is not type(None))


def _is_nested(hint: Any) -> bool:  # noqa: ANN401
    return get_origin(get_args(hint)[0]) is tuple


def _said_number(kind: type) -> str:
    return f"a whole number up to {LARGEST_WHOLE}" if kind is int else "a finite number"


def _said_several(hint: Any) -> str:  # noqa: ANN401
    if _is_nested(hint):
        return "pairs such as 0:0.05,0.2:0.5, in Python ((0.0, 0.05), (0.2, 0.5))"
    return f"{len(get_args(hint))} numbers such as 1.0,0.5"
