"""Noun phrases: what the rules find in a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from adhere.subjects.lexicon import is_in, lexicon, number_of
from adhere.subjects.reading import LONGEST_ENTRY, Span, Word

GROUPS = ("dozen", "hundred", "thousand")
"""Numbers that others multiply, and that leave "a" before them without a meaning."""


class Role(Enum):
    """What a noun phrase is to the image."""

    SUBJECT = auto()
    SCENE = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Phrase:
    """A noun phrase, as spans of characters of the prompt.

    Attributes:
        noun: the noun; of a compound noun, all its words.
        attributes: the modifiers of this noun, in the order of the prompt.
        count: how many it asks for; 1 where no number is said.
        role: whether it is a subject, part of the scene, or no thing at all.
    """

    noun: Span
    attributes: tuple[Span, ...] = ()
    count: int = 1
    role: Role = Role.SUBJECT


@dataclass(frozen=True)
class Group:
    """A run of words that forms a noun phrase, or adjectives with no noun."""

    opener: Word | None
    number: int | None
    adjectives: tuple[Span, ...]
    nouns: tuple[Word, ...]
    end: int
    is_coloured: bool

    @property
    def span(self) -> Span:
        """The characters of the noun, with the other words of a compound noun."""
        return self.nouns[0].start, self.nouns[-1].end

    @property
    def is_bare(self) -> bool:
        """Whether it has neither an article nor a number."""
        return self.opener is None and self.number is None

    @property
    def head(self) -> str:
        """The last word of the noun."""
        return self.nouns[-1].text

    def is_any_of(self, *names: str) -> bool:
        """Whether the head, or the head with words before it, is in one of the word lists."""
        texts = [word.text for word in self.nouns[-LONGEST_ENTRY:]]
        return any(is_in(" ".join(texts[i:]), n) for n in names for i in range(len(texts)))


def count_of(word: str) -> int | None:
    """What a number word counts; a larger figure is a year or a model: "a 1967 car"."""
    if word.isdecimal():
        return int(word) if len(word) < 3 else None
    return number_of(word)


def added(number: int | None, word: str) -> int | None:
    """What a number and the number word after it count: "two hundred", "thirty five"."""
    value = count_of(word)
    if value is None or number is None:
        return value
    if word in GROUPS:
        return number * value
    return number + value if number in range(20, 100, 10) and value < 10 else value


def is_abstract(word: str) -> bool:
    """Whether a noun ends like "affection" or "sadness"."""
    abstract = word.endswith(("tion", "sion", "ness", "ism", "ity"))
    return abstract and word not in lexicon("not_abstract")


def merge_shades(words: Sequence[tuple[int, Word]]) -> tuple[Span, ...]:
    """Spans of adjectives at these places; of a shade and its colour one: "dark blue"."""
    spans: list[Span] = []
    last = (-2, "")
    for place, word in words:
        shaded = last[1] in lexicon("shades") and place == last[0] + 1
        if shaded and word.text in lexicon("colours"):
            spans[-1] = (spans[-1][0], word.end)
        else:
            spans.append((word.start, word.end))
        last = (place, word.text)
    return tuple(spans)
