"""The lines of a prompt file, each with every entry of the right type; see `own.py`."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, StringConstraints

from adhere.errors import unknown
from adhere.evaluation.sets import official as geneval
from adhere.typed import typed

COLUMNS = ("prompt", "id", "subjects", "colours", "counts", "attributes", "scene", "tag")
_LONGEST_NAME = 100


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
        id: its name in the run's folders.
        subjects: None where they are to be found.
        colours: of each subject, as are the two that follow.
        counts: how many.
        attributes: its other modifiers.
        scene: the words for place or time.
        tag: a kind, to sort results by.
        geneval: the row as GenEval's own file has it, as JSON.

    Raises:
        ValueError: an entry of another type or beyond its limits, or lists of several lengths.
    """

    prompt: Prompt
    id: Prompt | None = None
    subjects: Annotated[tuple[Word, ...], MaxLen(20)] | None = None
    colours: tuple[Word | None, ...] | None = None
    counts: tuple[Annotated[int, Ge(1), Le(100)] | None, ...] | None = None
    attributes: tuple[tuple[Word, ...] | None, ...] | None = None
    scene: Word | None = None
    tag: Word | None = None
    geneval: str | None = None

    def __post_init__(self) -> None:
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


Rows = Iterator[tuple[int, Row]]
"""Numbers of lines, from 1, and what they state."""


class Mistake(ValueError):
    """What is wrong with a line of a file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


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
            stacklevel=2,
        )


def _of_jsonl(text: str) -> Rows:
    for line, content in _lines(text):
        try:
            row = json.loads(content, object_pairs_hook=_object, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            raise Mistake(line, f"no JSON at column {error.colno}: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise Mistake(line, f"no JSON that is read here: {error}.") from None
        if not isinstance(row, dict):
            raise Mistake(line, f'no object, got {row!r:.60}; expected {{"prompt": "a cat"}}.')
        yield line, _row(line, row, content)


def _of_csv(text: str) -> Rows:
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
                    yield line, _row(line, {n: _entries(n, c) for n, c in filled.items()})
            line = reader.line_num + 1
    except csv.Error as error:
        raise Mistake(line, f"no CSV: {error}; double quotes open and close a cell.") from None


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
    for name in names:
        _known(name, line)
        if names.count(name) > 1:
            raise Mistake(line, f"two columns are named {name}; leave one out.")
    return names


def _known(name: str, line: int) -> None:
    if name not in COLUMNS:
        raise Mistake(line, str(unknown("column", name[:_LONGEST_NAME], COLUMNS)))


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


def _row(line: int, said: Mapping[str, Any], content: str = "") -> Row:
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
        for name in said:
            _known(name, line)
        stated = {name: value for name, value in said.items() if value is not None}
        if "prompt" not in stated:
            raise ValueError("there is no prompt.")
        return Row(**stated)
    except ValueError as error:
        raise Mistake(line, str(error)) from None
