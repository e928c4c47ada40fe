"""What a prompt says beside its things: that some are left out, and how they are related."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adhere.subjects.finding import noun_phrases, tagged
from adhere.subjects.forms import NOMINAL, Tag, is_denial
from adhere.subjects.lexicon import lexicon
from adhere.subjects.phrase import Role

_NONE = ("no", "zero", "0")
# Before a thing these say no more than that it is there.
_ADDS = frozenset({"of", "with", "along with", "together with", "in addition to", "besides"})


def denial(text: str) -> str | None:
    """The first word by which a prompt leaves something out ("without", "no", "not"), or None."""
    words = [word.text for word in tagged(text)[0]]
    # What stands behind "--no" is read as no word of the prompt.
    words += re.findall(r"\bno\b", text.lower())
    denies = (w for w in words if w in _NONE or is_denial(w) or w in lexicon("exclusions"))
    return next(denies, None)


def link(text: str) -> str | None:
    """The first word that ties a subject of a prompt to another: "near a dog", "riding a horse".

    Not one that leads to a scene: "in the snow".
    """
    words, tags = tagged(text)
    phrases = noun_phrases(text)
    subjects = [phrase for phrase in phrases if phrase.role is Role.SUBJECT]
    for place, (word, tag) in enumerate(zip(words, tags, strict=True)):
        # "a photo showing a cat" ties it to nothing.
        is_verb = tag is Tag.VERB and any(one.noun[1] <= word.start for one in subjects)
        is_place = tag is Tag.PREPOSITION and word.text not in _ADDS
        if not (is_verb or is_place) or word.text in lexicon("stuff_prepositions"):
            continue
        target = _target(tags, place)
        if target is None:
            continue
        behind = (one for one in phrases if one.noun[1] > words[target].start)
        thing = next(behind, None)
        if tags[target] is Tag.PRONOUN or (thing is not None and thing.role is Role.SUBJECT):
            return word.text
    return None


def _target(tags: Sequence[Tag], place: int) -> int | None:
    """Where the noun phrase or pronoun begins that a preposition or verb leads to."""
    for after in range(place + 1, len(tags)):
        if tags[after] in NOMINAL or tags[after] is Tag.PRONOUN:
            return after
        if tags[after] not in (Tag.ADVERB, Tag.PREPOSITION, Tag.VERB, Tag.IGNORED):
            return None
    return None
