"""Verbs from functions: options from annotations and typed classes, help from docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from adhere.cli.values import OF_KIND, PARSERS
from adhere.typed import described, entries, text_of


class Command(TyperCommand):
    """A verb that refuses an option given twice, or without its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Checks what the parser would pass over, then parses."""
        own = args[: args.index("--")] if "--" in args else args
        params: list[Any] = list(self.params)
        for option in params:
            if option.param_type_name != "option" or option.is_flag or option.multiple:
                continue
            places = [n for n, word in enumerate(own) if word.split("=")[0] in option.opts]
            name = option.opts[0]
            for place in places:
                _, is_joined, value = own[place].partition("=")
                if not is_joined:
                    value = own[place + 1] if place + 1 < len(own) else "--"
                    if value.startswith("--"):
                        ctx.fail(f"{name} needs a value")
                if not value and name != "--negative-prompt":
                    ctx.fail(f"{name} is empty; give a value, or leave it out")
            if len(places) > 1:
                ctx.fail(f"{name} is given twice")
        return super().parse_args(ctx, args)


class Verbs(TyperGroup):
    """Verbs that are imported when they are called.

    Attributes:
        verbs: name to a module, with ":" and the name of its typer app, its function, or its
            verbs below it; and a summary.
    """

    def __init__(self, verbs: Mapping[str, tuple[str, str]], **others: Any) -> None:  # noqa: ANN401
        super().__init__(rich_markup_mode=None, **others)
        self.verbs = verbs
        for name, (_, summary) in verbs.items():
            self.add_command(TyperCommand(name, help=summary, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """The verb's own command in place of its summary."""
        name, _, rest = super().resolve_command(ctx, args)
        module, _, member = self.verbs[str(name)][0].partition(":")
        made = getattr(import_module(module), member)
        if isinstance(made, Mapping):
            command = Verbs(made, name=name, help=self.verbs[str(name)][1])
        elif isinstance(made, typer.Typer):
            command = typer.main.get_command(made)
            command.name = name
        else:
            command = command_of(str(name), made)
        return name, command, rest


def command_of(name: str, function: Callable[..., None]) -> Any:  # noqa: ANN401
    """A function as a command."""
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(name, cls=Command)(verb(function))
    return typer.main.get_command(one)


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """A function as typer takes it.

    A parameter of a typed class becomes one option a field. What the `Attributes:` of the class
    and the `Args:` of the function say becomes the help. Positional parameters are arguments.
    """
    doc = inspect.cleandoc(function.__doc__ or "")
    told = entries(doc, "Args")
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for one in inspect.signature(function).parameters.values():
        hint = hints[one.name]
        if not hasattr(hint, "__pydantic_fields__"):
            default = None if one.default is one.empty else one.default
            is_argument = one.kind is one.POSITIONAL_OR_KEYWORD
            parameters.append(_parameter(one.name, hint, default, told, is_argument))
            continue
        own, helps = get_type_hints(hint), described(hint)
        defaults = {name: field.default for name, field in hint.__pydantic_fields__.items()}
        groups[one.name] = hint, list(own)
        parameters += [_parameter(n, own[n], d, helps, False) for n, d in defaults.items()]

    @wraps(function)
    def run(**given: Any) -> None:  # noqa: ANN401
        kept = {
            n: v for n, v in given.items() if not any(n in names for _, names in groups.values())
        }
        for name, (kind, names) in groups.items():
            chosen = {n: given[n] for n in names if given[n] not in (None, [])}
            kept[name] = kind(**chosen)
        function(**{n: v for n, v in kept.items() if v is not None})

    parameters.sort(key=lambda p: p.kind)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    text = re.split(r"\n(?:Args|Raises|Returns):", doc)[0]
    # Without this mark lines of examples would be joined.
    run.__doc__ = "\n\n".join(
        f"\b\n{part}" if part.startswith("  ") else part for part in text.split("\n\n")
    )
    return run


def _parameter(
    name: str,
    hint: Any,
    default: object,
    told: Mapping[str, str],
    is_argument: bool,  # noqa: ANN401
) -> inspect.Parameter:
    """One parameter as typer takes it: an argument, or an option with its help."""
    kind = inspect.Parameter.KEYWORD_ONLY
    inner = [part for part in get_args(hint) if part is not type(None)]
    base = inner[0] if get_origin(hint) in (Union, UnionType) else hint
    if is_argument:
        is_list, has_default = get_origin(base) is list, default is not None
        shown = typer.Argument(
            metavar=(name[:-1] if is_list else name).upper(), help=told.get(name)
        )
        first = inspect.Parameter.POSITIONAL_OR_KEYWORD
        empty = inspect.Parameter.empty
        if is_list or has_default:
            return inspect.Parameter(
                name, first, default=None, annotation=Annotated[base | None, shown]
            )
        return inspect.Parameter(name, first, default=empty, annotation=Annotated[base, shown])
    option = f"--{name.replace('_', '-')}"
    text = told.get(name, "").rstrip(".")
    if default not in (None, False, (), ""):
        text += f" [{text_of(default)}]"
    if base is bool:
        shown = typer.Option(option, help=text)
        return inspect.Parameter(name, kind, default=False, annotation=Annotated[bool, shown])
    if get_origin(base) is tuple and name not in PARSERS:
        shown = typer.Option(option, help=text, metavar=_metavar(name, base), show_default=False)
        return inspect.Parameter(
            name, kind, default=None, annotation=Annotated[list[str] | None, shown]
        )
    parser, metavar = PARSERS.get(name, (OF_KIND.get(base), _metavar(name, base)))
    # The singular is what many would try.
    names = (option, "--seed") if name == "seeds" else (option,)
    shown = typer.Option(*names, help=text, parser=parser, metavar=metavar, show_default=False)
    base = base if base is str and parser is None else Any if parser else str
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[base | None, shown])


def _metavar(name: str, base: Any) -> str:  # noqa: ANN401
    """How the help shows a value."""
    number = {int: "N", float: "X"}.get(base)
    is_setting = name == "set" and get_origin(base) is tuple
    return number or ("NAME=VALUE" if is_setting else name.rpartition("_")[2].upper())
