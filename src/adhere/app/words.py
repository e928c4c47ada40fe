"""The words of a prompt as buttons, and what a click on one changes."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from typing import Any

from adhere import Attribute, Subject
from adhere.subjects.tokenizing import Tokens, tokenize

LONGEST_PROMPT = 2_000
COLOURS = ("#e8590c", "#1c7ed6", "#2f9e44", "#ae3ec9", "#d6336c", "#0c8599")
Subjects = tuple[Subject, ...]


def check_prompt(prompt: object) -> None:
    """Raises a ValueError for what is no prompt, or is longer than the page takes."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("The prompt is empty. Say what the image should show.")
    if len(prompt) > LONGEST_PROMPT:
        raise ValueError(
            f"The prompt has {len(prompt):,} characters and the page takes {LONGEST_PROMPT:,}. "
            "Shorten it."
        )


def spans_of(found: Tokens) -> list[tuple[int, int]]:
    """Where each word of a prompt is; its position in the list names it."""
    return [match.span() for match in re.finditer(r"\w[\w'’]*|\S", found.text)]


def clicked(pipe: Any, prompt: str, subjects: Subjects, word: int) -> Subjects:  # noqa: ANN401
    """The subjects after a click: a word becomes a subject, then an attribute, then neither.

    An attribute belongs to the rest of its noun, else to the next subject, else to the one before.
    """
    found = tokenize(pipe, prompt)
    spans = spans_of(found)
    if not 0 <= word < len(spans):
        return subjects
    indices = found.indices(spans[word])
    if not indices or indices[-1] >= found.end:
        return subjects
    for number, subject in enumerate(subjects):
        kept = tuple(a for a in subject.attributes if not {*a.token_indices} & {*indices})
        if len(kept) < len(subject.attributes):
            return _changed(subjects, number, replace(subject, attributes=kept))
        if not {*subject.token_indices} & {*indices}:
            continue
        attribute = Attribute(found.words(spans[word]), indices)
        rest = tuple(i for i in subject.token_indices if i not in indices)
        if rest:
            text = " ".join(found.words(s) for s in spans if {*found.indices(s)} & {*rest})
            noun = replace(subject, text=text, token_indices=rest)
            return _changed(subjects, number, _with(noun, attribute))
        others = subjects[:number] + subjects[number + 1 :]
        if not others:
            return ()
        owner = min(number, len(others) - 1)
        return _changed(others, owner, _with(others[owner], attribute))
    added = *subjects, Subject(found.words(spans[word]), indices)
    return tuple(sorted(added, key=lambda subject: subject.token_indices))


def words_html(pipe: Any, prompt: str, subjects: Subjects) -> str:  # noqa: ANN401
    """The prompt as HTML: a button for each word, subjects and their attributes in one colour."""
    found = tokenize(pipe, prompt)
    roles = {
        index: (number, subject.text if role else "")
        for number, subject in enumerate(subjects)
        for role, part in ((0, subject), *((1, one) for one in subject.attributes))
        for index in part.token_indices
    }
    parts, end = [], 0
    for number, (start, stop) in enumerate(spans_of(found)):
        parts.append(escape(found.text[end:start]))
        text, end = escape(found.text[start:stop]), stop
        indices = found.indices((start, stop))
        if not text.strip() or not re.match(r"\w", found.text[start]) or not indices:
            parts.append(text)
        elif indices[-1] >= found.end:
            parts.append(f'<s title="The model reads no further">{text}</s>')
        else:
            colour, owner = roles.get(indices[0], (None, ""))
            said = "" if colour is None else f"attribute of {owner}" if owner else "subject"
            look = "none" if colour is None else "of" if owner else "noun"
            shade = COLOURS[(colour or 0) % len(COLOURS)]
            parts.append(
                f'<button type="button" data-word="{number}" class="{look}" style="--c:{shade}" '
                f'aria-label="{text}: {escape(said) or "no subject"}">{text}</button>'
            )
    parts.append(escape(found.text[end:]))
    return f'<p class="words">{"".join(parts)}</p>'


def _changed(subjects: Subjects, number: int, subject: Subject) -> Subjects:
    return *subjects[:number], subject, *subjects[number + 1 :]


def _with(subject: Subject, attribute: Attribute) -> Subject:
    return replace(subject, attributes=(*subject.attributes, attribute))
