"""The lines of a prompt file, each with every entry of the right type; see `own.py`."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, StringConstraints

from adhere.errors import AdhereWarning
from adhere.evaluation.sets import geneval
from adhere.evaluation.sets.mistakes import MOST_SHOWN, Mistake
from adhere.evaluation.sets.prompt import check_name
from adhere.typed import typed

COLUMNS = ("prompt", "id", "subjects", "colours", "counts", "attributes", "scene", "tag")
# No columns here, but they say what is wanted: to pass over them would lose it.
_OTHERWISE = ("wanted", "relations", "geneval", "include", "exclude")
_LONGEST_NAME = 100
_SPACES = str.maketrans(dict.fromkeys("\t\u2028\u2029", " "))


def _printed(text: str) -> str:
    """The text, unless it is empty or holds a control character."""
    if not text:
        raise ValueError("a text is empty; expected at least a letter.")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(
                f"a text has the control character U+{ord(character):04X}; take it out."
            )
    return text


Prompt = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2_000), AfterValidator(_printed)
]
Word = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(_printed)
]


@typed
class Row:
    """What a line of a file states; None where it states nothing for a subject.

    Attributes:
        prompt: the prompt.
        id: its name in the run's folders; rows that differ in it alone are equal.
        subjects: None where they are to be found.
        colours: of each subject, as are the two that follow.
        counts: how many.
        attributes: its other modifiers.
        scene: the words for place or time.
        tag: a kind, to sort results by.
        geneval: the row as GenEval's own file has it, as JSON.
        ignored: columns of the line that are not read.
        is_spaced: whether a text of the line had a tab, or a separator of lines, for a space.

    Raises:
        ValueError: an entry of another type or beyond its limits, lists of several lengths, a
            subject with a comma, or an id that cannot name a folder.
    """

    prompt: Prompt
    id: Prompt | None = field(default=None, compare=False)
    subjects: Annotated[tuple[Word, ...], MaxLen(20)] | None = None
    colours: tuple[Word | None, ...] | None = None
    counts: tuple[Annotated[int, Ge(1), Le(100)] | None, ...] | None = None
    attributes: tuple[tuple[Word, ...] | None, ...] | None = None
    scene: Word | None = None
    tag: Word | None = None
    geneval: str | None = None
    ignored: tuple[str, ...] = field(default=(), compare=False)
    is_spaced: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.id is not None:
            check_name("the id", self.id)
        several = next((one for one in self.subjects or () if "," in one), None)
        if several is not None and self.geneval is None:
            raise ValueError(
                f"the subject {several!r} has a comma; give each subject an entry of its own: in "
                '.csv "cat; dog", in .jsonl ["cat", "dog"].'
            )
        for name in ("colours", "counts", "attributes"):
            values = getattr(self, name)
            if values is None:
                continue
            if self.subjects is None:
                raise ValueError(f"{name} without subjects; say the subjects that they belong to.")
            if len(values) != len(self.subjects):
                raise ValueError(
                    f"{name} has {len(values)} entries for {len(self.subjects)} subjects; "
                    "expected one for each, empty where there is nothing to say."
                )


Rows = Iterator[tuple[int, Row | Mistake]]
"""Numbers of lines, from 1, and what they state, or what is wrong with them."""


def _of_txt(text: str) -> Rows:
    comments = []
    for line, prompt in _lines(text):
        if prompt.startswith("# "):
            comments.append(str(line))
        else:
            yield line, _row(line, {"prompt": prompt})
    if comments:
        warnings.warn(
            f"Lines that begin with # are comments, no prompts: {', '.join(comments)}.",
            AdhereWarning,
            stacklevel=2,
        )


def _of_jsonl(text: str) -> Rows:
    for line, content in _lines(text):
        said = _said(content)
        is_wrong = isinstance(said, str)
        yield line, Mistake(line, said) if is_wrong else _row(line, said, content)


def _said(content: str) -> dict[str, Any] | str:
    """The object that a line of .jsonl holds, or what is wrong with it."""
    try:
        row = json.loads(content, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        return f"no JSON at column {error.colno}: {error.msg}."
    except (ValueError, RecursionError) as error:
        return f"no JSON that is read here: {error}."
    if not isinstance(row, dict):
        return f'no object, got {row!r:.60}; expected {{"prompt": "a cat"}}.'
    return row


def _of_csv(text: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if names is None:
                    names = _header(cells, line)
                else:
                    yield line, _csv_row(line, names, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        yield line, Mistake(line, f"no CSV: {error}; double quotes open and close a cell.")


def _csv_row(line: int, names: Sequence[str], cells: Sequence[str]) -> Row | Mistake:
    if len(cells) != len(names):
        return Mistake(
            line,
            f"got {len(cells)} cells, expected {len(names)}, as the first line names; "
            "put what holds a comma between double quotes.",
        )
    pairs = zip(names, cells, strict=True)
    return _row(line, {n: _entries(n, c) if c.strip() else None for n, c in pairs})


READERS: Mapping[str, Callable[[str], Rows]] = {
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
    for name in COLUMNS:
        if names.count(name) > 1:
            raise Mistake(line, f"two columns are named {name}; leave one out.")
    try:
        _ignored(names)
    except ValueError as error:
        raise Mistake(line, str(error)) from None
    return names


def _ignored(names: Collection[str]) -> tuple[str, ...]:
    """The names that are no columns.

    Raises:
        ValueError: some are nearly columns that are not there, or say what is wanted in another
            way.
    """
    others = [name[:_LONGEST_NAME] for name in names if name not in COLUMNS]
    wrong = []
    for name in others:
        near = _nearest(name)
        if near is not None and near not in names:
            wrong.append(f"{name!r}: did you mean {near!r}?")
        elif name in _OTHERWISE:
            wrong.append(f"{name!r}.")
    if wrong:
        more = f" And {len(wrong) - MOST_SHOWN} more." if len(wrong) > MOST_SHOWN else ""
        raise ValueError(
            f"Unknown column{'s' if len(wrong) > 1 else ''} {' '.join(wrong[:MOST_SHOWN])}{more} "
            f"Available: {', '.join(COLUMNS)}; rename or leave out what is none of them."
        )
    return tuple(others)


@lru_cache(maxsize=1_000)
def _nearest(name: str) -> str | None:
    """The column that a name must mean: "colors", but not "seed" for "scene"."""
    return next(iter(get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)), None)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _entries(name: str, cell: str) -> Any:
    """A cell of .csv as what .jsonl would have: one entry a subject, None where it is empty."""
    if name not in ("subjects", "colours", "counts", "attributes"):
        return cell
    entries = [entry.strip() for entry in cell.split(";")]
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


def _row(line: int, said: Mapping[str, Any], content: str = "") -> Row | Mistake:
    """What a line states; GenEval's own row, whose text is `content`, is kept as it is."""
    try:
        if geneval.is_official(said):
            wanted = geneval.wanted(said)
            return Row(
                said["prompt"],
                subjects=tuple(one.subject for one in wanted),
                colours=tuple(one.colour for one in wanted),
                counts=tuple(one.count for one in wanted),
                tag=said["tag"],
                geneval=content,
            )
        ignored = tuple(n for n in _ignored(said) if said.get(n) is not None)
        stated = {n: v for n, v in said.items() if n in COLUMNS and v is not None}
        if "prompt" not in stated:
            raise ValueError("there is no prompt.")
        spaced = {n: _spaced(v) for n, v in stated.items()}
        return Row(**spaced, ignored=ignored, is_spaced=spaced != stated)
    except ValueError as error:
        return Mistake(line, str(error))


def _spaced(value: Any) -> Any:
    """A text with spaces for tabs and separators of lines; what is no text as it is."""
    return value.translate(_SPACES) if isinstance(value, str) else value
