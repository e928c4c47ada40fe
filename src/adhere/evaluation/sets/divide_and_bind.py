"""Divide & Bind: its released examples, and its families made anew by its templates.

The paper's own lists were never released, so what is drawn here is ours: the templates are the
paper's, the words are those of the bundled model's world, and the draw is fixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations

from adhere.evaluation.sets.draws import Draws
from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted, in_order
from adhere.evaluation.sets.words import ANIMALS, COLOURS, OBJECTS, SCENES

_OURS = "made by adhere (fixed draw) with the template of Divide & Bind (arXiv 2307.10864)"
_NUMBERS = {1: "one", 2: "two"}
_PLURALS = {"mouse": "mice", "bench": "benches"}


@dataclass(frozen=True)
class Example:
    """One of the examples that the authors released.

    Attributes:
        prompt: what it asks for.
        seeds: the authors' seeds, of a CUDA generator.
        objects: the words that the authors nurse, by their index in the tokens of Stable
            Diffusion 1, start token included.
        attributes: the word that they bind to each object, in the order of the objects; empty
            where they bind none.
    """

    prompt: Prompt
    seeds: tuple[int, ...]
    objects: Mapping[int, str]
    attributes: Mapping[int, str]


@cache
def examples() -> tuple[Example, ...]:
    """The eight examples of the authors' notebook, with their words and seeds.

    What each wants is read from its objects and attributes: "the flash with green suit" wants a
    green flash, since these are the two words that the authors bind.

    Source:
        arXiv 2307.10864, the authors' repository.
    """
    file = files("adhere.evaluation") / "data" / "divide_and_bind_examples.json"
    found = []
    for number, row in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        wanted = tuple(Wanted(**one) for one in row["wanted"])
        prompt = Prompt(f"example-{number:03d}", row["prompt"], wanted, row["scene"])
        objects, attributes = (
            {int(index): word for index, word in row[kind].items()}
            for kind in ("objects", "attributes")
        )
        found.append(Example(prompt, tuple(row["seeds"]), objects, attributes))
    return tuple(found)


def released() -> PromptSet:
    """The prompts of the eight released examples; `examples` has their words and seeds too."""
    return PromptSet(
        "divide-and-bind-examples",
        "Divide & Bind (arXiv 2307.10864), the examples its authors released",
        tuple(example.prompt for example in examples()),
    )


def animal_scene() -> PromptSet:
    """56 prompts "a cat and a frog in the library": each pair of animals at most once.

    Articles are "a" also before vowels, as in the pairs of Attend-and-Excite that the paper
    appends its scenes to.
    """
    name, count = "animal-scene", 56
    draws = Draws(name)
    pairs = draws.some_of(tuple(combinations(ANIMALS, 2)), count)
    prompts = []
    for pair, scene in zip(pairs, draws.evenly(SCENES, count), strict=True):
        wanted = tuple(Wanted(subject) for subject in draws.shuffled(pair))
        prompts.append(_prompt(wanted, scene, name))
    return PromptSet(name, _OURS, in_order(name, prompts))


def color_obj_scene() -> PromptSet:
    """60 prompts "a red car and a blue bowl on the beach": each pair of objects at most once.

    The two colours differ, so that a colour on the wrong object can be told from a right one.
    Only objects are coloured: the animals of the bundled model's world keep their own colours.
    """
    name, count = "color-obj-scene", 60
    draws = Draws(name)
    pairs = draws.some_of(tuple(combinations(OBJECTS, 2)), count)
    prompts = []
    for pair, scene in zip(pairs, draws.evenly(SCENES, count), strict=True):
        subjects, colours = draws.shuffled(pair), draws.some_of(COLOURS, 2)
        wanted = tuple(map(Wanted, subjects, colours))
        prompts.append(_prompt(wanted, scene, name))
    return PromptSet(name, _OURS, in_order(name, prompts))


def multi_object() -> PromptSet:
    """30 prompts "one cat and two dogs": three things, as many as the world's scenes hold.

    One or two of the first, in turn by chance; no subject is more than one more often drawn than
    another. Glasses are left out: "two glasses" is one or two of them.
    """
    name, count = "multi-object", 30
    draws = Draws(name)
    subjects = tuple(subject for subject in (*ANIMALS, *OBJECTS) if subject != "glasses")
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        deck = draws.evenly(subjects, 2 * count)
        drawn = list(zip(deck[::2], deck[1::2], strict=True))
        if len({frozenset(pair) for pair in drawn if pair[0] != pair[1]}) == count:
            pairs = drawn
    prompts = []
    for pair, counts in zip(pairs, draws.evenly(((1, 2), (2, 1)), count), strict=True):
        wanted = tuple(Wanted(subject, count=n) for subject, n in zip(pair, counts, strict=True))
        text = " and ".join(f"{_NUMBERS[w.count]} {_plural(w)}" for w in wanted)
        prompts.append(Prompt("", text, wanted, tag=name))
    return PromptSet(name, _OURS, in_order(name, prompts))


def _prompt(wanted: tuple[Wanted, ...], scene: str, tag: str) -> Prompt:
    """The subjects, each after "a", joined by "and", and then the scene."""
    phrases = " and ".join(f"a {w.phrase}" for w in wanted)
    return Prompt("", f"{phrases} {scene}", wanted, scene, tag)


def _plural(wanted: Wanted) -> str:
    if wanted.count == 1:
        return wanted.subject
    return _PLURALS.get(wanted.subject, f"{wanted.subject}s")
