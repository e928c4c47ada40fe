"""`adhere tokens`: the tokens of a prompt, their columns, and the subjects found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from adhere.printing import printable
from adhere.subjects.text import check_prompt

if TYPE_CHECKING:
    from adhere.subjects import Subject


def tokens(prompt: str, *, subjects: Any = None, model: str = "mini") -> None:  # noqa: ANN401
    """List the tokens of a prompt with their indices, and the subjects found in it.

    In joint attention, and where attention has the words at other columns than their indices, the
    columns of each text encoder are listed too; columns below 0 count from the end.

      adhere tokens "a green backpack and a pink chair"

    Args:
        prompt: what would be drawn, in English.
        subjects: what the image must hold, where it shall not be found in the prompt.
        model: mini or mini-joint (bundled), a folder in diffusers' layout, or a hub id.
    """
    from adhere.drawing.outline import load_outline
    from adhere.families import family_of
    from adhere.families.listing import tokens as tokens_of
    from adhere.subjects import find_subjects

    check_prompt(prompt)
    pipe = load_outline(model)
    family = family_of(pipe)
    found = find_subjects(family.encoders()[0].tokenizer, prompt, subjects)
    listed = tokens_of(pipe, prompt)
    roles = _roles(found)
    rows = [[str(token.index), printable(token.text)] for token in listed]
    is_elsewhere = any(c != (token.index,) for token in listed for c in token.columns.values())
    if family.is_joint or is_elsewhere:
        for row, token in zip(rows, listed, strict=True):
            row += [_numbers(columns) for columns in token.columns.values()]
        rows.insert(0, ["", "token", *listed[0].columns])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(widths[0], 4)
    notes = [
        "cut off" if t.is_cut else printable("; ".join(roles.get(t.index, []))) for t in listed
    ]
    notes[:0] = [""] * (len(rows) - len(notes))
    for (index, *cells), note in zip(rows, notes, strict=True):
        padded = [f"{cell:{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([f"{index:>{widths[0]}}", *padded, note]).rstrip())


def _roles(found: Sequence[Subject]) -> dict[int, list[str]]:
    """Index of a token to what it stands for."""
    roles: dict[int, list[str]] = {}
    for subject in found:
        number = f", {subject.count} of them" if subject.count > 1 else ""
        for index in subject.token_indices:
            roles.setdefault(index, []).append(f"subject {subject.text}{number}")
        for attribute in subject.attributes:
            for index in attribute.token_indices:
                roles.setdefault(index, []).append(f"{attribute.text}, of {subject.text}")
    return roles


def _numbers(columns: Sequence[int]) -> str:
    """Columns as text, neighbours as a range; a hyphen for none."""
    runs = [
        [column for _, column in run]
        for _, run in groupby(enumerate(columns), lambda pair: pair[1] - pair[0])
    ]
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return ", ".join(parts) or "-"
