"""What is wrong with the lines of a prompt file, all of it in one message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

MOST_SHOWN = 10


class Mistake(ValueError):
    """What is wrong with a line of a file; what to do stands behind the first "; "."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def told(mistakes: Sequence[Mistake]) -> str:
    """What is wrong in which lines; those with one cure together, the first ten of each."""
    by_cure: dict[str, dict[str, list[int]]] = {}
    for mistake in mistakes:
        what, _, cure = str(mistake).partition("; ")
        by_cure.setdefault(cure, {}).setdefault(what, []).append(mistake.line)
    said = [_with_cure(cure, by_what) for cure, by_what in islice(by_cure.items(), MOST_SHOWN)]
    if len(by_cure) > MOST_SHOWN:
        said.append(f"{len(by_cure) - MOST_SHOWN} more kinds of mistakes are not shown.")
    return " ".join([said[0], *(text[0].upper() + text[1:] for text in said[1:])])


def numbered(lines: Sequence[int]) -> str:
    """Numbers of lines in words: "line 2", "lines 2, 5", "lines 1, ..., 10 and 90 more"."""
    shown = ", ".join(map(str, lines[:MOST_SHOWN]))
    more = f" and {len(lines) - MOST_SHOWN} more" if len(lines) > MOST_SHOWN else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"


def _with_cure(cure: str, by_what: dict[str, list[int]]) -> str:
    parts = [
        f"{numbered(lines)}: {what.removesuffix('.')}"
        for what, lines in islice(by_what.items(), MOST_SHOWN)
    ]
    more = sum(map(len, islice(by_what.values(), MOST_SHOWN, None)))
    if more:
        parts.append(f"the like on {more} more lines")
    return "; ".join(parts) + (f"; {cure}" if cure else ".")
