"""A user's own prompts, from a .txt, .csv or .jsonl file.

**.txt**: a prompt a line. Blank lines are passed over, and lines that begin with "# ".

**.csv**: a first line with the names of the columns, separated by commas; then a prompt a line.

**.jsonl**: a JSON object a line, with the columns as keys.

=============  ============================================  ====================================
column         holds                                         left out
=============  ============================================  ====================================
`prompt`       the prompt                                    not possible
`id`           its name in the run's folders: lower-case     `prompt-000`, `prompt-001`, ...
               letters, digits and hyphens
`subjects`     what must be in the image, singular         found in the prompt by adhere's rules
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
`adhere.find_subjects` finds by its own rules; nothing is downloaded. `"subjects": []` in .jsonl
says that there are none.

GenEval's own `evaluation_metadata.jsonl` is read as it is, and each of its rows is kept whole.

A line that says again what another one says is left out, with a warning that lists all of them.

The file is UTF-8 text of up to 16 MiB, with up to 10 000 prompts of up to 2000 characters. Spaces
at the ends of a prompt or an entry are taken off.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from adhere.evaluation.sets.prompt import LONGEST_NAME, Prompt, PromptSet, Wanted, check_name
from adhere.evaluation.sets.rows import READERS, Mistake, Row, Rows
from adhere.subjects import parse
from adhere.subjects.lexicon import lexicon, singular
from adhere.subjects.markup import without_markup

LARGEST_FILE = 16 * 2**20
MOST_PROMPTS = 10_000


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
        prompts = _prompts(READERS[kind](_text(path, shown)), shown)
    except Mistake as mistake:
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
        raise Mistake(1, "the text is in UTF-16; save the file as UTF-8.")
    if b"\0" in data:
        raise Mistake(
            _line_of(data, data.index(b"\0")), "a NUL byte: this is no text; save it as UTF-8."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Mistake(
            _line_of(error.object, error.start),
            f"the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as UTF-8.",
        ) from None


def _line_of(data: bytes, place: int) -> int:
    return len(re.findall(rb"\r\n|\r|\n", data[:place])) + 1


def _prompts(rows: Rows, shown: str) -> tuple[Prompt, ...]:
    """The prompts of the rows, none of them twice."""
    kept = _without_repeats(rows, shown)
    prompts = []
    for number, (row, line) in enumerate(kept.items()):
        own_id = f"prompt-{number:03d}" if row.id is None else row.id
        try:
            check_name("the id", own_id)
        except ValueError as error:
            raise Mistake(line, str(error)) from None
        wanted = _wanted(row)
        prompts.append(Prompt(own_id, row.prompt, wanted, row.scene, row.tag, row.geneval))
    _refuse([*kept.values()], [prompt.id for prompt in prompts], "id")
    return tuple(prompts)


def _without_repeats(rows: Rows, shown: str) -> dict[Row, int]:
    """Rows with their lines; those that say what one before says are left out, with a warning.

    Raises:
        Mistake: lines with one prompt that say different things of it.
    """
    kept: dict[Row, int] = {}
    repeats: list[tuple[int, int]] = []
    for number, (line, row) in enumerate(rows):
        if number == MOST_PROMPTS:
            raise Mistake(line, f"more than {MOST_PROMPTS} prompts; split the file.")
        if row in kept:
            repeats.append((line, kept[row]))
        else:
            kept[row] = line
    if repeats:
        listed = ", ".join(f"{line} (as {first})" for line, first in repeats)
        warnings.warn(
            f"{shown} repeats {len(repeats)} of its lines; the first of each is kept, and these "
            f"are left out: {listed}.",
            stacklevel=2,
        )
    _refuse([*kept.values()], [row.prompt for row in kept], "prompt")
    return kept


def _refuse(lines: Sequence[int], values: Sequence[str], what: str) -> None:
    """Refuses a value that several lines have, with all of these lines."""
    first: dict[str, int] = {}
    again = [
        (line, value, first[value])
        for line, value in zip(lines, values, strict=True)
        if first.setdefault(value, line) != line
    ]
    if again:
        said = ", ".join(
            f"line {line}: the {what} {_short(value)} is on line {before} too"
            for line, value, before in again
        ).removeprefix(f"line {again[0][0]}: ")
        raise Mistake(again[0][0], f"{said}; leave one of each out, or make them the same.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _wanted(row: Row) -> tuple[Wanted, ...]:
    """What the row states, or what its prompt asks for."""
    if row.subjects is None:
        return found(row.prompt)
    number = len(row.subjects)
    return tuple(
        Wanted(subject, colour, count or 1, attributes or ())
        for subject, colour, count, attributes in zip(
            row.subjects,
            row.colours or (None,) * number,
            row.counts or (None,) * number,
            row.attributes or (None,) * number,
            strict=True,
        )
    )


def found(text: str) -> tuple[Wanted, ...]:
    """What a prompt asks for, by adhere's own rules.

    A noun after a number is made singular; "birds" without a number stays as it is, with the
    count 1. Of several colours of a subject the first is its colour, the rest are attributes.
    """
    wanted = []
    plain = without_markup(text).lower()
    for phrase in parse(text):
        noun, *modifiers = (
            " ".join(plain[slice(*span)].split()) for span in (phrase.noun, *phrase.attributes)
        )
        colour = next((m for m in modifiers if m.split()[-1] in lexicon("colours")), None)
        if colour is not None:
            modifiers.remove(colour)
        subject = noun if phrase.count == 1 else singular(noun)
        wanted.append(Wanted(subject, colour, phrase.count, tuple(modifiers)))
    return tuple(wanted)
