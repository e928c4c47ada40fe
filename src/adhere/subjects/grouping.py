"""Which words of a tagged prompt stand together in one noun phrase."""

from collections import defaultdict
from collections.abc import Sequence

from adhere.subjects.forms import Tag, is_denial, is_measure
from adhere.subjects.lexicon import is_plural, lexicon, singulars
from adhere.subjects.phrase import GROUPS, Group, Phrase, added, count_of, merge_shades
from adhere.subjects.reading import Word
from adhere.subjects.tagging import REACH

# Openers of one thing.
_SINGLE = ("a", "an", "each", "every", "this", "that")
# With colours, what tells two of a kind apart: "a big and a small dog".
_SIZES = frozenset("big small large little tiny huge tall short long thin thick old new".split())


def is_many(noun: str) -> bool:
    """Whether a noun has the ending of a plural, or is one of those without."""
    return is_plural(noun) or (len(singulars(noun)) > 1 and not noun.endswith(("us", "is")))


def _are_colours(adjectives: Sequence[tuple[int, Word]]) -> bool:
    return all(word.text in lexicon("colours") for _, word in adjectives)


class Grouper:
    """Finds the noun phrase that starts at a word; see `group`."""

    def __init__(self, words: Sequence[Word], tags: Sequence[Tag]) -> None:
        self.words = words
        # Beyond both ends nothing is said.
        self.text = defaultdict(str, enumerate(word.text for word in words)).__getitem__
        self.tag = defaultdict(lambda: Tag.STOP, enumerate(tags)).__getitem__
        self.phrases: list[Phrase] = []

    def group(self, i: int) -> Group:
        """The noun phrase, or the adjectives alone, that start at `i`."""
        opener, number, start = None, None, i
        is_group = is_half = False
        while self.tag(i) in (Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER, Tag.ADVERB):
            if self.tag(i) is Tag.NUMBER:
                is_group = self.text(i) in GROUPS
                number = added(number, self.text(i))
            elif self.tag(i) is not Tag.ADVERB:
                opener = self.words[i]
                is_half |= opener.text == "half"
            i += 1
        if is_half and is_group and number:
            number //= 2
        adjectives: list[tuple[int, Word]] = []
        # "three red, white and blue flags", "with red, white and blue flags"
        is_behind = self.tag(start - 1) in (Tag.PREPOSITION, Tag.VERB)
        is_opened = i > start or (is_behind and self.text(start - 1) != "in")
        while True:
            if self.tag(i) is Tag.ADJECTIVE:
                if not (adjectives and self.says_colour(i)):
                    adjectives.append((i, self.words[i]))
            elif adjectives and self.shares_noun(i):
                i = self.behind(i)
                number = (number or 1) + (count_of(self.text(i)) or 1)
                is_group = True
            elif self.tag(i) not in (Tag.ADVERB, Tag.IGNORED) or not adjectives:
                is_listed = self.tag(i) is Tag.COMMA and is_opened
                after = self.behind(i)
                joins = self.tag(i) is Tag.AND or (is_listed and self.leads_to_noun(after))
                if not (adjectives and joins and self.tag(after) is Tag.ADJECTIVE):
                    break
                i = after - 1
            i += 1
        nouns: list[Word] = []
        while self.tag(i) is Tag.NOUN or (nouns and number is None and self.text(i).isdecimal()):
            nouns.append(self.words[i])
            i += 1
        nouns = [word for word in nouns if not is_measure(word.text)]
        styles = [place for place, word in enumerate(nouns[:-1]) if word.text == "style"]
        if styles:
            # "an art deco style lamp"
            nouns, adjectives = nouns[styles[-1] + 1 :], []
        # "a highly detailed, a fox" opens with what the image is.
        is_style = start == 0 and self.tag(i) is Tag.COMMA
        # "two dogs, one black and one white" has no third thing, nor has "a red cat, a small one".
        is_thing = (opener or number) and not is_style and self.text(i) not in ("one", "ones")
        if is_thing and adjectives and not nouns:
            if not self.phrases or not _are_colours(adjectives):
                nouns = [adjectives.pop()[1]]
        if any(is_denial(self.text(j)) for j in range(start + 1, i)):
            adjectives = []
        is_one = opener is not None and opener.text in _SINGLE
        if is_one and not is_group and nouns and not is_many(nouns[-1].text):
            # "a two headed dragon", but "a dozen goldfish"
            number = None
        shades, is_coloured = merge_shades(adjectives), _are_colours(adjectives)
        return Group(opener, number, shades, tuple(nouns), i, is_coloured)

    def says_colour(self, i: int) -> bool:
        """Whether the word at `i` only says that the one before it is a colour: "red colored"."""
        is_colour = self.text(i - 1) in lexicon("colours")
        return is_colour and self.text(i) in ("colored", "coloured")

    def shares_noun(self, i: int) -> bool:
        """Whether the noun after the next opener is that of these adjectives too.

        In "a red and a blue car" it is, but not in "a baby and a small dog".
        """
        openers = (Tag.DETERMINER, Tag.NUMBER)
        if self.tag(i) not in (Tag.AND, Tag.COMMA) or self.tag(self.behind(i)) not in openers:
            return False
        if not self.tells_apart(i - 1):
            return False
        for j in range(self.behind(i) + 1, i + REACH):
            if self.tag(j) is Tag.NOUN:
                return self.tag(j - 1) is Tag.ADJECTIVE
            if self.tag(j) not in (Tag.AND, Tag.COMMA, *openers) and not self.tells_apart(j):
                return False
        return False

    def tells_apart(self, i: int) -> bool:
        """Whether the word at `i` is a colour, or a shade before one, or a size."""
        text = self.text(i)
        if text in lexicon("shades") and self.text(i + 1) in lexicon("colours"):
            return True
        return self.tag(i) is Tag.ADJECTIVE and (text in lexicon("colours") or text in _SIZES)

    def behind(self, i: int) -> int:
        """The place behind what joins adjectives at `i`: ", and" is one sign."""
        return i + 2 if self.tag(i) is Tag.COMMA and self.tag(i + 1) is Tag.AND else i + 1

    def leads_to_noun(self, i: int) -> bool:
        """Whether the words from `i` are adjectives, listed or not, and then a noun."""
        for j in range(i, i + REACH):
            after = self.behind(j)
            joins = self.tag(j) in (Tag.AND, Tag.COMMA) and self.tag(after) is Tag.ADJECTIVE
            if self.tag(j) not in (Tag.ADJECTIVE, Tag.ADVERB) and not joins:
                return self.tag(j) is Tag.NOUN
        return False

    def after_adjectives(self, i: int) -> int:
        """The place of the first word from `i` on that is no adjective."""
        while self.tag(i) in (Tag.ADJECTIVE, Tag.ADVERB):
            i += 1
        return i
