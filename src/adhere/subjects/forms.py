"""What the form of a word alone says of it, whatever stands around it."""

import re
from enum import Enum, auto
from functools import lru_cache

from adhere.subjects.lexicon import is_in, lexicon, number_of, singulars, stems


class Tag(Enum):
    """Parts of speech, as far as the grammar tells them apart."""

    DETERMINER = auto()
    POSSESSIVE = auto()
    NUMBER = auto()
    ADJECTIVE = auto()
    NOUN = auto()
    VERB = auto()
    BE = auto()
    ADVERB = auto()
    PREPOSITION = auto()
    AND = auto()
    CLAUSE = auto()
    PRONOUN = auto()
    COMMA = auto()
    STOP = auto()
    IGNORED = auto()


NOMINAL = frozenset({Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER, Tag.ADJECTIVE, Tag.NOUN})
POSSESSIVES = frozenset("my your his her its our their 's ’s".split())
_CLOSED = (
    ("determiners", Tag.DETERMINER),
    ("prepositions", Tag.PREPOSITION),
    ("pronouns", Tag.PRONOUN),
    ("auxiliaries", Tag.VERB),
    ("clauses", Tag.CLAUSE),
    ("adverbs", Tag.ADVERB),
)
_BE = frozenset("is are was were be been being am isn't aren't 're 's".split()) - {"'s"}
# Endings that make an adjective where another noun follows.
_ADJECTIVE_ENDING = re.compile(
    r"(?:ful|ous|less|able|ible|(?<!f)ish|esque|ic|al|ive|ant|(?<!m)ent|ian|like|some|ular|proof)$"
)
# Endings that make one anywhere.
SURE_ENDING = re.compile(r"(?:ful|ous|less|able|ible)$")
_MEASURE = re.compile(
    r"\w+[\s-]years?[\s-]old|\d+[\s-]?y|\d+ k$"
    r"|\d+(?:\.\d+)?(?:k|mm|cm|m|p|px|s|x|fps|iso|mp|bit|d)?$|\w/\d|\d.*\W\d|style-"
)

_ORDINAL = re.compile(r"\d{1,2}[snrt][tdh]")


def is_measure(word: str) -> bool:
    """Whether a word only measures or labels the image: "8k", "85mm", "f/1.8", "style-x"."""
    return bool(_MEASURE.match(word))


def is_denial(word: str) -> bool:
    """Whether a word says that something is not so: "not", "never", "don't"."""
    return word in ("not", "never", "neither", "nor") or word.endswith(("n't", "n’t"))


@lru_cache
def closed_tag(word: str) -> Tag | None:
    """The tag of a word that has only one, whatever stands around it."""
    if word in POSSESSIVES:
        return Tag.POSSESSIVE
    if word in _BE:
        return Tag.BE
    if word in ("and", "or", "nor", "but", "&", "plus"):
        return Tag.AND
    if is_denial(word) and word not in lexicon("adverbs"):
        return Tag.VERB
    if word == ",":
        return Tag.COMMA
    if word.isdecimal() or number_of(word) is not None:
        return Tag.NUMBER
    for name, tag in _CLOSED:
        if word in lexicon(name):
            return tag
    if _ORDINAL.fullmatch(word):
        return Tag.DETERMINER
    if not word[0].isalnum() and word[0] not in "<_":
        return Tag.IGNORED if word in "()[]{}\"'“”‘’*_" else Tag.STOP
    return None


def is_adjective(word: str) -> bool:
    """Whether the lexicon has a word as an adjective."""
    if word in lexicon("adjectives") or word in lexicon("colours"):
        return True
    # "the tallest tower"
    is_ending = word.endswith("est")
    return is_ending and any(stem in lexicon("adjectives") for stem in stems(word, "est"))


def is_guessed_adjective(word: str) -> bool:
    """Whether a word that the lexicon does not have ends like an adjective."""
    if is_in(word, "nouns") or word in lexicon("plurals"):
        return False
    return "-" in word or (len(word) > 4 and bool(_ADJECTIVE_ENDING.search(word)))


def is_gerund(word: str) -> bool:
    """Whether a word ends like "riding"."""
    return len(word) > 4 and word.endswith("ing") and not is_in(word, "nouns")


def is_participle(word: str) -> bool:
    """Whether a word ends like "painted", or is a past form such as "worn"."""
    if word in lexicon("irregular"):
        return True
    return len(word) > 4 and word.endswith("ed") and not is_in(word, "nouns")


def takes_object(gerund: str) -> bool:
    """Whether a form in "-ing" is of a verb that takes an object without an article."""
    return any(stem in lexicon("transitive") for stem in stems(gerund, "ing"))


def is_third_person(word: str) -> bool:
    """Whether a word is a verb such as "rides"."""
    return any(form in lexicon("verbs") for form in singulars(word)[1:])


def goes_on(word: str) -> bool:
    """Whether a noun phrase that has come to this word has its noun still to come."""
    if closed_tag(word) is not None or is_participle(word) or is_gerund(word):
        return True
    return is_adjective(word) or word in lexicon("materials") or is_guessed_adjective(word)
