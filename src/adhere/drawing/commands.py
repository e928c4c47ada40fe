"""The lines of Python and of a shell that draw the same image."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from adhere.drawing.loading import MINI, Loaded, device_named, usual_dtype
from adhere.drawing.stated import stated_numbers
from adhere.errors import SubjectNotFound
from adhere.subjects import Subject, find_subjects
from adhere.typed import text_of


def lines(
    loaded: Loaded, method: str, changed: Mapping[str, object], asked: Mapping[str, Any]
) -> dict[str, str]:
    """The lines by language.

    Args:
        loaded: the model.
        method: name of the method.
        changed: its parameters that are not those that the model states.
        asked: arguments of `adhere.draw`; those that are None are left out.
    """
    options = {**asked, "subjects": named(loaded.pipe, asked["prompt"], asked["subjects"])}
    prompt = options.pop("prompt")
    options["model"] = None if loaded.source.name == MINI else loaded.source.name
    place, kind = loaded.pipe.device, str(loaded.pipe.dtype).removeprefix("torch.")
    usual = device_named(None)
    options["dtype"] = None if kind == usual_dtype(loaded.source.name, place) else kind
    options["device"] = None if place.type == usual.type and not place.index else str(place)
    given = {name: value for name, value in options.items() if value is not None}
    # A method that is made by hand begins with its defaults, not with what the model states.
    stated = stated_numbers(loaded.source.name).get(method, {})
    return {
        "Python": python_line(prompt, method, {**stated, **changed} if changed else {}, given),
        "Shell": shell_line(prompt, method, changed, given),
    }


def python_line(
    prompt: str, method: str, parameters: Mapping[str, object], options: Mapping[str, Any]
) -> str:
    """A call of `adhere.draw`."""
    made = f"adhere.methods.make({method!r}, {dict(parameters)!r})" if parameters else repr(method)
    texts = {name: repr(value) for name, value in options.items()}
    for kind in ("Subject(", "Attribute("):
        if "subjects" in texts:
            texts["subjects"] = texts["subjects"].replace(kind, f"adhere.{kind}")
    given = "".join(f", {name}={text}" for name, text in texts.items())
    return f"adhere.draw({prompt!r}, method={made}{given}).save('images')"


def shell_line(
    prompt: str, method: str, parameters: Mapping[str, object], options: Mapping[str, Any]
) -> str:
    """A command `adhere draw`."""
    words = {"method": method}
    for name, value in options.items():
        if name == "subjects":
            names = [one if isinstance(one, tuple) else (one,) for one in value]
            if not all(_is_word(part) for one in names for part in one):
                return "# A shell cannot name these subjects. Use the line of Python."
            words[name] = ",".join(":".join(map(str, one)) for one in names)
        else:
            words[name] = "x".join(map(str, value)) if name == "size" else text_of(value)
    given = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    given += [f"--set={name}={text_of(value)}" for name, value in parameters.items()]
    return shlex.join(["adhere", "draw", *given, "--", prompt])


def named(pipe: Any, prompt: str, subjects: Sequence[Subject]) -> list[Any] | None:  # noqa: ANN401
    """How subjects are named: None where they are found anyway, else by words if words suffice."""
    pairs = [(*(a.text for a in one.attributes), one.text) for one in subjects]
    # A noun alone is named by its word, or by its token where the word would bring attributes.
    words = [pair if len(pair) > 1 else pair[0] for pair in pairs]
    places = [
        one.token_indices[0] if one.text == word else word
        for one, word in zip(subjects, words, strict=True)
    ]
    for names in (None, words, places):
        with suppress(SubjectNotFound):
            if find_subjects(pipe, prompt, names) == tuple(subjects):
                return names
    return list(subjects)


def _is_word(part: object) -> bool:
    """Whether a shell's list of subjects can hold it, which a whole `Subject` cannot be."""
    return isinstance(part, int) or (isinstance(part, str) and part.replace(" ", "").isalpha())
