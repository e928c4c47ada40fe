"""What a prompt says of two of its subjects: that they belong together, or stand apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from adhere.subjects.finding import tagged
from adhere.subjects.lexicon import is_in, lexicon, pairs, singulars, stems
from adhere.subjects.reading import Word
from adhere.subjects.subject import Subject
from adhere.subjects.tagging import Tag
from adhere.subjects.tokenizing import tokenize

# The kinds whose subjects touch, overlap or lie one inside the other.
JOINED = frozenset("with wearing holding riding on over in under of around".split())
_PARTS = frozenset({Tag.AND, Tag.COMMA, Tag.STOP, Tag.CLAUSE})


@dataclass(frozen=True)
class Relation:
    """What a prompt says of two subjects.

    Attributes:
        kind: "with", "wearing", "holding", "riding", "on", "over", "in", "under", "of", "around":
            they are joined; "and" (they are listed), "beside", "behind", "in front of", "at": they
            are apart; "does": any other verb stands between them ("a dog chasing a cat"); else
            the preposition, such as "through".
        subject: index, among the subjects, of the one that is with, wears, holds, is on, ...
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
    with(cat, hat) and and(hat, dog). Pairs that are not named are apart.

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
    for (_, end, before), (start, _, index) in zip(placed, placed[1:], strict=False):
        noun = words[start : placed[len(relations) + 1][1] + 1]
        between = range(end + 1, start)
        relations.append(_relate(words, tags, between, noun, before, index, relations))
    return tuple(relations)


def _relate(
    words: Sequence[Word],
    tags: Sequence[Tag],
    between: range,
    noun: Sequence[Word],
    before: int,
    index: int,
    relations: Sequence[Relation],
) -> Relation:
    """The relation of the subject `index` to the one `before` it, or to whom that one is with."""
    i = _joint(words, tags, between)
    if i is None or tags[i] in _PARTS:
        return Relation("and", before, index)
    kind = _kind(words, tags, between, i)
    if kind == "in" and any(is_in(text, "clothes") for text in _endings(noun)):
        kind = "wearing"
    verb = _verb(tags, between, i)
    if verb is not None and words[i].text == "by" and kind != "beside":
        return Relation(kind, index, before)
    starts = i if verb is None else verb
    listed = starts - 1 in between and tags[starts - 1] in _PARTS
    if verb is not None or listed:
        # "a man in a suit holding a bag": it is not the suit that holds it.
        before = _owner(before, relations)
    return Relation(kind, before, index)


def _joint(words: Sequence[Word], tags: Sequence[Tag], between: range) -> int | None:
    """The last word between two subjects that says how they are related."""
    for i in reversed(between):
        if tags[i] in _PARTS:
            return i
        if (
            tags[i] is Tag.VERB
            and words[i].text not in lexicon("auxiliaries") - pairs("joints").keys()
        ):
            return i
        if tags[i] is Tag.PREPOSITION:
            part = words[i - 1].text if i - 1 in between else ""
            if words[i].text != "of" or not is_in(part, "relations"):
                return i
    return None


def _verb(tags: Sequence[Tag], between: range, i: int) -> int | None:
    """The verb that the joint at `i` is, or that it goes with: "sitting on"."""
    while i in between and tags[i] in (Tag.PREPOSITION, Tag.ADVERB):
        i -= 1
    return i if i in between and tags[i] is Tag.VERB else None


def _kind(words: Sequence[Word], tags: Sequence[Tag], between: range, i: int) -> str:
    text = words[i].text
    verb = _verb(tags, between, i)
    if verb is not None:
        says = _says(words[verb].text)
        if says is not None and (verb == i or text in ("by", "in", "on", "with", "onto")):
            return says
        if verb == i:
            return "does"
        if text == "by" and words[verb].text.endswith("ed"):
            return "does"
    if words[i + 1 : i + 2] and any(is_in(w.text, "relations") for w in words[i + 1 : i + 4]):
        side = next(w.text for w in words[i + 1 : i + 4] if is_in(w.text, "relations"))
        return {"top": "on", "middle": "in", "center": "in", "inside": "in"}.get(side, "beside")
    return pairs("joints").get(text, text)


@cache
def _says(verb: str) -> str | None:
    """What a verb in any of its forms says of two subjects, if it is one that the words list."""
    forms = (verb, *singulars(verb), *stems(verb, "ing"), *stems(verb, "ed"))
    return next((pairs("joints")[form] for form in forms if form in pairs("joints")), None)


def _owner(index: int, relations: Sequence[Relation]) -> int:
    """The subject that wears, holds, is with or on the one at `index`."""
    for relation in reversed(relations):
        if relation.other == index and relation.is_joined:
            return _owner(relation.subject, relations)
    return index


def _endings(noun: Sequence[Word]) -> list[str]:
    texts = [word.text for word in noun]
    return [" ".join(texts[i:]) for i in range(len(texts))]
