"""Typed values: frozen dataclasses that check their fields, and the schemas of forms.

    @typed
    class Spread(ScheduledMethod):
        weight: NonNegative = 0.5

A limit is written once, in the annotation. The constructor, `schema` (forms of the page, inputs of
nodes) and `value_of` (words of a command line) all read it there. `__post_init__` is for rules
that concern several fields.
"""

from __future__ import annotations

import inspect
import json
import math
import numbers
import operator
import re
import reprlib
from collections.abc import Mapping
from dataclasses import field
from functools import wraps
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from adhere.errors import unknown

T = TypeVar("T")

MOST_ITEMS = 1_000
LARGEST_COUNT = 1_000_000
"""A recipe of unknown origin may ask for no more of anything."""

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0), Le(LARGEST_COUNT)]
PositiveCount = Annotated[int, Ge(1), Le(LARGEST_COUNT)]
MOST_THREADS = 1_024
"""With more of them the system may give a process none, which ends it."""
Threads = Annotated[int, Ge(1), Le(MOST_THREADS)]


def _as_stored(values: Mapping[str, object]) -> dict[str, object]:
    parts: list[Any] = list(values.values())
    for _ in range(2):
        parts = [
            inner
            for part in parts
            for inner in (
                part if isinstance(part, list | tuple) and len(part) <= MOST_ITEMS else [part]
            )
        ]
    wrong = [
        part
        for part in parts
        if not (
            part is None
            or isinstance(part, bool)
            or (isinstance(part, str) and len(part) <= MOST_ITEMS and part.isprintable())
            or (isinstance(part, int) and abs(part) <= LARGEST_COUNT)
            or (isinstance(part, float) and math.isfinite(part))
        )
    ]
    if wrong:
        raise ValueError(
            "A stored value must be a number, a line of text or short lists of them, got "
            f"{reprlib.repr(wrong[0])}."
        )
    return json.loads(json.dumps(dict(values)))


# Printable as Python has it: no separator but the space, nothing of Unicode's "other" classes.
Line = Annotated[str, Field(pattern=r"^(?: |[^\p{C}\p{Z}])*$")]
"""Text without control characters."""

Name = Annotated[Line, MaxLen(100)]

Stored = Annotated[Mapping[Name, Any], AfterValidator(_as_stored)]
"""Names to values as JSON has them: scalars, or lists of scalars two deep."""

CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

_EXPECTED = {
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
    "too_long": "at most {max_length} items long",
    "too_short": "at least {min_length} items long",
    "string_too_long": "at most {max_length} characters long",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "True or False",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "string_pattern_mismatch": "one line of text without control characters",
    "tuple_type": "a list",
    "literal_error": "{expected}",
}
_OWN = {bool, int, float, str, type(None)}
_WORDS = {"none": None, "true": True, "yes": True, "on": True, "false": False, "no": False}
_WORDS["off"] = False


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def typed(kind: type[T]) -> type[T]:
    """Makes a class a frozen dataclass whose constructor checks and converts every field.

    Whole numbers are taken where floats are asked for, NumPy's numbers where Python's are, and
    lists where tuples are. Numbers must be finite. Text is never read as a number.

    Raises:
        ValueError: from the constructor; one line, see `message`.
    """
    made: Any = dataclass(frozen=True, config=CONFIG)(kind)
    construct = made.__init__

    @wraps(construct)
    def init(self: object, *values: object, **named: object) -> None:
        try:
            parts = plain((*values, *named.values()))
            named = dict(zip(named, parts[len(values) :], strict=True))
            construct(self, *parts[: len(values)], **named)
        except ValidationError as error:
            raise ValueError(message(error, made)) from None

    made.__init__ = init
    return made


def plain(value: Any) -> Any:  # noqa: ANN401
    """A value with Python's own numbers and with tuples for lists, at any depth."""
    if type(value) in (list, tuple):
        return tuple(part if type(part) in _OWN else plain(part) for part in value)
    if type(value) in _OWN:
        return value
    if isinstance(value, numbers.Integral):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) else value


