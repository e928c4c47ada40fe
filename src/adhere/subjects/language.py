"""Whether a prompt is in English, the one language that the rules read."""

import re
import unicodedata

from adhere.subjects.lexicon import english, lexicon
from adhere.subjects.markup import without_markup

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def foreign_words(prompt: str) -> tuple[str, ...]:
    """The words by which a prompt is told not to be English, none where it is.

    A prompt is in another language if more of its words are known to be of another, or are in
    another script, than are known to be of English. Words of style ("masterpiece") do not count,
    and names ("Place de la Concorde") do not decide.
    """
    found = [match[0] for match in _WORD.finditer(without_markup(prompt))]
    words = [word.lower() for word in found]
    strange = [word for word in found if not _is_latin(word)]
    foreign = [word for word in words if word in lexicon("foreign")]
    particles = [
        word
        for word, following in zip(words, found[1:], strict=False)
        if word in lexicon("particles") and following.islower()
    ]
    # Scripts without spaces have many words in one run of letters.
    number = sum(1 + len(word) // 3 for word in strange) + len(foreign) + len(particles)
    if not (strange or foreign) or number <= sum(word in english() for word in words):
        return ()
    return (*strange, *foreign, *particles)


def _is_latin(word: str) -> bool:
    return all("LATIN" in unicodedata.name(letter, "") for letter in word if letter.isalpha())
