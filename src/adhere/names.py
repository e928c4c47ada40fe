"""What to say of a name that is not known: what there is, and the one that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, or None where none is like it."""
    return next(iter(get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)), None)


def unknown(kind: str, name: str, known: Iterable[str], *, also: Iterable[str] = ()) -> ValueError:
    """The error for a name that is none of the known ones; to be raised.

    Args:
        kind: what it should name, such as "method".
        name: what was got.
        known: what there is.
        also: what might have been meant besides, too long to list.
    """
    there = list(known)
    near = nearest(name, [*there, *also])
    hint = f"did you mean {near!r}? " if near else ""
    return ValueError(f"unknown {kind} {name!r}: {hint}There is {', '.join(there)}.")
