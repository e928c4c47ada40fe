"""A user's own prompts, from a .txt, .csv or .jsonl file.

**.txt**: a prompt a line. Blank lines are passed over.

**.csv**: a first line with the names of the columns, separated by commas; then a prompt a line.

**.jsonl**: a JSON object a line, with the columns as keys.

=============  ============================================  ====================================
column         holds                                         left out
=============  ============================================  ====================================
`prompt`       the prompt                                    not possible
`id`           its name in the run's folders: lower-case     `prompt-000`, `prompt-001`, ...
               letters, digits and hyphens
`subjects`     what must be in the picture, singular         found in the prompt by adhere's rules
`colours`      for each subject its colour, or nothing       no colours
`counts`       for each subject how many, or nothing         one of each
`attributes`   for each subject its other modifiers          none
`scene`        the words for place or time                   none
`tag`          a kind, to sort results by                    none
=============  ============================================  ====================================

In a .csv file the entries of the columns for subjects are separated by semicolons, the modifiers
of one subject by commas: `cat; bench`, `black;`, `2;`, `furry, sleepy; wooden`. In .jsonl they
are lists: `["cat", "bench"]`, `["black", null]`, `[2, null]`, `[["furry", "sleepy"], ["wooden"]]`.

Where `subjects` is left out or empty, subjects, colours and counts are those that
`adhere.find_subjects` finds by its own rules; nothing is downloaded, and whether spaCy is
installed makes no difference. `"subjects": []` in .jsonl says that there are none.

The file is UTF-8 text of up to 16 MiB, with up to 10 000 prompts of up to 2000 characters. Spaces
at the ends of a prompt or an entry are taken off.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adhere.evaluation.sets.prompt import LONGEST_NAME, Prompt, PromptSet, Wanted, check_name
from adhere.names import unknown
from adhere.subjects import parse
from adhere.subjects.lexicon import lexicon

LARGEST_FILE = 16 * 2**20
MOST_PROMPTS = 10_000
LONGEST_PROMPT = 2_000
MOST_SUBJECTS = 20
LARGEST_COUNT = 100
LONGEST_WORD = 100
COLUMNS = ("prompt", "id", "subjects", "colours", "counts", "attributes", "scene", "tag")
_OF_SUBJECTS = ("colours", "counts", "attributes")
_IRREGULAR = {
    "mice": "mouse", "geese": "goose", "people": "person", "men": "man", "women": "woman",
    "children": "child", "feet": "foot", "teeth": "tooth", "oxen": "ox", "dice": "die",
    "wolves": "wolf", "knives": "knife", "leaves": "leaf", "loaves": "loaf", "shelves": "shelf",
    "scarves": "scarf", "calves": "calf", "elves": "elf", "halves": "half", "wives": "wife",
    "buses": "bus", "potatoes": "potato", "tomatoes": "tomato", "heroes": "hero",
}  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """What a line of a file states; lists of None where it states nothing for a subject.

    Attributes:
        line: its number in the file, from 1.
        subjects: None where they are to be found.
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


