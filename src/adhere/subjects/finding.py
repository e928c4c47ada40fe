"""Subjects of a prompt with their tokens: found, or named by the user."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from adhere.errors import AdhereWarning, SubjectNotFound
from adhere.subjects.commands import loading_tags, other_tags
from adhere.subjects.forms import Tag
from adhere.subjects.grammar import find_phrases
from adhere.subjects.language import foreign_words
from adhere.subjects.naming import name_subjects
from adhere.subjects.phrase import Phrase, Role
from adhere.subjects.reading import Word, read
from adhere.subjects.subject import Attribute, Subject
from adhere.subjects.tagging import settle_marks, tag_words
from adhere.subjects.tokenizing import Tokens, tokenize

_LOAD_ADVICE = (
    "which loads nothing here; load the file with a method of the pipeline, such as "
    "load_lora_weights, and take it out of the prompt."
)
_TAG_ADVICE = "which is of another program and does nothing here; write the words it stands for."


@lru_cache
def tagged(prompt: str) -> tuple[tuple[Word, ...], tuple[Tag, ...]]:
    """The words of a prompt, and the part of speech of each; none if it is not in English."""
    if foreign_words(prompt):
        return (), ()
    words = settle_marks(read(prompt))
    return tuple(words), tuple(tag_words(words))


def noun_phrases(prompt: str) -> tuple[Phrase, ...]:
    """Every noun phrase of a prompt, each with its role in the image; none if not in English."""
    return find_phrases(*tagged(prompt))


def parse(prompt: str) -> tuple[Phrase, ...]:
    """The noun phrases of a prompt that are its subjects; see `noun_phrases`."""
    return tuple(phrase for phrase in noun_phrases(prompt) if phrase.role is Role.SUBJECT)


def _subject(phrase: Phrase, found: Tokens) -> Subject | None:
    """A phrase as a subject, or None where the end of the prompt that holds it is cut off."""
    indices = found.indices(phrase.noun)
    if not indices or indices[-1] >= found.end:
        return None
    attributes = tuple(
        Attribute(found.words(span), found.indices(span))
        for span in phrase.attributes
        if found.indices(span) and found.indices(span)[-1] < found.end
    )
    return Subject(found.words(phrase.noun), indices, attributes, phrase.count)


def find_subjects(
    tokenizer: Any,  # noqa: ANN401
    prompt: str,
    words: Sequence[str | int | Sequence[str | int] | Subject] | None = None,
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

    Returns:
        Subjects in the order of the prompt, or of `words`.

    Raises:
        SubjectNotFound: no subject in the prompt, a named one absent from it, or one cut off by
            the length that the text encoder reads; the message lists the tokens.
        ValueError: an empty prompt, no words, or words that are one text.
    """
    found = tokenize(tokenizer, prompt)
    for tags, advice in (
        (loading_tags(prompt), _LOAD_ADVICE),
        (other_tags(prompt), _TAG_ADVICE),
    ):
        if tags:
            warnings.warn(
                f"The prompt has {', '.join(tags)}, {advice}", AdhereWarning, stacklevel=2
            )
    if words is not None:
        return name_subjects(found, lambda: noun_phrases(found.text), words)
    chosen = parse(found.text)
    if not chosen:
        foreign = foreign_words(found.text)
        if foreign:
            raise SubjectNotFound(
                f"The prompt is not in English ({', '.join(foreign[:3])}), the one language whose "
                "subjects are found; name them by words of the prompt or by indices of tokens. "
                f"{found.table()}"
            )
        raise SubjectNotFound(f"No noun was found; name the subjects. {found.table()}")
    subjects = [_subject(phrase, found) for phrase in chosen]
    kept = tuple(subject for subject in subjects if subject is not None)
    if not kept:
        # All are cut off: say so of the first.
        found.require(chosen[0].noun)
    if len(kept) < len(chosen):
        lost = [
            found.words(phrase.noun)
            for phrase, subject in zip(chosen, subjects, strict=True)
            if subject is None
        ]
        warnings.warn(
            f"The text encoder reads {found.limit} tokens and cuts off {', '.join(lost)}; "
            "shorten the prompt to nurse them too.",
            AdhereWarning,
            stacklevel=2,
        )
    return kept
