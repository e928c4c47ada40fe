"""What part of speech each word of a prompt is, by lexicon, suffix and neighbours.

Prompts are not news: most are noun phrases with few verbs, much of it without articles, so words
default to nouns and a word becomes a verb only where its place leaves no other reading.
"""

from collections.abc import Sequence

from adhere.subjects.forms import (
    NOMINAL,
    SURE_ENDING,
    Tag,
    closed_tag,
    goes_on,
    is_adjective,
    is_gerund,
    is_guessed_adjective,
    is_participle,
    is_third_person,
    takes_object,
)
from adhere.subjects.lexicon import is_in, is_plural, lexicon, numbers, singulars, stems
from adhere.subjects.markup import SOFT
from adhere.subjects.reading import Word

# How many words a rule looks back or ahead: more than any noun phrase has. Without a bound the
# time to read a prompt would grow with the square of its length.
REACH = 40
_OPENERS = frozenset({Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER, Tag.ADJECTIVE})
_SUBJECTS = frozenset({Tag.PRONOUN, Tag.CLAUSE})
_PHRASE_OPENERS = (Tag.DETERMINER, Tag.POSSESSIVE, Tag.PRONOUN)
# Deeds that seldom end the name of a thing: "the fox jumps over a dog", but "waves over rocks".
_DEEDS = frozenset(
    "smile look fight walk run jump dance play laugh frown hug kiss howl growl".split()
)
# What follows them where no article opens the phrase: "Batman fights with", "street fights in".
_AIMS = frozenset("at with over into onto across through past toward towards after".split())
# What no modal verb stands before.
_ENDS = (Tag.AND, Tag.COMMA, Tag.STOP, Tag.PREPOSITION, Tag.CLAUSE)
_MODALS = frozenset("will would can could shall should may might must do does did let".split())
_TITLES = frozenset("mr. mrs. ms. dr. st.".split())
_RELATIVES = frozenset("who that which".split())
_SOME = frozenset("all another both each other others some".split())
# Behind "of" these speak of what is known: "two of the cats", "three of them".
_KNOWN = frozenset("the these those them my your his her its our their".split())
_TOGETHER = frozenset("couple pair duo trio quartet quintet".split())
_SINGULAR = frozenset("a an one this each every another".split())


def _back(i: int) -> range:
    """The indices before `i`, the nearest first, as far as one looks back."""
    return range(i - 1, max(i - 1 - REACH, -1), -1)


