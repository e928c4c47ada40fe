"""The parameters of a method as a form, made from its schema, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from adhere.typed import schema, text_of

LONGEST_TEXT = 200
# A stranger may not ask for a million updates of one step.
LARGEST_COUNT = 200


def fields_of(kind: type) -> dict[str, dict[str, Any]]:
    """The schema of each parameter that the page offers.

    Free text is left out: that of `layers` is a regular expression, which may run for ever.
    """
    listed = schema(kind)["properties"]
    return {n: s for n, s in listed.items() if s.get("type") != "string" or "enum" in s}


def form_of(kind: type, values: Mapping[str, object]) -> list[gr.components.Component]:
    """A component for each parameter.

    Args:
        kind: a method's class.
        values: what the components show at first.
    """
    return [_component(n, s, values[n]) for n, s in fields_of(kind).items()]


def shown(field: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401
    """A parameter's value as its component shows it."""
    return value if "enum" in field or field.get("type") in _PLAIN else text_of(value)


def changed(kind: type, values: Mapping[str, object], given: Sequence[Any]) -> dict[str, object]:
    """The parameters that a form has changed.

    Raises:
        ValueError: a field is empty, or its text is too long.
    """
    found = {}
    for (name, field), value in zip(fields_of(kind).items(), given, strict=True):
        same = value == shown(field, values[name])
        if value is None or (value == "" and not same) or len(str(value)) > LONGEST_TEXT:
            raise ValueError(f"{name} is empty or too long; give a value.")
        if not same:
            found[name] = value
    return found


def filled(kind: type, form: Sequence[Any], values: Mapping[str, object]) -> dict[Any, Any]:
    """What the components of a form show for the values of a recipe."""
    named = zip(fields_of(kind).items(), form, strict=True)
    return {part: shown(field, values[n]) for (n, field), part in named if n in values}


_PLAIN = ("number", "integer", "boolean")


def _component(name: str, field: Mapping[str, Any], value: Any) -> gr.components.Component:  # noqa: ANN401
    told: dict[str, Any] = {
        "label": name.replace("_", " "),
        "info": field.get("description", "").capitalize(),
        "value": shown(field, value),
    }
    low, high = field.get("minimum"), field.get("maximum")
    if "enum" in field:
        return gr.Dropdown(field["enum"], **told)
    if field.get("type") == "boolean":
        return gr.Checkbox(**told)
    if field.get("type") == "integer":
        most = LARGEST_COUNT if high is None else min(high, LARGEST_COUNT)
        return gr.Number(minimum=low, maximum=most, precision=0, **told)
    if (low, high) == (0, 1) and round(value, 2) == value:
        return gr.Slider(0, 1, step=0.01, **told)
    if field.get("type") == "number":
        return gr.Number(minimum=low, maximum=high, **told)
    return gr.Textbox(max_length=LONGEST_TEXT, max_lines=1, **told)
