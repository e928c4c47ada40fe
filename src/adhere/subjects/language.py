"""Whether a prompt is in English, the one language that the rules read."""

import unicodedata

from adhere.subjects.lexicon import english, lexicon
from adhere.subjects.reading import read


def foreign_words(prompt: str) -> tuple[str, ...]:
    """The words by which a prompt is told not to be English, none where it is.

    A prompt is in another language if more of it is in another script than in the Latin one, or
    more of its words are known to be of another language than of English. Words of style
    ("masterpiece") do not count, and names ("Place de la Concorde") do not decide.
    """
    found = [prompt[word.start : word.end] for word in read(prompt)]
    styles = lexicon("styles") | lexicon("wrappers")
    words = [word for word in found if any(map(str.isalpha, word)) and word.lower() not in styles]
    strange = [word for word in words if not _is_latin(word)]
    foreign = [word for word in words if _is_foreign(word.lower())]
    particles = [
        word
        for word, following in zip(words, words[1:], strict=False)
        if word.lower() in lexicon("particles") and following.islower()
    ]
    # Scripts without spaces have many words in one run of letters.
    if sum(1 + len(word) // 3 for word in strange) > len(words) - len(strange):
        return tuple(strange)
    known = sum(word.lower() in english() for word in words)
    if foreign and len(foreign) + len(particles) > known:
        return (*foreign, *particles)
    return ()


def _is_foreign(word: str) -> bool:
    """Whether a word is of another language, or a plural in "s" of one that is."""
    known = lexicon("foreign")
    return word in known or (len(word) > 4 and word.endswith("s") and word[:-1] in known)


def _is_latin(word: str) -> bool:
    return all("LATIN" in unicodedata.name(letter, "") for letter in word if letter.isalpha())
