"""What is said of a scene: the benchmark's templates and freer ones."""

from collections.abc import Iterable

import numpy as np

from adhere.mini.vocabulary import ANIMALS
from training.world.scene import Scene, Thing
from training.world.vocabulary import NUMBERS, SCENES, check, plural

Group = tuple[str, str | None, int]

# Phrases come with their article or number, as "a red car" or "two cats".
_SINGLE = (
    "{0}", "{0}", "a photo of {0}", "a picture of {0}", "an image of {0}", "a drawing of {0}",
    "there is {0}", "one can see {0}", "a painting of {0}", "this is {0}",
)  # fmt: skip
_PAIR = (
    "{0} and {1}", "{0} and {1}", "{0} and {1}", "{0} with {1}", "a photo of {0} and {1}",
    "{0} next to {1}", "there is {0} and {1}", "a picture of {0} with {1}", "{0} beside {1}",
    "{0} near {1}", "a drawing of {0} and {1}", "a painting of {0} and {1}", "{0}, {1}",
)  # fmt: skip
_TRIPLE = (
    "{0} and {1} and {2}", "{0}, {1} and {2}", "a photo of {0}, {1} and {2}",
    "there is {0} and {1} and {2}", "{0} next to {1} and {2}",
)  # fmt: skip
TEMPLATES = {1: _SINGLE, 2: _PAIR, 3: _TRIPLE}
# What is said of a joined thing {0} and its base {1}. Two that are joined are one phrase of the
# templates above.
_JOINED = {
    "worn": ("{1} with {0}", "{1} wearing {0}"),
    "on": ("{0} on {1}", "{0} on {1}"),
    "in": ("{0} in {1}", "{0} inside {1}"),
    "held": ("{1} with {0}", "{1} holding {0}"),
}
_SITTING = "{0} sitting on {1}"

# Every word that a caption can hold besides subjects, plurals, colours and scenes.
WORDS = tuple(
    sorted(
        {
            word
            for template in (
                *_SINGLE,
                *_PAIR,
                *_TRIPLE,
                *SCENES.values(),
                *(one for some in _JOINED.values() for one in some),
                _SITTING,
            )
            for word in template.replace(",", " ,").split()
            if "{" not in word
        }
        | {"a", "an", "the", "of", "is", "are", "one", ".", *NUMBERS.values()}
    )
)


def groups(scene: Scene) -> list[Group]:
    """(subject, colour, count) in the order in which they first stand in the scene."""
    return _counted(scene.things)


def _counted(things: Iterable[Thing]) -> list[Group]:
    counts: dict[tuple[str, str | None], int] = {}
    for thing in things:
        key = (thing.subject, thing.colour)
        counts[key] = counts.get(key, 0) + 1
    return [(subject, colour, count) for (subject, colour), count in counts.items()]


def phrase(subject: str, colour: str | None, count: int, article: str = "a") -> str:
    """A subject as it is said: "a red car", "two cats".

    Args:
        subject: one of `SUBJECTS`.
        colour: one of `COLOURS`, for objects only, or None.
        count: 1 to 3.
        article: said before one; empty for none.

    Raises:
        ValueError: what the world does not have, or a count that it has no word for.
    """
    check(subject, colour)
    if count != 1 and count not in NUMBERS:
        raise ValueError(
            f"The world has no word for {count} times {subject!r}; it counts from 1 to "
            f"{max(NUMBERS)}."
        )
    noun = subject if count == 1 else plural(subject)
    words = [noun] if colour is None else [colour, noun]
    first = article if count == 1 else NUMBERS[count]
    return " ".join([first, *words] if first else words)


def caption(scene: Scene, random: np.random.Generator, forget: float = 0.0) -> str:
    """A caption of the scene, drawn from the templates.

    Args:
        scene: what is described.
        random: chooses the template, the order, the article, and what is forgotten.
        forget: chance of a colour, a subject of several, or the background being left out,
            each on its own, as in captions from the web. Where one of two joined things is left
            out, so is their relation.

    Returns:
        Lower-case English words; the article is "a" as in the benchmark, or "an" or "the".

    Raises:
        ValueError: no subject, more than three different ones, or more than three of one.
    """
    joined = {index for r in scene.relations for index in (r.thing, r.base)}
    loose = _counted(t for index, t in enumerate(scene.things) if index not in joined)
    said: list[tuple[str | None, list[Group]]] = [
        (r.kind, _counted([scene.things[r.thing]]) + _counted([scene.things[r.base]]))
        for r in scene.relations
    ]
    said += [(None, [group]) for group in loose]
    if len(said) not in TEMPLATES:
        raise ValueError(
            f"The scene holds {len(said)} different subjects; captions are for 1 to "
            f"{max(TEMPLATES)}: put as many into it."
        )
    every = [(row, column) for row, (_, own) in enumerate(said) for column in range(len(own))]
    if len(every) > 1 and random.random() < forget:
        row, column = every[int(random.integers(len(every)))]
        left = [group for place, group in enumerate(said[row][1]) if place != column]
        said[row : row + 1] = [(None, left)] if left else []
    phrases = []
    for kind, own in said:
        parts = [_phrase_drawn(group, random, forget, kind) for group in own]
        if kind is None:
            phrases += parts
            continue
        choices = _JOINED[kind]
        if kind == "on" and own[0][0] in ANIMALS:
            choices = (*choices, _SITTING)
        phrases.append(choices[int(random.integers(len(choices)))].format(*parts))
    order = random.permutation(len(phrases))
    templates = TEMPLATES[len(phrases)]
    text = templates[int(random.integers(len(templates)))].format(*(phrases[i] for i in order))
    if scene.background in SCENES and random.random() >= forget:
        text += " " + SCENES[scene.background]
    return text


def _phrase_drawn(
    group: Group, random: np.random.Generator, forget: float, kind: str | None
) -> str:
    """A phrase with an article drawn by chance: worn glasses often have none."""
    subject, colour, count = group
    if colour is not None and random.random() < forget:
        colour = None
    first = (colour or subject)[0]
    natural = "an" if first in "aeiou" else "a"
    article = str(random.choice(["a", natural, "the"], p=[0.5, 0.38, 0.12]))
    if kind == "worn" and subject == "glasses" and random.random() < 0.5:
        article = ""
    return phrase(subject, colour, count, article)
