"""Which words of a tagged prompt are its noun phrases, and which the image must hold."""

import re
from collections.abc import Sequence
from dataclasses import replace

from adhere.subjects.forms import NOMINAL, Tag, is_denial
from adhere.subjects.grouping import Grouper, is_many
from adhere.subjects.lexicon import base_forms, is_in, lexicon, numbers, singulars
from adhere.subjects.phrase import Group, Phrase, Role, is_abstract
from adhere.subjects.reading import Span, Word
from adhere.subjects.tail import without_tail

# What stands between what an image is and what it shows.
_SHOWS = ("with", "without", "showing", "depicting", "featuring", "in", "by")
# Before a name, or what is said: "a cat named Rex", "a sign saying hello".
_NAMES = ("named", "called", "titled", "say", "says", "saying", "spelling")
# Before the image: "on the left of the image".
_SIDES = ("left of", "right of", "middle of", "center of", "centre of", "bottom of", "corner of")
# Alone before what stands there: "top: a cat, bottom: a dog".
_SIDES_OF_IMAGE = ("top", "bottom", "middle", "center", "centre")
# What an image does: "the image shows a cat".
_PRESENTS = ("show", "depict", "feature", "contain", "portray", "capture", "display", "present")

# After "not" these deny no thing: "not only a cat", "not far from a cat".
_SOFTENERS = ("only", "just", "far", "so", "too", "very", "quite")


