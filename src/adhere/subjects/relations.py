"""What a prompt says of two of its subjects: that they belong together, or stand apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adhere.subjects.finding import tagged
from adhere.subjects.forms import Tag, is_participle
from adhere.subjects.lexicon import base_forms, is_in, lexicon, pairs
from adhere.subjects.reading import Word
from adhere.subjects.subject import Subject
from adhere.subjects.tokenizing import tokenize

# The kinds whose subjects touch, overlap or lie one inside the other.
JOINED = frozenset("with wearing holding riding touching on over in under of around".split())
# What "and" goes on with: "wearing a hat and a scarf".
_SHARED = frozenset({"with", "wearing", "holding"})
# Prepositions that say no more than the verb before them.
_OF_VERBS = frozenset({"by", "in", "on", "with", "onto", "from", "to"})
# Parts of a thing of which "of" says where another one is: "on the left of".
_WITHIN = {"top": "on", "middle": "in", "center": "in", "centre": "in", "inside": "in"}
_LISTS = frozenset({Tag.AND, Tag.COMMA})
_PARTS = frozenset({Tag.AND, Tag.COMMA, Tag.STOP, Tag.CLAUSE})


@dataclass(frozen=True)
class Relation:
    """What a prompt says of two subjects.

    Attributes:
        kind: "with", "wearing", "holding", "riding", "touching", "on", "over", "in", "under",
            "of", "around": they are joined; "and" (they are listed), "beside", "behind",
            "in front of", "at": they are apart; "does": any other verb ("a dog chasing a cat");
            else the preposition, such as "through".
        subject: index, among the subjects, of the one that wears, holds, is with, is on, ...
        other: index of the other one.
    """

    kind: str
    subject: int
    other: int

    @property
    def is_joined(self) -> bool:
        """Whether the regions of the two may touch, overlap or lie one inside the other."""
        return self.kind in JOINED


def find_relations(
    tokenizer: Any,  # noqa: ANN401
    prompt: str,
    subjects: Sequence[Subject],
) -> tuple[Relation, ...]:
    """What a prompt says of its subjects, by the words that stand between them.

    Each subject but the first is related to one before it: "a cat with a hat and a dog" gives
    with(cat, hat) and and(hat, dog). Two subjects that no relation names are apart.

    Args:
        tokenizer: a CLIP-style tokenizer, or a pipeline that has one.
        prompt: English text, as the pipeline will get it.
        subjects: subjects of this prompt, in any order; see `find_subjects`.

    Returns:
        Relations in the order of the prompt; none for a prompt in another language.
    """
    found = tokenize(tokenizer, prompt)
    words, tags = tagged(found.text)
    placed = []
    for index, subject in enumerate(subjects):
        spans = [found.spans[i] for i in subject.token_indices if i < len(found.spans)]
        at = [i for i, w in enumerate(words) if any(w.start < b and a < w.end for a, b in spans)]
        if at:
            placed.append((at[0], at[-1], index))
    placed.sort()
    relations: list[Relation] = []
    for (_, end, before), (start, last, index) in zip(placed, placed[1:], strict=False):
        gap = _Gap(words, tags, end + 1, start, last + 1)
        relations.append(_relate(gap, before, index, relations))
    return tuple(relations)


_GROUNDS = ("foreground", "background")


@dataclass(frozen=True)
class _Gap:
    """The words between two subjects, from `first` to before `noun`, and those of the second."""

    words: Sequence[Word]
    tags: Sequence[Tag]
    first: int
    noun: int
    end: int

    def text(self, i: int) -> str:
        return self.words[i].text if self.first <= i < self.end else ""

    def tag(self, i: int) -> Tag | None:
        return self.tags[i] if self.first <= i < self.end else None

    @property
    def is_worn(self) -> bool:
        """Whether the second subject is something to wear."""
        texts = [word.text for word in self.words[self.noun : self.end]]
        # "a party hat" is one word of the lexicon.
        texts = " ".join(texts).split()
        return any(is_in(" ".join(texts[i:]), "clothes") for i in range(len(texts)))

    @property
    def is_owner(self) -> bool:
        """Whether what follows is the second subject's: "men" of "men's hats"."""
        return self.end < len(self.tags) and self.tags[self.end] is Tag.POSSESSIVE

    @property
    def is_bare(self) -> bool:
        """Whether the second subject has no article."""
        return Tag.DETERMINER not in self.tags[self.first : self.noun]

    @property
    def adjectives(self) -> int:
        """Place of the second subject's first adjective: of "black" in "a black and white dog"."""
        i = self.noun
        while self.tag(i - 1) in (Tag.ADJECTIVE, Tag.ADVERB):
            i -= 1
            j = i - 1
            while self.tag(j) in (Tag.AND, Tag.COMMA):
                j -= 1
            if j < i - 1 and self.tag(j) is Tag.ADJECTIVE:
                i = j + 1
        return i

    @property
    def joint(self) -> int | None:
        """Place of the last word that says how the two are related."""
        for i in reversed(range(self.first, self.adjectives)):
            tag, text = self.tags[i], self.text(i)
            if tag in _PARTS or (tag is Tag.POSSESSIVE and text in ("'s", "’s")):
                return i
            if tag is Tag.VERB and (_says(text) or text not in lexicon("auxiliaries")):
                return i
            # "with a group of dogs" says with, "a cat and a pair of dogs" and.
            if tag is Tag.PREPOSITION and (text != "of" or self.tag(i - 1) is not Tag.NOUN):
                return i
        return None

    def is_of_another(self, i: int) -> bool:
        """Whether the joint at `i` is in a new sentence, which names something else before."""
        stop = next((j for j in range(i, self.first - 1, -1) if self.tag(j) is Tag.STOP), None)
        return stop is not None and Tag.NOUN in self.tags[stop : self.adjectives]

    def verb(self, i: int) -> int | None:
        """Place of the verb that is at `i`, or that a preposition there goes with."""
        while self.tag(i) in (Tag.PREPOSITION, Tag.ADVERB):
            i -= 1
        return i if self.tag(i) is Tag.VERB else None

    def kind(self, i: int) -> str:
        """What the word at `i`, a verb or a preposition, says of the two."""
        text, verb = self.text(i), self.verb(i)
        if verb is not None:
            says = _says(self.text(verb))
            if says is not None and (verb == i or text in _OF_VERBS):
                return says
            if verb == i or (text == "by" and is_participle(self.text(verb))):
                return "does"
        if text == "as" and self.tag(i - 1) is Tag.ADJECTIVE:
            # "as big as a house", but "a dog as a king"
            return text
        near = map(self.text, range(i + 1, min(i + 4, self.noun)))
        side = next((t for t in near if is_in(t, "relations") or t in _GROUNDS), "")
        kind = _WITHIN.get(side, "beside") if side else pairs("joints").get(text, text)
        return "wearing" if kind == "in" and self.is_worn else kind


