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
says that there are none. A warning lists the lines in which none is found, and subjects that are
stated and not in their prompt.

GenEval's own `evaluation_metadata.jsonl` is read as it is, and each of its rows is kept whole. Its
other keys are kept too, and not used.

A line that says again what another one says, under whatever id, is left out, with a warning that
lists all of them. Other columns are passed over with a warning, unless one is named nearly as a
column of the table that is not there. A tab, or a separator of lines such as U+2028, within a text
becomes a space, with a warning.

The file is UTF-8 text of up to 16 MiB, with up to 10 000 prompts of up to 2000 characters. Spaces
at the ends of a prompt or an entry are taken off.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from adhere.errors import AdhereWarning
from adhere.evaluation.sets.found import found
from adhere.evaluation.sets.mistakes import MOST_SHOWN, Mistake, numbered, told
from adhere.evaluation.sets.prompt import LONGEST_NAME, Prompt, PromptSet, Wanted
from adhere.evaluation.sets.rows import READERS, Row, Rows
from adhere.subjects.lexicon import singular

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
        raise ValueError(f"{shown}, {told([mistake])}") from None
    if not prompts:
        raise ValueError(f"The prompt file {shown} holds no prompt; give it at least one.")
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "prompts"
    return PromptSet(f"own-{slug}"[:LONGEST_NAME].rstrip("-"), f"the file {shown}", prompts)


def _text(path: Path, shown: str) -> str:
    """The file's text, of any line endings, without the byte order marks of joined files."""
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
        return data.decode().replace("\ufeff", "")
    except UnicodeDecodeError as error:
        raise Mistake(
            _line_of(error.object, error.start),
            f"the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as UTF-8.",
        ) from None


def _line_of(data: bytes, place: int) -> int:
    return len(re.findall(rb"\r\n|\r|\n", data[:place])) + 1


def _prompts(rows: Rows, shown: str) -> tuple[Prompt, ...]:
    """The prompts of the rows, none of them twice."""
    read = _read(rows, shown)
    _warn_of_changes(read, shown)
    kept = _without_repeats(read, shown)
    _warn_of_subjects(kept, shown)
    prompts = []
    for number, row in enumerate(kept):
        own_id = f"prompt-{number:03d}" if row.id is None else row.id
        wanted = _wanted(row)
        prompts.append(Prompt(own_id, row.prompt, wanted, row.scene, row.tag, row.geneval))
    _refuse(
        [*kept.values()],
        [prompt.id for prompt in prompts],
        "id",
        "leave one of each out, or rename it.",
    )
    return tuple(prompts)


def _read(rows: Rows, shown: str) -> list[tuple[int, Row]]:
    """The rows with their lines.

    Raises:
        ValueError: lines that are wrong, all of them.
    """
    read: list[tuple[int, Row]] = []
    mistakes: list[Mistake] = []
    for number, (line, row) in enumerate(rows):
        if number == MOST_PROMPTS:
            raise Mistake(line, f"more than {MOST_PROMPTS} prompts; split the file.")
        if isinstance(row, Mistake):
            mistakes.append(row)
        else:
            read.append((line, row))
    if mistakes:
        raise ValueError(f"{shown}, {told(mistakes)}")
    return read


def _warn_of_changes(read: Sequence[tuple[int, Row]], shown: str) -> None:
    """Says once which columns are not read, and once which lines have spaces for tabs."""
    ignored = [*dict.fromkeys(name for _, row in read for name in row.ignored)]
    if ignored:
        listed = ", ".join(map(repr, ignored[:MOST_SHOWN]))
        more = f" and {len(ignored) - MOST_SHOWN} more" if len(ignored) > MOST_SHOWN else ""
        warnings.warn(
            f"{shown} has columns that are not read: {listed}{more}.", AdhereWarning, stacklevel=2
        )
    spaced = [line for line, row in read if row.is_spaced]
    if spaced:
        warnings.warn(
            f"{shown} has tabs or separators of lines within a text, which are read as spaces: "
            f"{numbered(spaced)}; if they separate columns, save the file as .csv.",
            AdhereWarning,
            stacklevel=2,
        )


def _warn_of_subjects(kept: Mapping[Row, int], shown: str) -> None:
    """Says once where nothing is found to be wanted, and once what is stated and not said."""
    empty = [line for row, line in kept.items() if row.subjects is None and not found(row.prompt)]
    if empty:
        warnings.warn(
            f"{shown} has prompts in which no subject is found: {numbered(empty)}; write them in "
            "English, state their subjects (in .csv or .jsonl), or leave them out.",
            AdhereWarning,
            stacklevel=2,
        )
    strange = [
        f"{subject!r} (line {line})"
        for row, line in kept.items()
        for subject in row.subjects or ()
        if row.geneval is None and not _is_said(subject, row.prompt)
    ]
    if strange:
        more = f" and {len(strange) - MOST_SHOWN} more" if len(strange) > MOST_SHOWN else ""
        warnings.warn(
            f"{shown} states subjects that their prompts do not name: "
            f"{', '.join(strange[:MOST_SHOWN])}{more}; images are judged by them all the same.",
            AdhereWarning,
            stacklevel=2,
        )


def _is_said(subject: str, prompt: str) -> bool:
    """Whether a prompt has a subject, or its noun in another number."""
    said = {singular(word) for word in re.findall(r"\w+", prompt.lower())}
    noun = re.findall(r"\w+", subject.lower())[-1:]
    return subject.lower() in prompt.lower() or all(singular(word) in said for word in noun)


def _without_repeats(read: Sequence[tuple[int, Row]], shown: str) -> dict[Row, int]:
    """Rows with their lines; those that say what one before says are left out, with a warning.

    Another id says nothing else: the same prompt with the same seeds is the same image.

    Raises:
        Mistake: lines with one prompt that say different things of it.
    """
    kept: dict[Row, int] = {}
    repeats: list[tuple[int, int]] = []
    for line, row in read:
        if row in kept:
            repeats.append((line, kept[row]))
        else:
            kept[row] = line
    if repeats:
        listed = ", ".join(f"{line} (as {first})" for line, first in repeats)
        warnings.warn(
            f"{shown} repeats {len(repeats)} of its lines; the first of each is kept, and these "
            f"are left out: {listed}.",
            AdhereWarning,
            stacklevel=2,
        )
    _refuse(
        [*kept.values()],
        [row.prompt for row in kept],
        "prompt",
        "these lines say different things of one prompt, which is drawn once: leave one of each "
        'out, or make them the same (one tag for both, such as "animals, objects").',
    )
    return kept


def _refuse(lines: Sequence[int], values: Sequence[str], what: str, cure: str) -> None:
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
        raise Mistake(again[0][0], f"{said}; {cure}")


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