def message(error: ValidationError, kind: type | None = None) -> str:
    """One line for the first thing that is wrong: what it must be, and what was given.

    Args:
        error: of pydantic.
        kind: the typed class whose fields were checked.
    """
    first = error.errors(include_url=False)[0]
    what, context = first["type"], first.get("ctx", {})
    if what == "value_error":
        return str(context["error"])
    fields = getattr(kind, "__pydantic_fields__", {})
    if what == "json_invalid":
        return "It is not valid JSON."
    name, *within = first["loc"] or ("value",)
    if isinstance(name, int) and name < len(fields):
        name = list(fields)[name]
    path = f"`{name}{''.join(f'[{p}]' if isinstance(p, int) else f'.{p}' for p in within)}`"
    example = getattr(fields.get(str(name)), "examples", None)
    hint = f" (for example {example[0]})" if example else ""
    if what == "unexpected_keyword_argument" and within:
        return f"{path} is no parameter, got {reprlib.repr(first['input'])}."
    if what in ("unexpected_keyword_argument", "unexpected_positional_argument"):
        return str(unknown("parameter", str(name), fields))
    if what == "missing":
        return f"{path} is missing{hint}."
    expected = _EXPECTED.get(what)
    if expected is None:
        expected = first["msg"].replace("Input should be", "").replace("Value", "").strip()
    got = reprlib.repr(first["input"])
    # A limit of 0.0 is written as 0.
    context = {n: text_of(v) if isinstance(v, int | float) else v for n, v in context.items()}
    return f"{path} must be {expected.format(**context)}{hint}, got {got}."


def value_of(text: str, hint: Any) -> object:  # noqa: ANN401
    """What a text of a command line says, as far as an annotation can take it.

    Args:
        text: what the annotation takes as text, or JSON ("10", "true", "[1.0, 0.5]"), "none",
            "on" and "off", "1.0,0.5" for several numbers, "0:0.05,0.2:0.5" for pairs.
        hint: a field's annotation.

    Returns:
        A value for the constructor to check; the text itself where it says nothing else.
    """
    try:
        return TypeAdapter(hint, config=CONFIG).validate_python(text)
    except ValidationError:
        return plain(_read(text))


def text_of(value: object) -> str:
    """The text that `value_of` reads as this value."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], list | tuple):
            return ",".join(":".join(text_of(part) for part in pair) for pair in value)
        return ",".join(text_of(part) for part in value)
    if isinstance(value, float):
        short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return short.replace("e+", "e")
    return str(value).lower()


def _read(text: str) -> object:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    pairs = ",".join(f"[{part.replace(':', ',')}]" for part in text.split(","))
    for form in (text, f"[{pairs if ':' in text else text}]"):
        try:
            return json.loads(form)
        except (ValueError, RecursionError):
            continue
    return text


def schema(kind: type) -> dict[str, Any]:
    """The JSON schema of a typed class: types, ranges, defaults, and what its docstring says.

    Descriptions of fields come from the `Attributes:` of the class and of its bases.
    """
    made = TypeAdapter(kind).json_schema()
    made["description"] = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    told = described(kind)
    for name, field_schema in made.get("properties", {}).items():
        if name in told:
            field_schema["description"] = told[name]
    return made


def described(kind: type) -> dict[str, str]:
    """What the `Attributes:` of a class and of its bases say of each name."""
    told = {}
    for base in reversed(kind.__mro__):
        told |= entries(inspect.cleandoc(base.__dict__.get("__doc__") or ""), "Attributes")
    return told


def entries(doc: str, section: str) -> dict[str, str]:
    """What a section of a docstring, such as "Args", says of each name."""
    found = re.search(rf"^{section}:\n((?: .*\n?|\n)*)", doc, re.MULTILINE)
    listed = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", found[1] if found else "", re.MULTILINE)
    return {name: re.sub(r"\s+", " ", words) for name, words in listed}
