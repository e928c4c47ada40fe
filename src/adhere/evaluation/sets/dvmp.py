"""DVMP, "diverse multiple modifiers prompts", drawn by SynGen's rules."""

from __future__ import annotations

from adhere.evaluation.sets.draws import Draws
from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted, in_order
from adhere.evaluation.sets.words import ANIMALS, COLOURS, with_article

COUNT = 200
_COLOURS = (*COLOURS, "beige", "teal")
# For each kind of noun: the nouns, their modifiers, and at most how many of these.
_KINDS = (
    (
        (*ANIMALS, "panda", "zebra", "gorilla", "penguin"),
        ("furry", "baby", "spotted", "sleepy"),
        2,
    ),
    (("apple", "tomato", "banana", "strawberry"), ("sliced", "skewered"), 1),
    (
        (
            "backpack", "crown", "suitcase", "chair", "balloon", "bow", "car", "bowl", "bench",
            "clock", "camera", "umbrella", "guitar", "shoe", "hat", "surfboard", "skateboard",
            "bicycle",
        ),
        ("modern", "spotted", "wooden", "metal", "curved", "spiky", "checkered"),
        2,
    ),
)  # fmt: skip


def dvmp() -> PromptSet:
    """200 prompts such as "a red spotted dog and a sliced apple", of one to three phrases.

    The authors' script sets no seed, so the paper's list cannot be made again; this one is ours
    and fixed. Each phrase has a noun of a kind drawn evenly from animals, fruit and objects, none
    to two of the kind's modifiers (fruit: none or one), and with a chance of one in three a
    colour before them; where there is neither, modifiers and colour are drawn again. No phrase is
    twice in a prompt, no prompt twice in the set; the article is "an" before a vowel.

    Source:
        arXiv 2306.08877, the authors' script `dvmp.py`.
    """
    draws = Draws("dvmp")
    prompts: dict[str, Prompt] = {}
    while len(prompts) < COUNT:
        number = 1 + draws.below(3)
        phrases: dict[str, Wanted] = {}
        while len(phrases) < number:
            wanted = _phrase(draws)
            phrases.setdefault(with_article(wanted.phrase), wanted)
        text = " and ".join(phrases)
        prompts.setdefault(text, Prompt("", text, tuple(phrases.values())))
    return PromptSet(
        "dvmp",
        "made by adhere (fixed draw) with the rules of SynGen's DVMP (arXiv 2306.08877)",
        in_order("dvmp", prompts.values()),
    )


def _phrase(draws: Draws) -> Wanted:
    """A noun with at least one modifier or colour."""
    nouns, modifiers, most = draws.one_of(_KINDS)
    while True:
        chosen = draws.some_of(modifiers, draws.below(most + 1))
        colour = draws.one_of(_COLOURS) if draws.below(3) == 0 else None
        if chosen or colour:
            return Wanted(draws.one_of(nouns), colour, attributes=chosen)