def _relate(gap: _Gap, before: int, index: int, relations: Sequence[Relation]) -> Relation:
    """The relation of the subject `index` to the one `before` it, or to whom that one is with."""
    i = gap.joint
    earlier = next((r for r in reversed(relations) if r.other == before), None)
    if i is None or gap.tag(i) in _PARTS or gap.is_of_another(i):
        if i is not None and gap.text(i) == "whose":
            return Relation("with", before, index)
        if i is not None and gap.tag(i) in _LISTS and earlier and earlier.kind in _SHARED:
            is_listed = gap.is_bare and gap.tag(i) is Tag.AND and not gap.is_owner
            if is_listed or (earlier.kind == "wearing" and gap.is_worn):
                return Relation(earlier.kind, earlier.subject, index)
        return Relation("and", before, index)
    if gap.tag(i) is Tag.POSSESSIVE:
        return Relation("with", before, index)
    kind, verb = gap.kind(i), gap.verb(i)
    if verb is not None and gap.text(i) == "by" and kind != "beside":
        return Relation(kind, index, before)
    is_listed = gap.tag((i if verb is None else verb) - 1) in _PARTS
    is_on_clothes = earlier is not None and earlier.kind == "wearing" and kind != "of"
    if verb is not None or is_listed or is_on_clothes:
        # "a man in a suit holding a bag": it is not the suit that holds it.
        before = _owner(before, relations)
    return Relation(kind, before, index)


def _says(verb: str) -> str | None:
    """What a verb in any of its forms says of two subjects, if the words list it."""
    known = pairs("joints")
    return next((known[form] for form in base_forms(verb) if form in known), None)


def _owner(index: int, relations: Sequence[Relation]) -> int:
    """The subject that wears, holds, is with or on the one at `index`."""
    for relation in reversed(relations):
        if relation.other == index and relation.is_joined:
            return _owner(relation.subject, relations[: relations.index(relation)])
    return index
