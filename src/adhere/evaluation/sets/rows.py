"""The lines of a prompt file, each with every entry of the right type; see `own.py`."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from adhere.errors import unknown
from adhere.evaluation.sets import official as geneval

LONGEST_PROMPT = 2_000
MOST_SUBJECTS = 20
LARGEST_COUNT = 100
LONGEST_WORD = 100
COLUMNS = ("prompt", "id", "subjects", "colours", "counts", "attributes", "scene", "tag")
_OF_SUBJECTS = ("colours", "counts", "attributes")


@dataclass(frozen=True)
class Row:
    """What a line of a file states; lists of None where it states nothing for a subject.

    Attributes:
        line: its number in the file, from 1.
        subjects: None where they are to be found.
        geneval: the row as GenEval's own file has it, as JSON.
    """

    line: int
    prompt: str
    id: str | None = None
    subjects: tuple[str, ...] | None = None
    colours: tuple[str | None, ...] = ()
    counts: tuple[int | None, ...] = ()
    attributes: tuple[tuple[str, ...], ...] = ()
    scene: str | None = None
    tag: str | None = None
    geneval: str | None = None


class Mistake(ValueError):
    """What is wrong with a line of a file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _of_txt(text: str) -> Iterator[Row]:
    for line, prompt in _lines(text):
        yield Row(line, prompt)


