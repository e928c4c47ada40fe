"""What to say of a name that is not known: what there is, and the one that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is none of the known ones; to be raised.

    Args:
        kind: what it should name, such as "method".
        name: what was got.
        known: what there is.
    """
    there = list(known)
    near = get_close_matches(name.lower(), there, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ValueError(f"unknown {kind} {name!r}: {hint}There is {', '.join(there)}.")
