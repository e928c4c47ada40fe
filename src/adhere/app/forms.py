"""The parameters of a method as a form, made from its schema, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from adhere.methods import Method, parameters_of, with_parameters
from adhere.typed import schema, text_of

LONGEST_TEXT = 200
# A stranger may not ask for a million updates of one step.
LARGEST_COUNT = 200


def form_of(method: Method) -> dict[str, Component]:
    """A component for each parameter of a method, which shows its value.

    Free text, such as that of `layers`, is left out.
    """
    fields, values = schema(type(method))["properties"], parameters_of(method)
    offered = {n: s for n, s in fields.items() if s.get("type") != "string" or "enum" in s}
    return {n: _component(n, s, values[n]) for n, s in offered.items()}


def changed(form: Mapping[str, Component], data: Mapping[Any, Any]) -> dict[str, object]:
    """The parameters that a visitor has changed, from the values of all components.

    Raises:
        ValueError: a field is empty, or its text is too long.
    """
    found = {name: data[part] for name, part in form.items() if data[part] != part.value}
    for name, value in found.items():
        if value in (None, "") or len(str(value)) > LONGEST_TEXT:
            raise ValueError(f"{name} is empty or too long; give a value.")
    return found


def nursing(method: Method, values: Mapping[str, object]) -> Method:
    """A method with the parameters that a visitor has changed.

    Raises:
        ValueError: see `with_parameters`; or a count that is too large, which a text may hold.
    """
    made = with_parameters(method, values)
    for name in values:
        value = getattr(made, name)
        if isinstance(value, int) and value > LARGEST_COUNT:
            raise ValueError(f"{name} is {value:,}; on this page it may be {LARGEST_COUNT}.")
    return made


def shown(value: Any) -> Any:  # noqa: ANN401
    """A parameter's value as its component shows it."""
    return value if isinstance(value, bool | int | float) else text_of(value)


def _component(name: str, field: Mapping[str, Any], value: object) -> Component:
    told: dict[str, Any] = {"label": name.replace("_", " "), "value": shown(value)}
    told["info"] = field.get("description", "").capitalize()
    kind, low, high = field.get("type"), field.get("minimum"), field.get("maximum")
    if "enum" in field:
        return gr.Dropdown(field["enum"], **told)
    if kind == "boolean":
        return gr.Checkbox(**told)
    if kind == "integer":
        most = min(high or LARGEST_COUNT, LARGEST_COUNT)
        return gr.Number(minimum=low, maximum=most, precision=0, **told)
    if kind == "number":
        return gr.Number(minimum=low, maximum=high, **told)
    return gr.Textbox(max_length=LONGEST_TEXT, max_lines=1, **told)