class _Reader(Grouper):
    """Walks over the words once and collects phrases; see `find_phrases`."""

    def __init__(self, words: Sequence[Word], tags: Sequence[Tag]) -> None:
        super().__init__(words, tags)
        self.preposition = ""
        # Indices of phrases: the one that a predicate speaks of, and the one just read, of which
        # a relative clause or "painted red" speaks.
        self.topic: int | None = None
        self.last: int | None = None
        # Said by "a pair of", for the noun to come.
        self.number: int | None = None
        self.after_style = False
        # Behind "a painting of", of which "by" says who made it.
        self.of_wrapper = False
        # Within the reach of a "not" or a "no"; and whether something was taken since it was said.
        self.denied = self.took = False
        # Place of the exclusion that denies, of which "and a" goes on: "without a hat and a coat".
        self.exclusion: int | None = None

    def run(self) -> list[Phrase]:
        i = 0
        while i < len(self.words):
            tag, text = self.tag(i), self.text(i)
            self.deny(i)
            if tag in NOMINAL or (tag is Tag.ADVERB and self.tag(i + 1) in NOMINAL):
                group = self.group(i)
                self.take(group, i)
                i = max(group.end, i + 1)
                continue
            if tag is Tag.PREPOSITION:
                if text != "of" or not self.preposition:
                    self.preposition = "to" if self.is_aimed(i) else text
            elif tag in (Tag.COMMA, Tag.STOP):
                self.preposition, self.number, self.after_style = "", None, False
                self.of_wrapper = False
                if tag is Tag.STOP:
                    self.topic = None
            elif tag is not Tag.AND:
                self.preposition, self.number = "", None
            i += 1
        return self.phrases

    def deny(self, i: int) -> None:
        """Says whether what is named at `i` and after it is to be left out of the image."""
        tag, text = self.tag(i), self.text(i)
        if text == "no" or text in lexicon("exclusions"):
            self.denied, self.took = True, False
            self.exclusion = None if text == "no" else i
        elif is_denial(text):
            self.denied, self.took = self.text(i + 1) not in _SOFTENERS, False
            self.exclusion = None
        elif tag in (Tag.COMMA, Tag.STOP, Tag.CLAUSE) or text == "but":
            self.denied = False
        elif self.took and (tag in (Tag.VERB, Tag.BE) or tag is Tag.PREPOSITION and text != "of"):
            self.denied = False
        elif tag is Tag.AND and self.tag(i + 1) in (Tag.DETERMINER, Tag.NUMBER):
            goes_on = text != "and" or self.text(i + 1) == "no" or self.excludes_too(i)
            self.denied = self.denied and goes_on

    def excludes_too(self, i: int) -> bool:
        """Whether the "and" at `i` adds to what is excluded, and opens no new part.

        "without a hat and a coat" does, but not "without cheese and a glass of beer", nor "without
        a hat and a woman with one".
        """
        if self.exclusion is None or self.tag(self.exclusion + 1) is not Tag.DETERMINER:
            return False
        end = i + 1
        while self.tag(end) in NOMINAL or self.tag(end) is Tag.ADVERB:
            end += 1
        return self.text(end) != "with" and self.tag(end) not in (Tag.VERB, Tag.BE)

    def is_aimed(self, i: int) -> bool:
        """Whether "at" says no place but what is looked or pointed at."""
        before = i - 1
        while self.tag(before) in (Tag.ADVERB, Tag.PREPOSITION):
            before -= 1
        verb = self.text(before)
        return self.text(i) == "at" and any(form in lexicon("aims") for form in base_forms(verb))

    def take(self, group: Group, start: int) -> None:
        """Adds what a group says to the phrases."""
        before = self.tag(start - 1)
        if not group.nouns:
            self.describe(group, start)
            return
        followed_by_of = self.text(group.end) == "of"
        shows = self.text(group.end) in ("of", "about")
        is_owned = self.text(start) in ("'s", "’s")
        if is_owned and shows and group.is_any_of("wrappers"):
            # "a child's drawing of a house": who drew it is not in it.
            self.set_aside(self.last)
            return
        if is_owned and group.is_any_of("places"):
            self.set_aside(self.last)
        number = self.said_count(group)
        self.number = None
        if followed_by_of and group.is_any_of("collectives") and len(group.nouns) == 1:
            self.number = self.carried(group)
            return
        if shows and group.is_any_of("wrappers") and not self.in_sentence(start):
            self.of_wrapper = True
            return
        if self.is_frame(group, start):
            return
        if followed_by_of and group.is_any_of("relations", "styles"):
            self.of_wrapper = self.of_wrapper or group.is_any_of("styles")
            return
        if group.is_any_of("hues") and group.adjectives and self.preposition in ("in", "of"):
            self.attach(self.last, group.adjectives)
            return
        if self.preposition in lexicon("stuff_prepositions") and self.is_stuff(group):
            self.attach(self.last, (*group.adjectives, group.span))
            return
        if is_in(group.head, "pair_nouns"):
            # "two pairs of scissors" are two, which "pairs of" has counted as four.
            said_pairs = self.text(start - 2) in ("pair", "pairs")
            number = group.number or (number and (number // 2 if said_pairs else number))
        number = 1 if number is None else number
        role = self.role(group, start)
        self.took = True
        phrase = Phrase(group.span, group.adjectives, max(number, 1), role)
        self.phrases.append(phrase)
        self.last = len(self.phrases) - 1
        if not self.preposition and before is not Tag.VERB:
            self.topic = self.last
        self.after_style = group.is_any_of("styles", "wrappers") or self.is_maker(group, start)

    def said_count(self, group: Group) -> int | None:
        """How many a group asks for, as a word, a figure, before "of" or as in "2girls"."""
        if group.number is not None:
            return group.number
        figure = re.match(r"(\d{1,2})[a-z]{3,}", group.head)
        return int(figure[1]) if figure else self.number

    def set_aside(self, phrase: int | None) -> None:
        if phrase is not None:
            self.phrases[phrase] = replace(self.phrases[phrase], role=Role.OTHER)

    def carried(self, group: Group) -> int | None:
        """The number that "a pair of" or "a dozen of" passes on to the noun after it."""
        # "dozens of" says no number, and "two dozens of" does.
        known = singulars(group.head) if group.number else (group.head,)
        found = next((numbers()[form] for form in known if form in numbers()), None)
        return found and found * (group.number or 1)

    def in_sentence(self, start: int) -> bool:
        """Whether something came before in this part of the prompt, between two commas."""
        while start > 0 and self.tag(start - 1) not in (Tag.COMMA, Tag.STOP):
            start -= 1
            if self.tag(start) in (Tag.NOUN, Tag.VERB, Tag.PREPOSITION):
                return any(
                    phrase.role is Role.SUBJECT and phrase.noun[0] >= self.words[start].start
                    for phrase in self.phrases
                )
        return False

    def is_frame(self, group: Group, start: int) -> bool:
        """Whether the phrase is the image itself: "the image shows", "the left of the image"."""
        if not group.is_any_of("wrappers") and group.head != "frame":
            return False
        shows = any(form in _PRESENTS for form in base_forms(self.text(group.end)))
        is_side = self.text(start - 1).endswith(_SIDES)
        opener = group.opener.text if group.opener else ""
        is_here = self.preposition == "in" and opener in ("this", "the")
        begins = not self.in_sentence(start)
        ends = is_here and self.tag(group.end) is Tag.COMMA
        return is_side or (begins and (ends or (shows and self.tag(group.end) is Tag.VERB)))

    def is_stuff(self, group: Group) -> bool:
        return group.is_bare and (not group.head.endswith("s") or group.head.endswith("ss"))

    def describe(self, group: Group, start: int) -> None:
        """Gives adjectives with no noun of their own to the noun that they speak of."""
        before = start - 1
        while self.tag(before) is Tag.ADVERB:
            before -= 1
        verb = self.text(before)
        if any(is_denial(self.text(i)) for i in range(before, group.end)):
            return
        if self.text(group.end) == "one" and self.text(start - 1) == "and":
            self.repeat(group)
        elif self.tag(before) is Tag.BE:
            relative = self.tag(before - 1) is Tag.CLAUSE
            self.attach(self.last if relative else self.coloured(), group.adjectives)
        elif self.tag(before) is Tag.VERB and verb in lexicon("copulas"):
            relative = self.tag(before - 1) in (Tag.CLAUSE, Tag.NOUN)
            self.attach(self.last if relative else self.topic, group.adjectives)
        elif group.is_coloured and (self.text(before) == "in" or self.tag(before) is Tag.NOUN):
            # "a cat in black", "a mug (white)"
            self.attach(self.last, group.adjectives)

    def repeat(self, group: Group) -> None:
        """Takes "a green one" for one thing more of a kind: "a red apple and a green one"."""
        last = self.last
        if last is not None and not self.denied and not is_many(self.said(last)):
            self.attach(last, group.adjectives)
            self.phrases[last] = replace(self.phrases[last], count=self.phrases[last].count + 1)

    def coloured(self) -> int | None:
        """What a predicate speaks of, and of a colour the thing that has it: "its color is"."""
        if self.topic is None or not is_in(self.said(self.topic), "hues"):
            return self.topic
        return self.last if self.last != self.topic else max(self.topic - 1, 0)

    def said(self, phrase: int) -> str:
        """The noun of a phrase."""
        first, last = self.phrases[phrase].noun
        return " ".join(word.text for word in self.words if first <= word.start < last)

    def attach(self, phrase: int | None, attributes: tuple[Span, ...]) -> None:
        if phrase is not None:
            old = self.phrases[phrase]
            self.phrases[phrase] = replace(old, attributes=(*old.attributes, *attributes))

    def is_maker(self, group: Group, start: int) -> bool:
        """Whether the phrase names an artist: "oil painting by", "a photo of a cat by"."""
        if self.preposition != "by" or not group.is_bare:
            return False
        if self.of_wrapper and not is_many(group.head) and self.tag(start - 2) is not Tag.VERB:
            return True
        before = start - 2
        while self.tag(before) in (Tag.VERB, Tag.ADJECTIVE):
            before -= 1
        return self.after_style or self.tag(before) in (Tag.COMMA, Tag.STOP)

    def is_opened_thing(self, group: Group) -> bool:
        """Whether an article, a number or a colour makes a thing of "light" or "canvas"."""
        if len(group.nouns) > 1 or not group.is_any_of("opened"):
            return False
        is_painted = bool(group.adjectives) and group.is_coloured and self.preposition != "in"
        return is_painted or (not group.is_bare and self.preposition not in lexicon("locatives"))

    def in_image(self) -> bool:
        """Whether a thing has been named before."""
        return any(phrase.role is Role.SUBJECT for phrase in self.phrases)

    def is_heading(self, start: int, end: int) -> bool:
        """Whether the words stand alone between two marks, as in "top: a cat, bottom: a dog"."""
        marks = (Tag.COMMA, Tag.STOP)
        return self.tag(start - 1) in marks and self.tag(end) in marks

    def role(self, group: Group, start: int) -> Role:
        """Whether the phrase is a thing, a place or neither."""
        opener = group.opener.text if group.opener else None
        bare = group.is_bare
        if self.is_maker(group, start):
            return Role.OTHER
        self.denied = self.denied or opener == "no"
        if self.denied or group.number == 0:
            return Role.OTHER
        if self.text(start - 1) in _NAMES:
            return Role.OTHER
        if self.after_style and self.preposition == "by" and self.text(group.end) == "of":
            return Role.OTHER
        if self.preposition in ("in the style of", "in style of"):
            return Role.OTHER
        if group.is_any_of("compounds"):
            return Role.SUBJECT
        if self.is_opened_thing(group):
            return Role.SUBJECT
        if group.is_any_of("sports") and bare and not group.adjectives:
            return Role.OTHER
        if group.is_any_of("abstract") or is_abstract(group.head):
            return Role.OTHER
        if group.is_any_of("relations") and (self.preposition or self.text(group.end) == "of"):
            return Role.OTHER
        is_in_order = self.preposition == "in" and not group.adjectives
        if is_in_order and group.is_any_of("collectives"):
            # "three cats in a row"
            return Role.OTHER
        if bare and group.head in _SIDES_OF_IMAGE and self.is_heading(start, group.end):
            return Role.OTHER
        if group.is_any_of("styles", "wrappers"):
            shows = self.text(group.end) in _SHOWS or self.text(group.end + 1) == "by"
            # "a photo realistic, a cat": the part before the comma says only what the image is.
            alone = self.tag(self.after_adjectives(group.end)) is Tag.COMMA
            opens = (start == 0 and alone) or (shows and not self.in_image())
            is_owned = self.text(start) in ("'s", "’s")
            if bare or opens or is_owned or not group.is_any_of("wrappers"):
                return Role.OTHER
        owned = self.tag(start) is Tag.POSSESSIVE and opener not in ("'s", "’s")
        if owned and self.preposition and group.is_any_of("body") and not group.adjectives:
            return Role.OTHER
        if group.is_any_of("places"):
            return Role.SCENE
        if group.is_any_of("soft_places"):
            tail = bare and self.tag(start - 1) is Tag.COMMA
            if self.preposition in lexicon("locatives") or tail:
                return Role.SCENE
        return Role.SUBJECT


def find_phrases(words: Sequence[Word], tags: Sequence[Tag]) -> tuple[Phrase, ...]:
    """Noun phrases of a prompt, each with its role.

    A prompt with no thing in it is about its scene, and one with no scene about whatever noun it
    has: then those are its subjects.

    Args:
        words: the words of the prompt, phrases of the lexicon joined.
        tags: the part of speech of each.

    Returns:
        The phrases in the order of the prompt; none if it has no noun.
    """
    phrases = without_tail(_Reader(words, tags).run(), words, tags)
    for role in (Role.SUBJECT, Role.SCENE, Role.OTHER):
        if any(phrase.role is role for phrase in phrases):
            return tuple(
                replace(phrase, role=Role.SUBJECT) if phrase.role is role else phrase
                for phrase in phrases
            )
    return ()
