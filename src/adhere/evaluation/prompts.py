"""The prompt sets by name: built in, or a file of the user's.

A built-in set is a file of the folder `prompt_sets`, named as the set: its source, and each prompt
with what it wants. To add one, add a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from adhere.errors import unknown
from adhere.evaluation.sets.own import READERS, own
from adhere.evaluation.sets.prompt import Joined, Prompt, PromptSet, Wanted, set_of
from adhere.printing import printable

__all__ = ["PROMPT_SETS", "Joined", "Prompt", "PromptSet", "Wanted", "describe", "prompt_set"]

_HOME = files("adhere.evaluation") / "prompt_sets"
PROMPT_SETS = tuple(
    sorted(f.name.removesuffix(".json") for f in _HOME.iterdir() if f.name.endswith(".json"))
)
"""Names of the built-in sets."""
_WIDEST = 80


def prompt_set(name: str) -> PromptSet:
    """A prompt set, by the name of a built-in one or the path of a file.

    Args:
        name: one of `PROMPT_SETS`, or a path that ends in .txt, .csv or .jsonl, which
            `adhere.evaluation.sets.own` describes.

    Raises:
        ValueError: no such set, or a file that is not as described; with the line's number.
    """
    if name in PROMPT_SETS:
        text = (_HOME / f"{name}.json").read_text(encoding="utf-8")
        return set_of({"name": name, **json.loads(text)})
    path = Path(name)
    if "\0" not in name and (path.suffix or len(path.parts) > 1):
        return own(path)
    mistake = unknown("prompt set", name, PROMPT_SETS)
    raise ValueError(f"{mistake} A file of your own ends in {', '.join(READERS)}.")


def describe(name: str | None = None) -> str:
    """A table for a terminal: all built-in sets, or the prompts of one.

    Args:
        name: a built-in set or the path of a file, as in `prompt_set`; None for the list.

    Returns:
        Lines without a newline at the end. Control characters of a user's prompts are spelled
        out.

    Raises:
        ValueError: see `prompt_set`.
    """
    if name is None:
        sets = [prompt_set(one) for one in PROMPT_SETS]
        rows = [(s.name, f"{len(s.prompts):7}", s.sha256[:8], s.source) for s in sets]
        return "\n".join(_table(("set", "prompts", "hash", "source"), rows))
    shown = prompt_set(name)
    rows = [(p.id, p.text, ", ".join(map(_said, p.wanted)) or "-") for p in shown.prompts]
    return "\n".join(
        [
            shown.name,
            f"{len(shown.prompts)} prompts; {shown.source}",
            f"sha256 {shown.sha256}",
            "",
            *_table(("id", "prompt", "wants"), rows),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; a column is at most 80 wide, and longer cells stick out."""
    table = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [
        max(min(len(cell), _WIDEST) for cell in column) for column in zip(*table, strict=True)
    ]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _said(wanted: Wanted) -> str:
    return wanted.phrase if wanted.count == 1 else f"{wanted.count} × {wanted.phrase}"
