"""Subjects of a prompt with their tokens: found, or named by the user."""

import warnings
from collections.abc import Sequence
from typing import Any

from adhere.errors import SubjectNotFound
from adhere.subjects.grammar import Phrase, Role
from adhere.subjects.naming import name_subjects
from adhere.subjects.parsing import Parser, noun_phrases
from adhere.subjects.subject import Attribute, Subject
from adhere.subjects.tokenizing import Tokens, tokenize


def _subject(phrase: Phrase, found: Tokens) -> Subject | None:
    """A phrase as a subject, or None where the end of the prompt that holds it is cut off."""
    indices = found.indices(phrase.noun)
    if not indices or indices[-1] >= found.end:
        return None
    attributes = tuple(
        Attribute(found.text[slice(*span)], found.indices(span))
        for span in phrase.attributes
        if found.indices(span) and found.indices(span)[-1] < found.end
    )
    return Subject(found.text[slice(*phrase.noun)], indices, attributes, phrase.count)


def find_subjects(
    tokenizer: Any,  # noqa: ANN401
    prompt: str,
    words: Sequence[str | int | Sequence[str | int] | Subject] | None = None,
    *,
    parser: Parser = "auto",
) -> tuple[Subject, ...]:
    """The subjects of a prompt, with the tokens they and their attributes lie at.

    Args:
        tokenizer: a CLIP-style tokenizer, or a pipeline that has one.
        prompt: English text, as the pipeline will get it.
        words: None finds the subjects. Else each is named by one of

            - a word or phrase of the prompt ("cat", "fire truck", "a pink chair"): it keeps the
              attributes and the count that the prompt gives it; a name said again is the next
              place where the prompt has it; a single token ("brero" of "sombrero") is a name too;
            - an index, for the token at that position and nothing else;
            - a sequence of attributes and, last, their noun: exactly those;
            - a `Subject`, taken as it is.
        parser: how nouns and modifiers are found: "rules" (built in); "spacy" (the rules, with
            spaCy's tags for words that they only took for nouns; needs spaCy and an English
            model); or "auto" (the second where it is installed).

    Returns:
        Subjects in the order of the prompt, or of `words`.

    Raises:
        SubjectNotFound: no subject in the prompt, a named one absent from it, or one cut off by
            the length that the text encoder reads; the message lists the tokens.
        ValueError: an empty prompt, no words, words that are one text, or an unknown parser.
    """
    found = tokenize(tokenizer, prompt)
    if words is not None:
        return name_subjects(found, lambda: noun_phrases(found.text, parser), words)
    chosen = [p for p in noun_phrases(found.text, parser) if p.role is Role.SUBJECT]
    if not chosen:
        raise SubjectNotFound(f"No noun was found; name the subjects. {found.table()}")
    subjects = [_subject(phrase, found) for phrase in chosen]
    kept = tuple(subject for subject in subjects if subject is not None)
    if not kept:
        # All are cut off: say so of the first.
        found.require(chosen[0].noun)
    if len(kept) < len(chosen):
        lost = [
            found.text[slice(*phrase.noun)]
            for phrase, subject in zip(chosen, subjects, strict=True)
            if subject is None
        ]
        warnings.warn(
            f"The text encoder reads {found.limit} tokens and cuts off {', '.join(lost)}; "
            "shorten the prompt to nurse them too.",
            stacklevel=2,
        )
    return kept
