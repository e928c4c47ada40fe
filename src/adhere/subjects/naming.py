"""Subjects that the user names: words, phrases, indices, or attributes with their noun."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Integral
from typing import Any

from adhere.errors import SubjectNotFound
from adhere.subjects.phrase import Phrase, count_of
from adhere.subjects.reading import Span
from adhere.subjects.subject import Attribute, Subject
from adhere.subjects.text import check_text, has_spaces, whole_words
from adhere.subjects.tokenizing import Tokens

_ARTICLE = re.compile(r"^(?:an?|the|some|one|his|her|its|their|my|your|our)\s+(?=\S)", re.I)


def _pattern(text: str) -> str:
    """A regular expression of a text, in which apostrophes are alike, and hyphens and dashes."""
    return re.sub(r"\\?[-‐‑–]", "[-‐‑–]", re.sub("['’]", "['’]", re.escape(text)))


def _own(word: Any) -> Any:  # noqa: ANN401
    """A name as it is, with Python's own numbers for NumPy's."""
    if isinstance(word, list | tuple):
        return tuple(map(_own, word))
    return int(word) if isinstance(word, Integral) and not isinstance(word, bool) else word


def _is_whole(text: str, span: Span) -> bool:
    """Whether no word that is written between spaces goes on beyond either end of a span."""

    def is_joined(at: int) -> bool:
        pair = text[at - 1 : at + 1] if at else ""
        return len(pair) == 2 and all(c.isalnum() and has_spaces(c) for c in pair)

    return not (is_joined(span[0]) or is_joined(span[1]))


def _occurrences(found: Tokens, name: str) -> list[Span]:
    """Where the prompt has a name, as whole words; else where one token is the name.

    A name in markup or across it is found too: "blue bench" in "a (blue:0.8) bench". In a script
    that sets no spaces between words a name may stand anywhere, and beside one: "iPhoneを".
    """
    parts = [_pattern(part) for part in unicodedata.normalize("NFC", name).split()]
    pattern = r"\s+".join(parts)
    # Further vectors of a textual-inversion word belong to it.
    if len(parts) == 1:
        pattern += rf"(?:\s+{parts[0]}_\d+)*"
    anywhere = r"\s*".join(map(_pattern, "".join(name.split())))
    for one in (whole_words(pattern), pattern if all(map(has_spaces, name)) else anywhere):
        for text in (found.text, found.plain):
            spans = [match.span() for match in re.finditer(one, text, re.I)]
            spans = [span for span in spans if _is_whole(text, span)]
            if spans:
                return spans
    last = len(found.pieces) - found.closing
    return [
        found.spans[i]
        for i, piece in enumerate(found.pieces)
        if found.opening <= i < last and piece.lower() == name.strip().lower()
    ]


def _places(found: Tokens, name: str) -> list[Span]:
    """Where the prompt has a name, its article counting only if it has it too.

    Raises:
        SubjectNotFound: nowhere.
    """
    plain = _ARTICLE.sub("", name.strip())
    spans = _occurrences(found, plain) if plain else []
    if not spans:
        raise SubjectNotFound(f"{name!r} is not in the prompt. {found.table()}")
    return spans


def _first_free(spans: Sequence[Span], used: Sequence[Span], name: str, found: Tokens) -> Span:
    """The first place that no name has; rather one that is no part of a name's."""
    free = [span for span in spans if span not in used]
    apart = [s for s in free if not any(s[0] < u[1] and u[0] < s[1] for u in used)]
    if free:
        return (apart or free)[0]
    raise SubjectNotFound(
        f"{name!r} is named {len(spans) + 1} times, but the prompt has it "
        f"{len(spans)} times. {found.table()}"
    )


def _phrase_of(noun: Span, phrases: Sequence[Phrase]) -> Phrase | None:
    """The phrase whose noun shares characters with a span."""
    for phrase in phrases:
        if phrase.noun[0] < noun[1] and noun[0] < phrase.noun[1]:
            return phrase
    return None


def _attribute(span: Span, found: Tokens) -> Attribute:
    return Attribute(found.words(span), found.require(span))


def _by_name(
    name: str, found: Tokens, phrases: Callable[[], Sequence[Phrase]], used: list[Span]
) -> Subject:
    span = _first_free(_places(found, name), used, name, found)
    used.append(span)
    phrase = _phrase_of(span, phrases())
    if phrase is None:
        return Subject(found.words(span), found.require(span))
    noun, attributes = span, phrase.attributes
    if span[0] < phrase.noun[0] and phrase.noun[1] <= span[1]:
        # The name has words before the noun: those that are attributes are its attributes.
        attributes = tuple(a for a in attributes if span[0] <= a[0] and a[1] <= span[1])
        is_number = count_of(found.text[span[0] : phrase.noun[0]].strip().lower()) is not None
        noun = phrase.noun if attributes or is_number else span
    kept = tuple(_attribute(a, found) for a in attributes if found.indices(a)[-1:] < (found.end,))
    return Subject(found.words(noun), found.require(noun), kept, phrase.count)