class _Mistake(ValueError):
    """What is wrong with a line of a file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def own(path: Path) -> PromptSet:
    """The prompt set of a file; the module's docstring says what it holds.

    The set is named `own-` and the file's name, so that it is never taken for a built-in set.

    Raises:
        ValueError: no such file, none of the three kinds, too large, no text in UTF-8, or a line
            with a mistake; the message has the file's name and the line's number.
    """
    shown = "".join(c if c.isprintable() else "?" for c in path.name)
    kind = path.suffix.lower()
    if kind not in READERS:
        raise ValueError(
            f"The prompt file {shown} ends in {kind or 'nothing'!r}; expected one of "
            f"{', '.join(READERS)}: save it as one of these."
        )
    try:
        prompts = _prompts(READERS[kind](_text(path, shown)))
    except _Mistake as mistake:
        raise ValueError(f"{shown}, line {mistake.line}: {mistake}") from None
    if not prompts:
        raise ValueError(f"The prompt file {shown} holds no prompt; give it at least one.")
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "prompts"
    return PromptSet(f"own-{slug}"[:LONGEST_NAME].rstrip("-"), f"the file {shown}", prompts)


def _text(path: Path, shown: str) -> str:
    """The file's text, of any line endings, without a byte order mark."""
    if not path.is_file():
        raise ValueError(
            f"There is no prompt file {shown} in {path.parent}."
            if not path.exists()
            else f"{shown} is no regular file; expected a prompt file."
        )
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(
            f"The prompt file {shown} is larger than {LARGEST_FILE >> 20} MiB; split it."
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _Mistake(1, "the text is in UTF-16; save the file as UTF-8.")
    if b"\0" in data:
        raise _Mistake(
            _line_of(data, data.index(b"\0")), "a NUL byte: this is no text; save it as UTF-8."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Mistake(
            _line_of(error.object, error.start),
            f"the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as UTF-8.",
        ) from None


def _line_of(data: bytes, place: int) -> int:
    return len(re.findall(rb"\r\n|\r|\n", data[:place])) + 1


def _of_txt(text: str) -> Iterator[_Row]:
    for line, prompt in _lines(text):
        yield _Row(line, prompt)


def _of_jsonl(text: str) -> Iterator[_Row]:
    for line, content in _lines(text):
        try:
            row = json.loads(content, object_pairs_hook=_object, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            raise _Mistake(line, f"no JSON at column {error.colno}: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise _Mistake(line, f"no JSON that is read here: {error}.") from None
        if not isinstance(row, dict):
            raise _Mistake(line, f'got {_kind(row)}, expected an object: {{"prompt": "a cat"}}.')
        for name in row:
            _known(name, line)
        yield _row(line, row, _as_list)


def _of_csv(text: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if names is None:
                    names = _header(cells, line)
                elif len(cells) != len(names):
                    raise _Mistake(
                        line,
                        f"got {len(cells)} cells, expected {len(names)}, as the first line names; "
                        "put what holds a comma between double quotes.",
                    )
                else:
                    filled = {n: c for n, c in zip(names, cells, strict=True) if c.strip()}
                    yield _row(line, filled, _as_cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise _Mistake(line, f"no CSV: {error}; double quotes open and close a cell.") from None


READERS: Mapping[str, Callable[[str], Iterator[_Row]]] = {
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
        raise _Mistake(line, "the columns are not separated by commas; save the file with commas.")
    if "prompt" not in names:
        raise _Mistake(
            line,
            f"no column is named prompt; expected a first line with the columns' names, of "
            f"{', '.join(COLUMNS)}.",
        )
    for name in names:
        _known(name, line)
        if names.count(name) > 1:
            raise _Mistake(line, f"two columns are named {name}; leave one out.")
    return names


def _known(name: str, line: int) -> None:
    if name not in COLUMNS:
        raise _Mistake(line, str(unknown("column", name[:LONGEST_WORD], COLUMNS)))


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
        raise _Mistake(line, f"{name} is {_kind(value)}; expected a list.")
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


def _row(line: int, row: Mapping[str, Any], entries: Callable[[Any, str, int], list[Any]]) -> _Row:
    """A row whose every entry has the right type."""
    said = {name: value for name, value in row.items() if value is not None}
    if "prompt" not in said:
        raise _Mistake(line, "there is no prompt.")
    row_of = partial(
        _Row,
        line,
        _word(said["prompt"], "prompt", line, LONGEST_PROMPT),
        id=_word(said["id"], "id", line, LONGEST_PROMPT) if "id" in said else None,
        scene=_word(said["scene"], "scene", line) if "scene" in said else None,
        tag=_word(said["tag"], "tag", line) if "tag" in said else None,
    )
    if "subjects" not in said:
        stated = [name for name in _OF_SUBJECTS if name in said]
        if stated:
            raise _Mistake(
                line, f"{stated[0]} without subjects; say the subjects that they belong to."
            )
        return row_of()
    subjects = [_word(x, "subjects", line) for x in entries(said["subjects"], "subjects", line)]
    if len(subjects) > MOST_SUBJECTS:
        raise _Mistake(line, f"{len(subjects)} subjects; expected up to {MOST_SUBJECTS}.")
    lists = {name: entries(said[name], name, line) for name in _OF_SUBJECTS if name in said}
    for name, values in lists.items():
        if len(values) != len(subjects):
            raise _Mistake(
                line,
                f"{name} has {len(values)} entries for {len(subjects)} subjects; expected one for "
                "each, empty where there is nothing to say.",
            )
    return row_of(
        subjects=tuple(subjects),
        colours=tuple(
            None if x is None else _word(x, "colours", line) for x in lists.get("colours", ())
        ),
        counts=tuple(_count(x, line) for x in lists.get("counts", ())),
        attributes=tuple(_modifiers(x, line) for x in lists.get("attributes", ())),
    )


def _word(value: Any, name: str, line: int, longest: int = LONGEST_WORD) -> str:
    """Text that is not empty, not endless and holds no control characters."""
    if not isinstance(value, str):
        raise _Mistake(line, f"{name} has {_kind(value)}; expected text.")
    text = value.strip()
    if not text:
        raise _Mistake(line, f"{name} has an empty text; expected at least a letter.")
    if len(text) > longest:
        raise _Mistake(line, f"{name} has {len(text)} characters; expected up to {longest}.")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise _Mistake(
                line, f"{name} has the control character U+{ord(character):04X}; take it out."
            )
    return text


def _modifiers(value: Any, line: int) -> tuple[str, ...]:
    """The modifiers of one subject."""
    if value is None:
        return ()
    return tuple(_word(x, "attributes", line) for x in _as_list(value, "attributes", line))


def _count(value: Any, line: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_COUNT:
        shown = repr(value) if isinstance(value, int | float | str) else _kind(value)
        raise _Mistake(
            line, f"counts has {shown[:40]}; expected a whole number from 1 to {LARGEST_COUNT}."
        )
    return value


def _kind(value: Any) -> str:
    """What a value of JSON is, in words."""
    kinds = {type(None): "null", bool: "true or false", str: "text", list: "a list"}
    return kinds.get(type(value), "an object" if isinstance(value, dict) else "a number")


def _prompts(rows: Iterator[_Row]) -> tuple[Prompt, ...]:
    """The prompts of the rows, none of them twice."""
    prompts: list[Prompt] = []
    texts: dict[str, int] = {}
    ids: dict[str, int] = {}
    for row in rows:
        text = _word(row.prompt, "prompt", row.line, LONGEST_PROMPT)
        if len(prompts) == MOST_PROMPTS:
            raise _Mistake(row.line, f"more than {MOST_PROMPTS} prompts; split the file.")
        own_id = f"prompt-{len(prompts):03d}" if row.id is None else row.id
        try:
            check_name("the id", own_id)
        except ValueError as error:
            raise _Mistake(row.line, str(error)) from None
        for what, known, value in (("prompt", texts, text), ("id", ids, own_id)):
            if value in known:
                raise _Mistake(
                    row.line,
                    f"the {what} {_short(value)} is on line {known[value]} too; leave one out.",
                )
            known[value] = row.line
        prompts.append(Prompt(own_id, text, _wanted(row, text), row.scene, row.tag))
    return tuple(prompts)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _wanted(row: _Row, text: str) -> tuple[Wanted, ...]:
    """What the row states, or what its prompt asks for."""
    if row.subjects is None:
        return found(text)
    number = len(row.subjects)
    return tuple(
        Wanted(subject, colour, count or 1, attributes)
        for subject, colour, count, attributes in zip(
            row.subjects,
            row.colours or (None,) * number,
            row.counts or (None,) * number,
            row.attributes or ((),) * number,
            strict=True,
        )
    )


def found(text: str) -> tuple[Wanted, ...]:
    """What a prompt asks for, by adhere's own rules.

    A noun after a number is made singular; "birds" without a number stays as it is, with the
    count 1. Of several colours of a subject the first is its colour, the rest are attributes.
    """
    wanted = []
    for phrase in parse(text):
        noun = text[slice(*phrase.noun)].lower()
        modifiers = [text[slice(*span)].lower() for span in phrase.attributes]
        colour = next((m for m in modifiers if m.split()[-1] in lexicon("colours")), None)
        if colour is not None:
            modifiers.remove(colour)
        subject = noun if phrase.count == 1 else _singular(noun)
        wanted.append(Wanted(subject, colour, phrase.count, tuple(modifiers)))
    return tuple(wanted)


def _singular(noun: str) -> str:
    """The singular of a noun that stands after a number."""
    *before, last = noun.split()
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif not last.endswith(("ss", "us", "is")):
        if last.endswith("ies") and len(last) > 4:
            last = last[:-3] + "y"
        elif last.endswith(("ches", "shes", "xes", "sses", "zzes")):
            last = last[:-2]
        else:
            last = last.removesuffix("s")
    return " ".join([*before, last])
