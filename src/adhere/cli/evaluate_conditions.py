"""Conditions from the words of `--methods`: names, parameters, methods together."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from functools import partial

from adhere.drawing.png import slug
from adhere.drawing.stated import method_named, stated_numbers
from adhere.errors import unknown
from adhere.evaluation.plan import PLAIN, Condition
from adhere.methods import METHODS, LatentMethod, Method, with_parameters

_WHOSE = ("official", "stated")
_NUMBERS = re.compile(r"[-+.\d][-+.:\deE]*")


def conditions(text: str, model: str | None = None) -> tuple[Condition, ...]:
    """Conditions from "none,attend-and-excite,strong=attend-and-excite:step_size=40,stop=0.6".

    They are parted by commas. One is the name of a method, or several joined by "+"; of those that
    move latents the objectives are summed, each times the number before it, as in
    "attend-and-excite+0.5*divide-and-bind". A name of the condition's own may stand before it with
    "=", and parameters after it with ":", parted by commas. A
    parameter that two methods share is said as "method.parameter". "official=true" asks for the
    authors' behaviour, and "stated=true" for the numbers that the model states. The plain control
    is added where it is missing.

    Args:
        text: the words.
        model: what is to be nursed, see `adhere.drawing.stated.stated_numbers`.

    Raises:
        ValueError: an unknown method or parameter, the same name twice, or a model that states
            nothing of a method.
    """
    found = [_condition(entry, model) for entry in _entries(text)]
    if all(one.name != PLAIN for one in found):
        found.insert(0, Condition(PLAIN))
    return tuple(found)


def _entries(text: str) -> list[str]:
    """The text of each condition: commas also part parameters, and the numbers of one."""
    entries: list[str] = []
    for piece in (piece.strip() for piece in text.split(",")):
        if not piece:
            raise ValueError(f"{text!r} has an empty condition; give none,attend-and-excite.")
        is_open = bool(entries) and ":" in entries[-1]
        if is_open and not _begins(piece):
            entries[-1] += f",{piece}"
        else:
            entries.append(piece)
    return entries


def _begins(piece: str) -> bool:
    """Whether a new condition begins here, rather than more of the last one's parameters."""
    if _NUMBERS.fullmatch(piece):
        return False
    head, is_named, rest = piece.partition("=")
    if not is_named:
        return True
    first = re.split(r"[:+]", rest)[0].rpartition("*")[2]
    return ":" in head or first in METHODS or first == PLAIN


def _condition(entry: str, model: str | None) -> Condition:
    head, _, settings = entry.partition(":")
    name, is_named, names = head.rpartition("=")
    terms = [_term(one) for one in names.split("+")] if names != PLAIN else []
    methods = [method for _, method in terms]
    if not methods and (settings or is_named):
        raise ValueError(
            f"{PLAIN!r} is the plain control; it has no parameters and no other name."
        )
    for word, value in _in_order(_parameters(settings), entry):
        methods = _with(methods, word, value, entry, model)
    methods = [_weighed(weight, m) for (weight, _), m in zip(terms, methods, strict=True)]
    own = name.strip() if is_named else entry if entry in (*METHODS, PLAIN) else slug(entry)
    return Condition.of(own, *methods)


def _term(text: str) -> tuple[float | None, Method]:
    """A weight, if any, and a method, from "0.5*divide-and-bind"."""
    weight, is_weighed, name = text.strip().rpartition("*")
    if name == PLAIN:
        raise ValueError(f"{PLAIN!r} is the plain control and goes with no other method.")
    method = method_named(name.strip())
    if not is_weighed:
        return None, method
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"Got {weight!r} times {method.name}; give a finite number.")
    return number, method


def _weighed(weight: float | None, method: Method) -> Method:
    if weight is None:
        return method
    if not isinstance(method, LatentMethod):
        raise ValueError(
            f"Got {weight} times {method.name!r}, which minimises nothing that could be weighed; "
            "only methods that move latents take a weight."
        )
    return weight * method


def _parameters(settings: str) -> list[tuple[str, str]]:
    """Pairs of parameter and value; a piece without "=" is more of the value before it."""
    found: list[tuple[str, str]] = []
    for piece in settings.split(",") if settings else []:
        name, is_new, value = piece.partition("=")
        if is_new:
            found.append((name.strip().replace("-", "_"), value))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]},{piece}")
        else:
            raise ValueError(f"{piece!r} is no parameter; say name=value, as in step_size=10.")
    return found


def _in_order(words: list[tuple[str, str]], entry: str) -> list[tuple[str, str]]:
    """Whose numbers a method begins with comes first, and what is said of all before one's own."""
    prefixes = [word.rpartition(".")[0] for word, _ in words if word.endswith(_WHOSE)]
    twice = [prefix for prefix in prefixes if prefixes.count(prefix) > 1]
    if twice:
        raise ValueError(f"{entry!r} says more than once whose numbers to take; say it once.")
    return sorted(words, key=lambda pair: (not pair[0].endswith(_WHOSE), "." in pair[0]))


def _with(
    methods: list[Method], word: str, value: str, entry: str, model: str | None
) -> list[Method]:
    """The methods with one parameter set."""
    prefix, _, name = word.rpartition(".")
    prefix = prefix.replace("_", "-")
    chosen = [n for n, m in enumerate(methods) if prefix in ("", m.name)]
    if not chosen:
        raise unknown("method of the condition", prefix, [m.name for m in methods])
    if name in _WHOSE and value.lower() == "true":
        whose = _official if name == "official" else partial(_stated, model)
        return [whose(m.name) if n in chosen else m for n, m in enumerate(methods)]
    owners = [n for n in chosen if name in _known(methods[n])]
    if len(owners) > 1:
        ways = " or ".join(f"{methods[n].name}.{name}" for n in owners)
        raise ValueError(f"Got {name} in {entry!r}, which two methods have; say {ways}.")
    if not owners:
        there = [parameter for n in chosen for parameter in _known(methods[n])]
        said = " and ".join(methods[n].name for n in chosen)
        raise unknown(f"parameter of {said}", name, there)
    methods = list(methods)
    methods[owners[0]] = with_parameters(methods[owners[0]], {name: value})
    return methods


def _official(name: str) -> Method:
    return method_named(name, official=True)


def _stated(model: str | None, name: str) -> Method:
    if model is None or name not in stated_numbers(model):
        raise ValueError(
            f"Got stated=true, but the model {model!r} states no numbers for {name!r} (a file "
            "methods.json in its folder would); leave it out, or say the numbers."
        )
    return method_named(name, model=model)


def _known(method: Method) -> list[str]:
    return [field.name for field in fields(method)]  # type: ignore[arg-type]