def _by_index(index: int, found: Tokens) -> tuple[int, str]:
    if not found.opening <= index < found.end:
        raise SubjectNotFound(
            f"Index {index} is no word of the prompt; words have the indices {found.opening} to "
            f"{found.end - 1}. {found.table()}"
        )
    return index, found.pieces[index]


def _by_pair(
    words: Sequence[str | int],
    found: Tokens,
    phrases: Callable[[], Sequence[Phrase]],
    used: list[Span],
) -> Subject:
    """Attributes and, last, their noun: at the free place of the noun that is nearest to them."""
    *modifiers, noun = words
    if isinstance(noun, int):
        index, text = _by_index(noun, found)
        place = found.spans[index]
        indices, count = (index,), 1
    else:
        free = [span for span in _places(found, noun) if span not in used]
        if not free:
            _first_free(_places(found, noun), used, noun, found)
        place = min(free, key=lambda span: sum(_distance(found, m, span) for m in modifiers))
        used.append(place)
        text, indices = found.words(place), found.require(place)
        phrase = _phrase_of(place, phrases())
        count = 1 if phrase is None else phrase.count
    attributes = []
    for modifier in modifiers:
        if isinstance(modifier, int):
            index, piece = _by_index(modifier, found)
            attributes.append(Attribute(piece, (index,)))
        else:
            spans = _places(found, modifier)
            attributes.append(_attribute(min(spans, key=lambda s: _gap(s, place)), found))
    return Subject(text, indices, tuple(attributes), count)


def _gap(span: Span, noun: Span) -> int:
    """Characters between a modifier and a noun; a little more where the modifier follows."""
    return 2 * (noun[0] - span[1]) if span[0] < noun[0] else 2 * (span[0] - noun[1]) + 1


def _distance(found: Tokens, modifier: str | int, noun: Span) -> int:
    if isinstance(modifier, int):
        return _gap(found.spans[_by_index(modifier, found)[0]], noun)
    return min(_gap(span, noun) for span in _places(found, modifier))


def _length(word: object) -> int:
    """Characters of a name; of a pair those of its noun, and of anything else none."""
    noun = word[-1] if isinstance(word, list | tuple) and word else word
    return len(noun) if isinstance(noun, str) else 0


def _is_names(word: object) -> bool:
    if not isinstance(word, Sequence) or isinstance(word, str | bytes):
        return False
    return all(_is_name(part) for part in word)


def _is_name(word: object) -> bool:
    """Whether this is a word of text or an index."""
    if isinstance(word, str):
        check_text(word, "name of a subject")
    return isinstance(word, str | int) and not isinstance(word, bool)


def name_subjects(
    found: Tokens,
    read: Callable[[], Sequence[Phrase]],
    words: Sequence[str | int | Sequence[str | int] | Subject],
) -> tuple[Subject, ...]:
    """The subjects that the user names, in the order of the names; see `find_subjects`.

    Args:
        found: the tokens of the prompt.
        read: reads the noun phrases of the prompt. Called at the first name in words, whose
            attributes and count it gives, and not at all for indices and subjects.
        words: the names.
    """
    phrases = cache(read)
    if isinstance(words, str):
        raise ValueError(f"The subjects are the text {words!r}; expected a list, as [{words!r}].")
    if not isinstance(words, Sequence) or isinstance(words, bytes):
        raise ValueError(f"The subjects are {words!r}; expected a list, as ['cat', 'frog'].")
    if not words:
        raise ValueError("The list of subjects is empty; name one, or pass None to find them.")
    words = [_own(word) for word in words]
    used: list[Span] = []
    subjects: dict[int, Subject] = {}
    # Longer names first: of "fire truck" and "truck" the shorter has the place that is left.
    for place in sorted(range(len(words)), key=lambda i: -_length(words[i])):
        word = words[place]
        if isinstance(word, Subject):
            subjects[place] = word
        elif not _is_name(word) and not _is_names(word):
            raise ValueError(f"{word!r} names no subject; expected a word, an index or a pair.")
        elif isinstance(word, int):
            index, text = _by_index(word, found)
            # A character may be several tokens.
            same = [i for i, span in enumerate(found.spans) if span == found.spans[index]]
            subjects[place] = Subject(text, tuple(same))
        elif isinstance(word, str):
            subjects[place] = _by_name(word, found, phrases, used)
        elif word:
            subjects[place] = _by_pair(word, found, phrases, used)
        else:
            raise ValueError("A pair of subjects is empty; expected (attribute, ..., noun).")
    return tuple(subjects[place] for place in range(len(words)))
