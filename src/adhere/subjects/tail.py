"""The tail of style and artists that ends many prompts."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from adhere.subjects.forms import Tag, is_measure
from adhere.subjects.lexicon import is_in
from adhere.subjects.phrase import Phrase, Role
from adhere.subjects.reading import Word

# Marks of quality and of number in a list of tags.
_TAGS = ("solo", "masterpiece", "best quality", "highres", "absurdres", "sfw", "nsfw")


def _parts(tags: Sequence[Tag]) -> list[range]:
    """Indices of the words between commas and stops."""
    stops = [i for i, tag in enumerate(tags) if tag in (Tag.COMMA, Tag.STOP)]
    starts = [0, *(i + 1 for i in stops)]
    return [range(a, b) for a, b in zip(starts, [*stops, len(tags)], strict=True) if a < b]


def _is_style(words: Sequence[Word], tags: Sequence[Tag], part: range) -> bool:
    """Whether a part speaks of style, and names no thing with an article or a number."""
    if any(tags[i] in (Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER) for i in part):
        return False
    return any(
        is_in(words[i].text, "styles") or (is_measure(words[i].text) and tags[i] is Tag.NOUN)
        for i in part
    )


def without_tail(
    phrases: Sequence[Phrase], words: Sequence[Word], tags: Sequence[Tag]
) -> list[Phrase]:
    """The phrases, those in the tail of style and artists that ends a prompt not as subjects.

    Once a thing and then a style have been named, a bare name between commas is an artist's; but
    a single word is a thing in a list of tags, such as "1girl, solo, sword".

    Args:
        phrases: in the order of the prompt.
        words: all words of the prompt.
        tags: the tag of each.
    """
    kept: list[Phrase] = []
    places = [phrase.noun[0] for phrase in phrases]
    named = styled = tagged = False
    for number, part in enumerate(_parts(tags)):
        start, end = words[part[0]].start, words[part[-1]].end
        inside = list(phrases[bisect_left(places, start) : bisect_left(places, end)])
        style = number > 0 and _is_style(words, tags, part)
        bare = all(tags[i] in (Tag.NOUN, Tag.AND, Tag.IGNORED) for i in part)
        is_tag = tagged and len(part) == 1
        if style or (named and styled and bare and not is_tag):
            inside = [replace(phrase, role=Role.OTHER) for phrase in inside]
        styled = styled or (named and style)
        tagged = tagged or (style and all(words[i].text in _TAGS for i in part))
        named = named or any(phrase.role is Role.SUBJECT for phrase in inside)
        kept += inside
    return kept
