"""A prompt cut into words that remember where they stand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from adhere.subjects.lexicon import lexicon, phrase_openers, phrases, singulars
from adhere.subjects.markup import GLUE, PAINTED, with_soft_marks

Span = tuple[int, int]

_WORD = re.compile(
    r"(?P<many>\S{1,64})(?:\s+(?P=many)_\d+)+"  # a textual-inversion word of several vectors
    r"|<[^<>\s]+>"
    r"|\w/\d[\d.]*"  # an aperture
    r"|\b(?i:mr|mrs|ms|dr|st|mt)\.(?=\s*\w)|\b(?:\w\.){2,}"  # "Mr. Bean", "U.S."
    r"|\bw/o?(?!\w)"
    r"|\d+(?:[.,:/]\d+)+"
    r"|\d+[\s-]?(?:y\.?/?o\b\.?|years?[\s-]old\b)"
    r"|\b(?i:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty)[\s-]years?[\s-]old\b"
    r"|(?<=\w)['’]s\b"
    r"|\d+ k\b"
    r"|\w+(?:-\w+|['’](?!s\b)\w+|['’]s-\w+)*"  # "bird's-eye"
    r"|\S"
)
# A mark after a figure is one of inches.
_QUOTE = re.compile(r"(?<!\d)\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)")
_MARK = re.compile(r"[\"“”«»]|(?<!\w)['‘’]|['’](?!\w)")
_GOES_ON = re.compile(r"\s*\w")
_DESCRIBES = re.compile(r"(?:an?|the|one|two|three|four|five)\s", re.I)
_ENDS = re.compile(r"\s*(?:[,.;|]|by\b|in the style\b|$)", re.I)
_SHORT = {"w/": "with", "w/o": "without", PAINTED: "painted"}
# In words.
LONGEST_ENTRY = 5


@dataclass(frozen=True)
class Word:
    """A word, or a phrase that is read as one, of a prompt.

    Attributes:
        text: lower case, single spaces.
        start: index of its first character in the prompt.
        end: index after its last character.
    """

    text: str
    start: int
    end: int


@lru_cache
def read(prompt: str) -> tuple[Word, ...]:
    """Words and punctuation marks of a prompt, in order; not the words that it only quotes.

    Phrases of the lexicon, such as "next to" or "hot dog", are one word each.
    """
    text = with_soft_marks(prompt)
    said = _QUOTE.sub(_unquoted, text)
    # A prompt that is quoted as a whole is read.
    says = re.search(r"\w", re.sub(r"\b(?:and|or|with)\b", "", _QUOTE.sub(" ", text)))
    words = _words(said if says else _MARK.sub(" ", text))
    return tuple(_join(words, text))


def _unquoted(quote: re.Match) -> str:
    """Spaces for what is quoted; for the marks alone in "a 'vintage' camera".

    Quoted words at the start of a prompt describe the image where an article or a number opens
    them, and style or a comma follows: '"a robot" by an artist'.
    """
    start, end = quote.span()
    opens = not quote.string[:start].strip()
    if opens and _DESCRIBES.match(quote[0], 1) and _ENDS.match(quote.string, end):
        return f" {quote[0][1:-1]} "
    before = quote.string[max(0, start - 20) : start].split()
    opened = bool(before) and before[-1].lower() in lexicon("determiners")
    goes_on = _GOES_ON.match(quote.string, end) or before[-1:] in (["a"], ["an"])
    if opened and len(quote[0].split()) == 1 and goes_on:
        return f" {quote[0][1:-1]} "
    return " " * len(quote[0])


def _words(text: str) -> list[Word]:
    found = ((match["many"] or match[0], match.span()) for match in _WORD.finditer(text))
    plain = ((word.lower().replace(GLUE, ""), span) for word, span in found)
    return [Word(_SHORT.get(word, word), *span) for word, span in plain]


def _join(words: Sequence[Word], text: str) -> list[Word]:
    """The same words with the phrases of the lexicon made one."""
    joined: list[Word] = []
    i = 0
    while i < len(words):
        longest = LONGEST_ENTRY if words[i].text in phrase_openers() else 1
        for length in range(min(longest, len(words) - i), 1, -1):
            run = words[i : i + length]
            if _is_phrase(run, text):
                joined.append(Word(" ".join(word.text for word in run), run[0].start, run[-1].end))
                i += length
                break
        else:
            joined.append(words[i])
            i += 1
    return joined


def _is_phrase(words: Sequence[Word], text: str) -> bool:
    said = " ".join(word.text for word in words)
    gaps = (text[before.end : after.start] for before, after in pairwise(words))
    return any(form in phrases() for form in singulars(said)) and all(map(str.isspace, gaps))
