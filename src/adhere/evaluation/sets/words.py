"""The words of the generated sets, which are those of the bundled model's world."""

from adhere.mini.vocabulary import ANIMALS, COLOURS, OBJECTS

__all__ = ["ANIMALS", "COLOURS", "OBJECTS", "with_article"]


def with_article(words: str) -> str:
    """The words after "a", or after "an" where they begin with a vowel."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
