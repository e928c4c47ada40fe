"""Noun phrases of a tagged prompt, and which of them the picture must hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from adhere.subjects.lexicon import is_in, lexicon, numbers, singulars, stems
from adhere.subjects.reading import LONGEST_ENTRY, Span, Word
from adhere.subjects.tagging import NOMINAL, REACH, Tag, is_measure


class Role(Enum):
    """What a noun phrase is to the picture."""

    SUBJECT = auto()
    SCENE = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Phrase:
    """A noun phrase, as spans of characters of the prompt.

    Attributes:
        noun: the noun; of a compound noun, all its words.
        attributes: the modifiers of this noun, in the order of the prompt.
        count: how many it asks for; 1 where no number is said.
        role: whether it is a subject, part of the scene, or no thing at all.
    """

    noun: Span
    attributes: tuple[Span, ...] = ()
    count: int = 1
    role: Role = Role.SUBJECT


@dataclass(frozen=True)
class _Group:
    """A run of words that forms a noun phrase, or adjectives with no noun."""

    opener: Word | None
    number: int | None
    adjectives: tuple[Span, ...]
    nouns: tuple[Word, ...]
    end: int
    is_coloured: bool

    @property
    def span(self) -> Span:
        return self.nouns[0].start, self.nouns[-1].end

    @property
    def head(self) -> str:
        return self.nouns[-1].text

    def is_any_of(self, *names: str) -> bool:
        """Whether the head, or the head with words before it, is in one of the word lists."""
        texts = [word.text for word in self.nouns[-LONGEST_ENTRY:]]
        return any(is_in(" ".join(texts[i:]), n) for n in names for i in range(len(texts)))


def _number(word: str) -> int | None:
    """What a number word counts; a larger figure is a year or a model: "a 1967 car"."""
    if word.isdecimal():
        return int(word) if len(word) < 3 else None
    return numbers().get(word)


def _is_abstract(word: str) -> bool:
    """Whether a noun ends like "affection" or "sadness"."""
    abstract = word.endswith(("tion", "sion", "ness", "ism", "ity"))
    return abstract and word not in lexicon("not_abstract")


def _merge_shades(words: Sequence[Word]) -> tuple[Span, ...]:
    """Spans of adjectives, a shade and the colour after it as one: "dark blue"."""
    spans: list[Span] = []
    for i, word in enumerate(words):
        last = words[i - 1] if i else None
        shaded = last is not None and last.text in lexicon("shades") and word.start == last.end + 1
        if shaded and word.text in lexicon("colours"):
            spans[-1] = (spans[-1][0], word.end)
        else:
            spans.append((word.start, word.end))
    return tuple(spans)


class _Reader:
    """Walks over the words once and collects phrases; see `find_phrases`."""

    def __init__(self, words: Sequence[Word], tags: Sequence[Tag]) -> None:
        self.words, self.tags = words, tags
        self.phrases: list[Phrase] = []
        self.preposition = ""
        # Indices of phrases: the one that a predicate speaks of, and the one just read, of which
        # a relative clause or "painted red" speaks.
        self.topic: int | None = None
        self.last: int | None = None
        # Said by "a pair of", for the noun to come.
        self.number: int | None = None
        self.after_style = False

    def text(self, i: int) -> str:
        return self.words[i].text if 0 <= i < len(self.words) else ""

    def tag(self, i: int) -> Tag:
        return self.tags[i] if 0 <= i < len(self.tags) else Tag.STOP

    def run(self) -> list[Phrase]:
        i = 0
        while i < len(self.words):
            tag, text = self.tag(i), self.text(i)
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
                if tag is Tag.STOP:
                    self.topic = None
            elif tag is not Tag.AND:
                self.preposition, self.number = "", None
            i += 1
        return self.phrases

    def is_aimed(self, i: int) -> bool:
        """Whether "at" says no place but what is looked or pointed at."""
        before = i - 1
        while self.tag(before) in (Tag.ADVERB, Tag.PREPOSITION):
            before -= 1
        verb = self.text(before)
        forms = (verb, *singulars(verb), *stems(verb, "ing"), *stems(verb, "ed"))
        return self.text(i) == "at" and any(form in lexicon("aims") for form in forms)

    def group(self, i: int) -> _Group:
        """The noun phrase, or the adjectives alone, that start at `i`."""
        opener, number = None, None
        while self.tag(i) in (Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER, Tag.ADVERB):
            if self.tag(i) is Tag.NUMBER:
                number = _number(self.text(i))
            elif self.tag(i) is not Tag.ADVERB:
                opener = self.words[i]
            i += 1
        adjectives: list[Word] = []
        while True:
            if self.tag(i) is Tag.ADJECTIVE:
                adjectives.append(self.words[i])
            elif self.tag(i) not in (Tag.ADVERB, Tag.IGNORED) or not adjectives:
                joins = self.tag(i) is Tag.AND or (
                    self.tag(i) is Tag.COMMA and opener is not None and self.leads_to_noun(i + 1)
                )
                if not (adjectives and joins and self.tag(i + 1) is Tag.ADJECTIVE):
                    break
            i += 1
        nouns: list[Word] = []
        while self.tag(i) is Tag.NOUN or (nouns and self.tag(i) is Tag.NUMBER):
            nouns.append(self.words[i])
            i += 1
        nouns = [word for word in nouns if not is_measure(word.text)]
        if not nouns and adjectives and (opener or number):
            nouns = [adjectives.pop()]
        is_coloured = all(word.text in lexicon("colours") for word in adjectives)
        return _Group(opener, number, _merge_shades(adjectives), tuple(nouns), i, is_coloured)

    def leads_to_noun(self, i: int) -> bool:
        """Whether the words from `i` are adjectives, listed or not, and then a noun."""
        for j in range(i, i + REACH):
            joins = self.tag(j) in (Tag.AND, Tag.COMMA) and self.tag(j + 1) is Tag.ADJECTIVE
            if self.tag(j) not in (Tag.ADJECTIVE, Tag.ADVERB) and not joins:
                return self.tag(j) is Tag.NOUN
        return False

    def after_adjectives(self, i: int) -> int:
        while self.tag(i) in (Tag.ADJECTIVE, Tag.ADVERB):
            i += 1
        return i

    def take(self, group: _Group, start: int) -> None:
        """Adds what a group says to the phrases."""
        before = self.tag(start - 1)
        if not group.nouns:
            self.describe(group, start)
            return
        followed_by_of = self.text(group.end) == "of"
        shows = self.text(group.end) in ("of", "about")
        number = group.number if group.number is not None else self.number
        self.number = None
        if followed_by_of and group.is_any_of("collectives") and len(group.nouns) == 1:
            self.number = self.carried(group)
            return
        if shows and group.is_any_of("wrappers") and not self.in_sentence(start):
            return
        if followed_by_of and group.is_any_of("relations", "styles"):
            return
        if self.preposition in lexicon("stuff_prepositions") and self.is_stuff(group):
            self.attach(self.last, (*group.adjectives, group.span))
            return
        if number is None or is_in(group.head, "pair_nouns") and before is not Tag.NUMBER:
            number = 1
        role = self.role(group, start)
        phrase = Phrase(group.span, group.adjectives, max(number, 1), role)
        self.phrases.append(phrase)
        self.last = len(self.phrases) - 1
        if not self.preposition and before is not Tag.VERB:
            self.topic = self.last
        bare = group.opener is None and group.number is None
        self.after_style = group.is_any_of("styles", "wrappers") or self.is_maker(start, bare)

    def carried(self, group: _Group) -> int | None:
        """The number that "a pair of" or "a dozen of" passes on to the noun after it."""
        for form in singulars(group.head):
            if form in numbers():
                return numbers()[form] * (group.number or 1)
        return None

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

    def is_stuff(self, group: _Group) -> bool:
        return group.opener is None and group.number is None and not group.head.endswith("s")

    def describe(self, group: _Group, start: int) -> None:
        """Gives adjectives with no noun of their own to the noun that they speak of."""
        before = start - 1
        while self.tag(before) is Tag.ADVERB:
            before -= 1
        verb = self.text(before)
        if self.tag(before) is Tag.BE:
            relative = self.tag(before - 1) is Tag.CLAUSE
            self.attach(self.last if relative else self.topic, group.adjectives)
        elif self.tag(before) is Tag.VERB and verb in lexicon("copulas"):
            relative = self.tag(before - 1) in (Tag.CLAUSE, Tag.NOUN)
            self.attach(self.last if relative else self.topic, group.adjectives)
        elif self.text(before) == "in" and group.is_coloured:
            self.attach(self.last, group.adjectives)

    def attach(self, phrase: int | None, attributes: tuple[Span, ...]) -> None:
        if phrase is not None:
            old = self.phrases[phrase]
            self.phrases[phrase] = replace(old, attributes=(*old.attributes, *attributes))

    def is_maker(self, start: int, bare: bool) -> bool:
        """Whether the phrase names an artist: "oil painting by", "made by"."""
        if self.preposition != "by" or not bare:
            return False
        before = start - 2
        while self.tag(before) in (Tag.VERB, Tag.ADJECTIVE):
            before -= 1
        return self.after_style or self.tag(before) in (Tag.COMMA, Tag.STOP)

    def role(self, group: _Group, start: int) -> Role:
        """Whether the phrase is a thing, a place or neither."""
        opener = group.opener.text if group.opener else None
        bare = opener is None and group.number is None
        if self.is_maker(start, bare):
            return Role.OTHER
        if opener == "no" or self.preposition == "without":
            return Role.OTHER
        if self.preposition in ("in the style of", "in style of"):
            return Role.OTHER
        if group.is_any_of("compounds"):
            return Role.SUBJECT
        if group.is_any_of("sports") and bare and not group.adjectives:
            return Role.OTHER
        if group.is_any_of("abstract") or _is_abstract(group.head):
            return Role.OTHER
        if group.is_any_of("relations") and (self.preposition or self.text(group.end) == "of"):
            return Role.OTHER
        if group.is_any_of("styles", "wrappers"):
            shows = self.text(group.end) in ("with", "showing", "depicting", "featuring", "in")
            # "a photo realistic, a cat": the part before the comma says only what the image is.
            alone = self.tag(self.after_adjectives(group.end)) is Tag.COMMA
            opens = start == 0 and (shows or alone)
            if bare or opens or not group.is_any_of("wrappers"):
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


def _without_tail(
    phrases: Sequence[Phrase], words: Sequence[Word], tags: Sequence[Tag]
) -> list[Phrase]:
    """The phrases, those in the tail of style and artists that ends a prompt not as subjects.

    Once a thing and then a style have been named, a bare name between commas is an artist's.
    """
    kept: list[Phrase] = []
    named, styled = False, False
    for number, part in enumerate(_parts(tags)):
        start, end = words[part[0]].start, words[part[-1]].end
        inside = [phrase for phrase in phrases if start <= phrase.noun[0] < end]
        style = number > 0 and _is_style(words, tags, part)
        bare = all(tags[i] in (Tag.NOUN, Tag.AND, Tag.IGNORED) for i in part)
        if style or (named and styled and bare):
            inside = [replace(phrase, role=Role.OTHER) for phrase in inside]
        styled = styled or (named and style)
        named = named or any(phrase.role is Role.SUBJECT for phrase in inside)
        kept += inside
    return kept


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
    phrases = _without_tail(_Reader(words, tags).run(), words, tags)
    for role in (Role.SUBJECT, Role.SCENE, Role.OTHER):
        if any(phrase.role is role for phrase in phrases):
            return tuple(
                replace(phrase, role=Role.SUBJECT) if phrase.role is role else phrase
                for phrase in phrases
            )
    return ()
