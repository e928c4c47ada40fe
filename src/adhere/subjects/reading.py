"""A prompt cut into words that remember where they stand."""

import re
from dataclasses import dataclass
from itertools import pairwise

from adhere.subjects.lexicon import phrases, singulars

Span = tuple[int, int]

_WORD = re.compile(
    r"(?P<many>\S{1,64})(?:\s+(?P=many)_\d+)+"  # a textual-inversion word of several vectors
    r"|<[^<>\s]+>"
    r"|\w/\d[\d.]*"  # an aperture
    r"|\d+(?:[.,:/]\d+)+"
    r"|(?<=\w)['’]s\b"
    r"|\w+(?:-\w+|['’](?!s\b)\w+)*"
    r"|\S"
)
_QUOTE = re.compile(r"\"[^\"]*\"|“[^”]*”|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)")
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


def read(prompt: str) -> list[Word]:
    """Words and punctuation marks of a prompt, in order; not the words that it only quotes."""
    unquoted = _QUOTE.sub(lambda match: " " * len(match[0]), prompt)
    return _words(unquoted) or _words(prompt)


def _words(text: str) -> list[Word]:
    return [
        Word((match["many"] or match[0]).lower(), *match.span()) for match in _WORD.finditer(text)
    ]


def join_phrases(words: list[Word], prompt: str) -> list[Word]:
    """The same words with the phrases of the lexicon, such as "next to" or "hot dog", made one."""
    known = phrases()
    joined: list[Word] = []
    i = 0
    while i < len(words):
        for length in range(min(LONGEST_ENTRY, len(words) - i), 1, -1):
            run = words[i : i + length]
            text = " ".join(word.text for word in run)
            gaps = [prompt[a.end : b.start] for a, b in pairwise(run)]
            together = all(gap.isspace() for gap in gaps)
            if together and any(form in known for form in singulars(text)):
                joined.append(Word(text, run[0].start, run[-1].end))
                i += length
                break
        else:
            joined.append(words[i])
            i += 1
    return joined