def _of_jsonl(text: str) -> Iterator[Row]:
    for line, content in _lines(text):
        try:
            row = json.loads(content, object_pairs_hook=_object, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            raise Mistake(line, f"no JSON at column {error.colno}: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise Mistake(line, f"no JSON that is read here: {error}.") from None
        if not isinstance(row, dict):
            raise Mistake(line, f'got {_kind(row)}, expected an object: {{"prompt": "a cat"}}.')
        if geneval.is_official(row):
            yield _of_geneval(line, row, content)
            continue
        for name in row:
            _known(name, line)
        yield _row(line, row, _as_list)


def _of_geneval(line: int, row: Mapping[str, Any], content: str) -> Row:
    """A row of GenEval's own file, kept as it is."""
    try:
        wanted = geneval.wanted(row)
    except ValueError as error:
        raise Mistake(line, str(error)) from None
    return Row(
        line,
        word_of(row["prompt"], "prompt", line, LONGEST_PROMPT),
        subjects=tuple(word_of(one.subject, "class", line) for one in wanted),
        colours=tuple(one.colour for one in wanted),
        counts=tuple(_count(one.count, line) for one in wanted),
        tag=word_of(row["tag"], "tag", line),
        geneval=content,
    )


def _of_csv(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if names is None:
                    names = _header(cells, line)
                elif len(cells) != len(names):
                    raise Mistake(
                        line,
                        f"got {len(cells)} cells, expected {len(names)}, as the first line names; "
                        "put what holds a comma between double quotes.",
                    )
                else:
                    filled = {n: c for n, c in zip(names, cells, strict=True) if c.strip()}
                    yield _row(line, filled, _as_cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise Mistake(line, f"no CSV: {error}; double quotes open and close a cell.") from None


READERS: Mapping[str, Callable[[str], Iterator[Row]]] = {
    ".txt": _of_txt,
    ".csv": _of_csv,
    ".jsonl": _of_jsonl,
}


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers and without spaces at their ends."""
    # Not splitlines, which also splits at characters that editors do not count as line ends.
    for line, content in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if content.strip():
            yield line, content.strip()


def _header(cells: Sequence[str], line: int) -> list[str]:
    """The names of the columns."""
    names = [cell.strip().lower() for cell in cells]
    if len(names) == 1 and re.search(r"[;\t]", names[0]):
        raise Mistake(line, "the columns are not separated by commas; save the file with commas.")
    if "prompt" not in names:
        raise Mistake(
            line,
            f"no column is named prompt; expected a first line with the columns' names, of "
            f"{', '.join(COLUMNS)}.",
        )
    for name in names:
        _known(name, line)
        if names.count(name) > 1:
            raise Mistake(line, f"two columns are named {name}; leave one out.")
    return names


def _known(name: str, line: int) -> None:
    if name not in COLUMNS:
        raise Mistake(line, str(unknown("column", name[:LONGEST_WORD], COLUMNS)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _as_list(value: Any, name: str, line: int) -> list[Any]:
    """A value of .jsonl that must be a list."""
    if not isinstance(value, list):
        raise Mistake(line, f"{name} is {_kind(value)}; expected a list.")
    return value


def _as_cells(value: str, name: str, line: int) -> list[Any]:
    """A cell of .csv as what .jsonl would have: one entry a subject, None where it is empty."""
    entries: list[Any] = [entry.strip() for entry in value.split(";")]
    if name == "subjects":
        return entries
    if name == "attributes":
        return [[part.strip() for part in entry.split(",") if part.strip()] for entry in entries]
    if name == "counts":
        # What is no number stays as it is, to be shown when it is refused.
        return [
            int(entry) if re.fullmatch(r"[0-9]{1,9}", entry) else entry or None
            for entry in entries
        ]
    return [entry or None for entry in entries]


def _row(line: int, row: Mapping[str, Any], entries: Callable[[Any, str, int], list[Any]]) -> Row:
    """A row whose every entry has the right type."""
    said = {name: value for name, value in row.items() if value is not None}
    if "prompt" not in said:
        raise Mistake(line, "there is no prompt.")
    row_of = partial(
        Row,
        line,
        word_of(said["prompt"], "prompt", line, LONGEST_PROMPT),
        id=word_of(said["id"], "id", line, LONGEST_PROMPT) if "id" in said else None,
        scene=word_of(said["scene"], "scene", line) if "scene" in said else None,
        tag=word_of(said["tag"], "tag", line) if "tag" in said else None,
    )
    if "subjects" not in said:
        stated = [name for name in _OF_SUBJECTS if name in said]
        if stated:
            raise Mistake(
                line, f"{stated[0]} without subjects; say the subjects that they belong to."
            )
        return row_of()
    subjects = [word_of(x, "subjects", line) for x in entries(said["subjects"], "subjects", line)]
    if len(subjects) > MOST_SUBJECTS:
        raise Mistake(line, f"{len(subjects)} subjects; expected up to {MOST_SUBJECTS}.")
    lists = {name: entries(said[name], name, line) for name in _OF_SUBJECTS if name in said}
    for name, values in lists.items():
        if len(values) != len(subjects):
            raise Mistake(
                line,
                f"{name} has {len(values)} entries for {len(subjects)} subjects; expected one for "
                "each, empty where there is nothing to say.",
            )
    return row_of(
        subjects=tuple(subjects),
        colours=tuple(
            None if x is None else word_of(x, "colours", line) for x in lists.get("colours", ())
        ),
        counts=tuple(_count(x, line) for x in lists.get("counts", ())),
        attributes=tuple(_modifiers(x, line) for x in lists.get("attributes", ())),
    )


def word_of(value: Any, name: str, line: int, longest: int = LONGEST_WORD) -> str:
    """Text that is not empty, not endless and holds no control characters."""
    if not isinstance(value, str):
        raise Mistake(line, f"{name} has {_kind(value)}; expected text.")
    text = value.strip()
    if not text:
        raise Mistake(line, f"{name} has an empty text; expected at least a letter.")
    if len(text) > longest:
        raise Mistake(line, f"{name} has {len(text)} characters; expected up to {longest}.")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise Mistake(
                line, f"{name} has the control character U+{ord(character):04X}; take it out."
            )
    return text


def _modifiers(value: Any, line: int) -> tuple[str, ...]:
    """The modifiers of one subject."""
    if value is None:
        return ()
    return tuple(word_of(x, "attributes", line) for x in _as_list(value, "attributes", line))


def _count(value: Any, line: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_COUNT:
        shown = repr(value) if isinstance(value, int | float | str) else _kind(value)
        raise Mistake(
            line, f"counts has {shown[:40]}; expected a whole number from 1 to {LARGEST_COUNT}."
        )
    return value


def _kind(value: Any) -> str:
    """What a value of JSON is, in words."""
    kinds = {type(None): "null", bool: "true or false", str: "text", list: "a list"}
    return kinds.get(type(value), "an object" if isinstance(value, dict) else "a number")
