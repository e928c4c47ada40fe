"""Which prompts a layout of an export can hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from adhere.evaluation.outcomes import Row
from adhere.evaluation.sets.mistakes import MOST_SHOWN

T = TypeVar("T")

_LONGEST_NAME = 255


def of_each_prompt(rows: Sequence[Row], made: Callable[[Row], T]) -> dict[str, T]:
    """What is made of each prompt, by its id.

    Args:
        rows: of them the first of each prompt is used.
        made: raises a `ValueError` of a prompt that the layout cannot hold; what to do stands
            behind its first "; ".

    Raises:
        ValueError: prompts of which it cannot be made, all of them.
    """
    firsts = {row.unit.prompt: row for row in reversed(rows)}
    found: dict[str, T] = {}
    refused = []
    for name in dict.fromkeys(row.unit.prompt for row in rows):
        try:
            found[name] = made(firsts[name])
        except ValueError as error:
            refused.append(str(error))
    if len(refused) > 1:
        reasons = "; ".join(reason.partition("; ")[0] for reason in refused[:MOST_SHOWN])
        more = len(refused) - MOST_SHOWN
        raise ValueError(
            f"This layout cannot hold {len(refused)} of the {len(firsts)} prompts of "
            f"{rows[0].unit.set!r}: {reasons}{f'; and {more} more' if more > 0 else ''}. Name "
            "another prompt set with --set, or another layout, or draw a run without these "
            "prompts; `adhere evaluate score` judges them as they are."
        )
    if refused:
        raise ValueError(refused[0])
    return found


def check_distinct(rows: Sequence[Row]) -> None:
    """Refuses two prompts of one text, which would share a folder."""
    ids: dict[str, str] = {}
    for row in rows:
        if ids.setdefault(row.text, row.unit.prompt) != row.unit.prompt:
            raise ValueError(
                f"Two prompts of the set have the text {row.text!r}, and would share a folder; "
                "export a set in which every prompt is another."
            )


def check_folder_name(text: str, reserved: int = 0) -> None:
    """Refuses a prompt that cannot be a file's name letter for letter, or hides or leaves it."""
    reason = None
    if "/" in text or "\0" in text:
        reason = "holds '/' or a NUL"
    elif text in ("", "..") or text.startswith("."):
        reason = "is empty or begins with a dot"
    elif len(os.fsencode(text)) + reserved > _LONGEST_NAME:
        reason = f"is longer than {_LONGEST_NAME - reserved} bytes"
    elif any(ord(letter) < 32 for letter in text):
        reason = "holds a control character"
    if reason is not None:
        raise ValueError(
            f"The prompt {text[:80]!r} {reason}, so it cannot name a file, which this layout "
            "needs letter for letter; export to another layout, such as tifa."
        )
