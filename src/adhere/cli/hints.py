"""What to say of an option that is not known."""

from __future__ import annotations

_WITH_METHOD = ("adhere draw", "adhere maps")


def hint_of(command: str, error: Exception) -> str | None:
    """What an option that is not known may have meant; None where the error is another one.

    Args:
        command: such as "adhere draw".
        error: of the parser.
    """
    option = str(getattr(error, "option_name", None) or "").split("=")[0]
    if not option:
        return None
    near: list[str] = list(getattr(error, "possibilities", None) or ())
    if command in _WITH_METHOD and not near[:1] == [option]:
        prefix, _, name = option.removeprefix("--").replace("-", "_").rpartition(".")
        known = _parameter(name, near)
        if known is not None:
            owner = f"{prefix.replace('_', '-')}." if prefix else ""
            said = (
                f"say --set {owner}{known}=VALUE"
                if known == name
                else (f"did you mean --set {owner}{known}=VALUE?")
            )
            return f"{option} is no option: {said}"
    hint = f": did you mean {near[0]}?" if near else ""
    return f"{option} is no option{hint}"


def _parameter(name: str, options: list[str]) -> str | None:
    """The parameter of a method that was meant, unless an option is nearer."""
    from dataclasses import fields

    from adhere.errors import nearest
    from adhere.methods import METHODS

    known = {one.name for kind in METHODS.values() for one in fields(kind)}  # type: ignore[arg-type]
    if name in known:
        return name
    said = nearest(name, [*known, *(one.removeprefix("--").replace("-", "_") for one in options)])
    return said if said in known else None