class _Tagger:
    """Tags from left to right; a word sees the tags before it and the word after it."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.words = [word.text for word in words]
        self.tags: list[Tag] = []
        self.has_verb = False

    def run(self) -> list[Tag]:
        for i in range(len(self.words)):
            self.tags.append(self.tag(i))
            self.has_verb = self.has_verb or self.tags[-1] is Tag.VERB
        return self.tags

    def after(self, i: int) -> str:
        return self.words[i + 1] if i + 1 < len(self.words) else "."

    def before(self, i: int) -> Tag:
        """The tag before, looking through adverbs: "a brightly painted bird"."""
        for j in _back(i):
            if self.tags[j] not in (Tag.ADVERB, Tag.IGNORED):
                return self.tags[j]
        return Tag.STOP

    def leads_to_noun(self, i: int) -> bool:
        """Whether the word after `i` can go on with the noun phrase that `i` is in.

        Only the words before `i` have tags: of those after it, their own form must tell. A word
        that is looked ahead at, with the one before it not tagged yet, is in no opened phrase.
        """
        opened = i <= len(self.tags) and self.is_opened(i)
        stop = i + REACH
        while i < stop:
            word, tag = self.after(i), closed_tag(self.after(i))
            if tag is Tag.AND or (tag is Tag.COMMA and opened):
                if tag is Tag.COMMA and closed_tag(self.after(i + 1)) is Tag.AND:
                    i += 1
                if not self.is_adjective_at(i + 2):
                    return False
                i += 2
            elif tag is not None:
                return False
            elif not is_adjective(word):
                break
            elif not is_gerund(word):
                return True
            else:
                i += 1
        else:
            return False
        if is_gerund(word) or word in lexicon("irregular"):
            return False
        if is_third_person(word) and not is_in(word, "either"):
            return False
        return not word.endswith("ly") or is_in(word, "nouns")

    def is_opened(self, i: int) -> bool:
        """Whether an article, a number or the like opens the noun phrase that `i` is in."""
        first = self.opener(i)
        return bool(first) and closed_tag(first) in (Tag.DETERMINER, Tag.POSSESSIVE, Tag.NUMBER)

    def is_adjective_at(self, i: int) -> bool:
        """Whether the word at `i` is an adjective by its form, and opens no new phrase."""
        word = self.after(i - 1)
        return closed_tag(word) is None and is_adjective(word)

    def is_before_adjective(self, i: int) -> bool:
        """Whether adjectives and then a noun come after `i`: "a drab GREY wall".

        Two colours are of two things: "a black cat WHITE dog".
        """
        word, colours = self.after(i), lexicon("colours")
        if word in colours and i and self.words[i - 1] in colours:
            return False
        plain = self.is_adjective_at(i + 1) and not is_gerund(word) and not is_participle(word)
        end = next((j for j in range(i + 1, i + REACH) if not self.is_adjective_at(j)), i + REACH)
        return plain and self.leads_to_noun(end - 1)

    def tag(self, i: int) -> Tag:
        word, before = self.words[i], self.before(i)
        closed = closed_tag(word)
        if closed is not None:
            return self.tag_closed(i, closed)
        if " " in word or (i and self.words[i - 1] in _TITLES):
            return Tag.NOUN
        if i and self.words[i - 1] in _MODALS and word in lexicon("verbs"):
            return Tag.VERB
        if i and self.words[i - 1] == "to" and (word in lexicon("verbs") or self.opens_phrase(i)):
            return Tag.VERB
        if (before is Tag.PRONOUN or self.is_relative(i)) and self.is_verb_form(word):
            return Tag.VERB
        if self.is_after_predicate(i) and (is_gerund(word) or is_third_person(word)):
            return Tag.VERB
        if word in lexicon("combining") and self.is_combined(i):
            self.tags[i - 1] = Tag.ADJECTIVE
            return Tag.ADJECTIVE
        if word == "shot" and self.after(i) == "of" and before in (Tag.NOUN, Tag.ADJECTIVE):
            return Tag.NOUN
        if self.after(i) == "than" and word.endswith("er"):
            return Tag.ADJECTIVE
        if is_gerund(word):
            return self.tag_gerund(i, before)
        if word.endswith("ing") and self.opens_phrase(i) and before not in _OPENERS:
            return Tag.VERB
        if is_adjective(word) and not (before is Tag.NOUN and is_participle(word)):
            return self.tag_adjective(i, before)
        if is_participle(word):
            return self.tag_participle(i, before)
        if word.endswith("ly") and len(word) > 3 and not is_in(word, "nouns"):
            return Tag.ADVERB
        if before in _OPENERS and self.is_before_adjective(i):
            return Tag.ADJECTIVE
        if self.is_finite(i, before):
            return Tag.VERB
        if word in lexicon("materials"):
            return self.tag_adjective(i, before)
        if is_guessed_adjective(word) and before is not Tag.NOUN and self.leads_to_noun(i):
            return Tag.ADJECTIVE
        if before is Tag.NOUN and SURE_ENDING.search(word) and not is_in(word, "nouns"):
            return Tag.ADJECTIVE
        return Tag.NOUN

    def is_combined(self, i: int) -> bool:
        """Whether the word at `i` and the one before it describe the noun after them."""
        before = self.tags[i - 1] if i else Tag.STOP
        return before in (Tag.NOUN, Tag.ADJECTIVE) and self.leads_to_noun(i)

    def tag_closed(self, i: int, tag: Tag) -> Tag:
        word, after = self.words[i], closed_tag(self.after(i))
        if tag is Tag.POSSESSIVE and word in ("'s", "’s") and self.before(i) in _SUBJECTS:
            return Tag.BE
        if word in ("this", "that", "these", "those") and after is Tag.BE and not i:
            return Tag.PRONOUN
        if word == "that" and self.before(i) not in (Tag.NOUN, Tag.ADJECTIVE, Tag.IGNORED):
            return Tag.DETERMINER
        if word == "one" and self.after(i) in ("can", "sees", "of"):
            return Tag.PRONOUN
        if tag is Tag.NUMBER and self.after(i) == "of" and self.after(i + 1) in _KNOWN:
            return Tag.PRONOUN
        if word in ("can", "will", "let") and self.before(i) in _OPENERS:
            return Tag.NOUN
        if word == "can" and self.before(i) is Tag.NOUN and after in _ENDS:
            return Tag.NOUN
        if tag is Tag.NUMBER and not word.isdecimal() and self.after(i) == "of":
            return Tag.NOUN
        if word in _TOGETHER and self.before(i) in (*_OPENERS, Tag.NOUN):
            return Tag.NOUN
        if word == "left" and self.before(i) is Tag.NOUN and self.is_adjective_at(i + 1):
            return Tag.VERB
        if word == "half" and self.before(i) is Tag.NOUN:
            return Tag.ADVERB
        sided = word in ("left", "right") and self.before(i) is Tag.DETERMINER
        if sided and self.leads_to_noun(i):
            return Tag.ADJECTIVE
        if word in ("top", "front", "right", "left", "back", "outside", "inside", "light", "well"):
            return Tag.NOUN if self.before(i) in _OPENERS else tag
        return tag

    def is_relative(self, i: int) -> bool:
        """Whether the word at `i` is what "who", "that" or "which" does."""
        place = next((j for j in _back(i) if self.tags[j] is not Tag.ADVERB), -1)
        return place >= 0 and self.words[place] in _RELATIVES and self.tags[place] is Tag.CLAUSE

    def is_after_predicate(self, i: int) -> bool:
        """Whether a colour that ends before `i` is said of a thing: "a man in red riding"."""
        if i < 2 or self.words[i - 1] not in lexicon("colours"):
            return False
        return self.words[i - 2] == "in" or self.tags[i - 2] in (Tag.BE, Tag.VERB)

    def tag_gerund(self, i: int, before: Tag) -> Tag:
        if before in (Tag.NOUN, Tag.BE, Tag.PRONOUN, Tag.CLAUSE) or self.follows_both(i):
            return Tag.VERB
        if before in _OPENERS:
            if self.leads_to_noun(i):
                return Tag.ADJECTIVE
            return Tag.VERB if self.is_what_some_do(i) else Tag.NOUN
        if before is Tag.COMMA and i > 1 and self.tags[i - 2] is Tag.ADJECTIVE:
            return Tag.ADJECTIVE if self.leads_to_noun(i) else Tag.VERB
        if self.words[i] in lexicon("adjectives") and self.leads_to_noun(i):
            return Tag.ADJECTIVE
        if before is Tag.PREPOSITION and not takes_object(self.words[i]):
            return Tag.ADJECTIVE if self.leads_to_noun(i) else Tag.VERB
        return Tag.VERB

    def is_what_some_do(self, i: int) -> bool:
        """Whether the word at `i` says what some of those named before do: "one holding a cup"."""
        is_known = any(stem in lexicon("verbs") for stem in stems(self.words[i], "ing"))
        return is_known and (self.words[i - 1] in _SOME or self.tags[i - 1] is Tag.NUMBER)

    def follows_both(self, i: int) -> bool:
        """Whether the word at `i` says what two do: "a bird and a cat, both wearing hats"."""
        is_apart = i > 1 and self.words[i - 2] == ","
        return i > 0 and self.words[i - 1] == "both" and (is_apart or takes_object(self.words[i]))

    def tag_adjective(self, i: int, before: Tag) -> Tag:
        word = self.words[i]
        if word not in lexicon("materials"):
            names_thing = word in lexicon("nouns") and before not in (Tag.BE, Tag.VERB)
            return Tag.NOUN if names_thing and not self.leads_to_noun(i) else Tag.ADJECTIVE
        if before is Tag.NOUN or not self.leads_to_noun(i):
            return Tag.ADJECTIVE if word in lexicon("colours") else Tag.NOUN
        return Tag.ADJECTIVE

    def tag_participle(self, i: int, before: Tag) -> Tag:
        if self.words[i] in lexicon("nouns") and before in _OPENERS | {Tag.PREPOSITION}:
            return Tag.NOUN
        if before in (Tag.NOUN, Tag.BE, Tag.PRONOUN, Tag.CLAUSE):
            return Tag.VERB
        return Tag.ADJECTIVE if self.leads_to_noun(i) else Tag.VERB

    def is_verb_form(self, word: str) -> bool:
        return word in lexicon("verbs") or word.endswith(("s", "ed", "ing"))

    def is_finite(self, i: int, before: Tag) -> bool:
        """Whether the word at `i` is a finite verb, "stands" or "play", and no noun."""
        word, after = self.words[i], closed_tag(self.after(i))
        base, third = word in lexicon("verbs"), is_third_person(word)
        either = any(form in lexicon("either") for form in singulars(word))
        opens_phrase = self.opens_phrase(i)
        if not base and not third:
            impossible = before is Tag.NOUN and self.opener(i) in _SINGULAR and is_plural(word)
            return impossible and after in (*_PHRASE_OPENERS, Tag.PREPOSITION, Tag.ADVERB)
        if before is Tag.NOUN:
            opener = self.opener(i)
            if third:
                if opener in _SINGULAR or opens_phrase:
                    return True
                goes_on = after in (Tag.PREPOSITION, Tag.ADVERB, Tag.STOP, Tag.AND, Tag.NUMBER)
                goes_on = goes_on or self.is_telegraphic(i)
                return (not either or self.is_deed(i)) and goes_on and opener not in numbers()
            noun = self.words[i - 1] if self.tags[i - 1] is Tag.NOUN else ""
            several = is_plural(noun) or (self.is_joined(i) and self.is_done(i, either))
            return base and (several or (opens_phrase and not either))
        if before in (Tag.AND, Tag.COMMA) and self.has_verb:
            is_deed = third and after is Tag.PREPOSITION and word.removesuffix("s") in _DEEDS
            return (third or base) and (opens_phrase or not either or is_deed)
        if before is Tag.STOP:
            return base and opens_phrase
        return False

    def is_telegraphic(self, i: int) -> bool:
        """Whether a lone noun stands before `i`, and a thing after it: "girl holds umbrella"."""
        alone = i == 1 or self.tags[i - 2] in (Tag.COMMA, Tag.STOP, Tag.AND)
        return alone and closed_tag(self.after(i)) is None

    def is_joined(self, i: int) -> bool:
        """Whether "and" joins the noun phrase before `i` to another one."""
        place = next((j for j in _back(i) if self.tags[j] not in NOMINAL), 0)
        return place > 0 and self.tags[place] is Tag.AND and self.tags[place - 1] is Tag.NOUN

    def is_done(self, i: int, either: bool) -> bool:
        """Whether the base form at `i` says what two do, and ends no name such as "bus stop"."""
        return not either or self.words[i] in _DEEDS or self.opens_phrase(i)

    def is_deed(self, i: int) -> bool:
        """Whether the word at `i` says what the one thing before it does, and is no part of it."""
        is_known = any(form in _DEEDS for form in singulars(self.words[i]))
        is_opened = self.is_opened(i) or self.after(i) in _AIMS
        return is_known and is_opened and not is_plural(self.words[i - 1])

    def opens_phrase(self, i: int) -> bool:
        """Whether the word after `i` starts a noun phrase of its own."""
        return closed_tag(self.after(i)) in _PHRASE_OPENERS

    def opener(self, i: int) -> str:
        """The first word of the noun phrase that ends before `i`."""
        first = ""
        for j in _back(i):
            if self.tags[j] not in NOMINAL and self.tags[j] is not Tag.ADVERB:
                break
            first = self.words[j]
        return first


def settle_marks(words: Sequence[Word]) -> list[Word]:
    """The words without the marks that part no phrase: "a red ¦ car", but not "a cat ¦ a dog"."""
    settled: list[Word] = []
    for place, word in enumerate(words):
        if word.text in (SOFT, ",") and not settled:
            continue
        if word.text != SOFT:
            settled.append(word)
        elif not goes_on(settled[-1].text) and not _is_link(words, place + 1):
            settled.append(Word(",", word.start, word.end))
    return settled


def _is_link(words: Sequence[Word], place: int) -> bool:
    """Whether the word at a place, "of" or "is", goes on with what is said before it."""
    return place < len(words) and closed_tag(words[place].text) in (Tag.PREPOSITION, Tag.BE)


def tag_words(words: Sequence[Word]) -> list[Tag]:
    """The part of speech of each word."""
    return _Tagger(words).run()
