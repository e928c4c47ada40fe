"""Prompts in the forms of GenEval, of words that its detector and the bundled model both know."""

from __future__ import annotations

from itertools import combinations, product

from adhere.evaluation.sets.draws import Draws
from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted, in_order
from adhere.evaluation.sets.words import COLOURS, with_article

# The classes of COCO among the words of the bundled model. A mouse is none: GenEval's is a
# computer's.
ANIMALS = ("cat", "dog", "bird", "bear", "horse", "elephant")
OBJECTS = ("backpack", "suitcase", "chair", "car", "bowl", "bench", "clock", "apple")
# GenEval has no gray.
_COLOURS = tuple(colour for colour in COLOURS if colour != "gray")
_SOURCE = "made by adhere (fixed draw) in the {} form of GenEval (arXiv 2310.11513)"


def two_object() -> PromptSet:
    """91 prompts "a photo of a dog and an apple": every pair of the 14 words once."""
    draws = Draws("geneval-two-object")
    pairs = [draws.shuffled(p) for p in draws.shuffled(tuple(combinations(ANIMALS + OBJECTS, 2)))]
    return _set("two_object", [tuple(map(Wanted, pair)) for pair in pairs])


def colors() -> PromptSet:
    """80 prompts "a photo of an orange car": each of the 8 objects in each of the 10 colours.

    Only objects are coloured: the animals of the bundled model's world keep their own colours.
    """
    draws = Draws("geneval-colors")
    pairs = draws.shuffled(tuple(product(OBJECTS, _COLOURS)))
    return _set("colors", [(Wanted(*pair),) for pair in pairs])


def color_attr() -> PromptSet:
    """100 prompts "a photo of a red car and a blue bowl": two objects, two different colours."""
    draws = Draws("geneval-color-attr")
    drawn: dict[tuple[Wanted, ...], None] = {}
    while len(drawn) < 100:
        subjects, colours = draws.some_of(OBJECTS, 2), draws.some_of(_COLOURS, 2)
        drawn.setdefault(tuple(map(Wanted, subjects, colours)))
    return _set("color_attr", list(drawn))


def _set(tag: str, wanted: list[tuple[Wanted, ...]]) -> PromptSet:
    slug = tag.replace("_", "-")
    prompts = []
    for subjects in wanted:
        phrases = " and ".join(with_article(subject.phrase) for subject in subjects)
        prompts.append(Prompt("", f"a photo of {phrases}", subjects, tag=tag))
    return PromptSet(f"geneval-{slug}", _SOURCE.format(tag), in_order(slug, prompts))
