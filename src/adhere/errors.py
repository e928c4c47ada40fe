"""The exceptions that `adhere` raises by name, and parts of the messages of others.

Every message says what is wrong, what was given and what to do, in one line.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class AdhereError(Exception):
    """Base of every named error of this library."""


class AdhereWarning(UserWarning):
    """Every warning of this library: the work goes on, but not as it may have been meant."""


class SubjectNotFound(AdhereError):
    """No subject, or not the one that was named, is among the tokens of the prompt."""


class UnsupportedPipeline(AdhereError):
    """The pipeline, or a switch that is on in it, cannot be nursed."""


class NoAttentionRecorded(AdhereError):
    """A layer that the method reads never called `scaled_dot_product_attention`."""


class AlreadyNursed(AdhereError):
    """The pipeline is inside another `nurse` block."""


class NonFiniteLoss(AdhereError):
    """The loss, its gradient or the latents became NaN or infinite."""


class UnfitPrompt(AdhereError, ValueError):
    """The prompt has fewer subjects than the method needs, or more than it can place."""


def is_out_of_memory(error: BaseException) -> bool:
    """Each kind of device says it in its own way, and only CUDA by a class."""
    is_said = any(words in str(error) for words in ("can't allocate memory", "out of memory"))
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or is_said


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind, with no full stop; at most 300 letters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(" .")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, or None where none is like it."""
    return next(iter(get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)), None)


def unknown(what: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is not known, with the nearest known one; to be raised.

    Args:
        what: it should name, such as "method".
        name: what was given.
        known: what is available.
    """
    there = list(known)
    near = nearest(name, there)
    hint = f": did you mean {near!r}?" if near else "."
    return ValueError(f"Unknown {what} {name!r}{hint} Available: {', '.join(there)}.")
