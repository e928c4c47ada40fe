"""Writes docs/api.md from the docstrings of the public names.

Run:
    python docs/make_api.py
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).with_name("api.md")

HEAD = """\
# API

```python
import adhere

print(adhere.__version__, [name for name in dir(adhere) if name[0].isupper()])
```

Made from docstrings by `python docs/make_api.py`; do not edit. The first section is all that most
programs need, by `import adhere`. The others serve [methods of your own](adding-a-method.md) and
programs that draw.
"""

# Module, what it is for, and its names: what other pages tell the reader to import.
MODULES = (
    ("adhere", "Everything by `import adhere`.", None),
    (
        "adhere.methods.base",
        "What a method is made of.",
        ("Method",),
    ),
    (
        "adhere.methods.registry",
        "Methods by name.",
        ("make", "with_parameters", "parameters_of", "MethodRecipe"),
    ),
    ("adhere.typed", "Typed values.", ("typed", "schema", "value_of", "text_of")),
    (
        "adhere.methods.schedule",
        "Places in the sampling loop.",
        ("step_index", "last_before", "check_window", "check_positions"),
    ),
    ("adhere.methods.weighted_sum", "Methods that add up.", ("WeightedSum",)),
    ("adhere.attention.columns", "What the text's columns stand for.", ("Columns",)),
    (
        "adhere.attention.maps",
        "Steps from attention maps to one map.",
        ("renormalise", "smooth", "select", "together"),
    ),
    (
        "adhere.methods.losses",
        "The papers' losses on single maps.",
        ("excitation", "total_variation", "total_variation_to_last_row")
        + ("jensen_shannon", "clipped_jensen_shannon"),
    ),
    (
        "adhere.subjects.relations",
        "Which subjects a prompt joins.",
        ("Relation", "find_relations"),
    ),
    ("adhere.nursing.trace", "What a trace holds.", ("RunTrace", "StepRecord")),
    ("adhere.mini", "The bundled model.", ("load", "folder")),
)

_SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Source")
_SECTION = re.compile(rf"^({'|'.join(_SECTIONS)}):(.*)$")
_MODULE = re.compile(r"\b(?:[a-zA-Z_]\w*\.)+(?=\w)")
_ITEM = re.compile(r"^    (\*{0,2}\w[\w.]*): (.*)$")


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for module_name, purpose, names in MODULES:
        module = import_module(module_name)
        parts.append(f"## `{module_name}`\n\n{purpose}\n")
        chosen = names or [n for n in module.__all__ if not inspect.ismodule(getattr(module, n))]
        parts += [_entry(name, getattr(module, name)) for name in chosen]
    return "\n".join(parts)


def _entry(name: str, value: object) -> str:
    """One public name."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        listed = ", ".join(f"`{key!r}`" for key in value)  # type: ignore[attr-defined]
        return f"### `{name}`\n\nA mapping from names to classes: {listed}.\n"
    lines = [f"### `{name}`", ""]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        lines += ["```text", _signature(name, value), "```", ""]
    lines += [_text(value), ""]
    if inspect.isclass(value):
        for own, member, kind in _members(value):
            lines += [f"#### `{name}.{own}`{kind}", ""]
            if callable(member):
                lines += ["```text", _signature(own, member), "```", ""]
            lines += [_text(member), ""]
    return "\n".join(lines)


def _members(kind: type) -> Iterator[tuple[str, object, str]]:
    """The public methods and properties that a class defines itself."""
    for name, member in vars(kind).items():
        if name.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            yield name, member, ", a property"
        elif isinstance(member, classmethod):
            yield name, getattr(kind, name), ", a class method"
        elif inspect.isfunction(member):
            yield name, member, ""


def _signature(name: str, value: object) -> str:
    """Name, parameters with types and defaults, and result, in one line or one a parameter."""
    signature = inspect.signature(value)  # type: ignore[arg-type]
    marks: list[str] = []
    is_keyword = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword:
            is_keyword = True
            marks.append("*")
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        shown = f"{star}{parameter.name}"
        if parameter.annotation is not parameter.empty:
            shown += f": {_type(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            is_made = type(parameter.default) is object or "factory" in repr(parameter.default)
            shown += " = ..." if is_made else f" = {parameter.default!r}"
        marks.append(shown)
    result = signature.return_annotation
    is_class = inspect.isclass(value)
    end = "" if is_class or result is signature.empty else f" -> {_type(result)}"
    line = f"{name}({', '.join(marks)}){end}"
    if len(line) <= 96:
        return line
    return "\n".join([f"{name}(", *(f"    {mark}," for mark in marks), f"){end}"])


def _type(annotation: object) -> str:
    """An annotation, names without their modules."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _MODULE.sub("", text)


def _text(value: object) -> str:
    """A docstring as Markdown."""
    doc = inspect.getdoc(value) or ""
    if dataclasses.is_dataclass(value) and doc.startswith(f"{getattr(value, '__name__', '')}("):
        return ""
    lines: list[str] = []
    section = None
    for line in doc.splitlines():
        found = _SECTION.match(line)
        if found:
            section = found[1]
            lines += [f"**{section}**{': ' + found[2].strip() if found[2].strip() else ''}"]
            lines += [""] if not found[2].strip() else []
        elif section in ("Args", "Attributes", "Raises") and (item := _ITEM.match(line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif section in ("Args", "Attributes", "Raises"):
            # Continuations of an item are indented by eight, its own lists by twelve.
            lines.append(line[6:] if line.strip() else "")
        elif section and line.strip():
            lines.append(line.strip())
        else:
            lines.append(line)
    return "\n".join(lines).strip()


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
