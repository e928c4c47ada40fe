"""A correction of subjects that were found, one word at a time."""

from __future__ import annotations

import re
from dataclasses import replace

from adhere.subjects.reading import Span
from adhere.subjects.subject import Attribute, Subject
from adhere.subjects.tokenizing import Tokens


def word_spans(text: str) -> list[Span]:
    """Where each word and each sign of a text is."""
    return [match.span() for match in re.finditer(r"\w[\w'’]*|\S", text)]


def change_role(found: Tokens, subjects: tuple[Subject, ...], span: Span) -> tuple[Subject, ...]:
    """The subjects after a word has changed its role: subject, then attribute, then neither.

    An attribute belongs to the rest of its noun, else to the next subject, else to the one before.

    Args:
        found: the tokenized prompt.
        subjects: those so far, in the order of the prompt.
        span: of the word in the text of `found`.

    Returns:
        The subjects as they were where it is a sign, or the text encoder does not read it.
    """
    indices = found.indices(span)
    is_word = found.text[slice(*span)][:1].isalnum()
    if not is_word or not indices or indices[-1] >= found.end:
        return subjects
    changed = list(subjects)
    for number, subject in enumerate(subjects):
        kept = tuple(a for a in subject.attributes if not {*a.token_indices} & {*indices})
        if len(kept) < len(subject.attributes):
            changed[number] = replace(subject, attributes=kept)
            return tuple(changed)
        rest = tuple(i for i in subject.token_indices if i not in indices)
        if len(rest) == len(subject.token_indices):
            continue
        if rest:
            spans = [s for s in word_spans(found.text) if {*found.indices(s)} & {*rest}]
            text = " ".join(found.words(s) for s in spans)
            changed[number] = replace(subject, text=text, token_indices=rest)
        else:
            del changed[number]
        if changed:
            owner = min(number, len(changed) - 1)
            attributes = *changed[owner].attributes, Attribute(found.words(span), indices)
            changed[owner] = replace(changed[owner], attributes=attributes)
        return tuple(changed)
    changed.append(Subject(found.words(span), indices))
    return tuple(sorted(changed, key=lambda subject: subject.token_indices))
