"""What a prompt asks for, where nobody states it."""

from __future__ import annotations

from adhere.evaluation.sets.prompt import Wanted
from adhere.subjects import parse
from adhere.subjects.lexicon import lexicon, singular
from adhere.subjects.markup import without_markup


def found(text: str) -> tuple[Wanted, ...]:
    """What a prompt asks for, by adhere's own rules.

    A noun after a number is made singular, but for one such as "scissors"; "birds" without a
    number stays as it is, with the count 1. Of several colours of a subject the first is its
    colour, the rest are attributes.
    """
    wanted = []
    plain = without_markup(text).lower()
    for phrase in parse(text):
        noun, *modifiers = (
            " ".join(plain[slice(*span)].split()) for span in (phrase.noun, *phrase.attributes)
        )
        colour = next((m for m in modifiers if is_colour(m)), None)
        if colour is not None:
            modifiers.remove(colour)
        stays = phrase.count == 1 or noun in lexicon("pair_nouns")
        subject = noun if stays else singular(noun)
        wanted.append(Wanted(subject, colour, phrase.count, tuple(modifiers)))
    return tuple(wanted)


def is_colour(modifier: str) -> bool:
    """Whether a modifier is a colour, or a shade of one: "dark blue"."""
    return modifier.split()[-1] in lexicon("colours")
