"""The training mix: which scenes are drawn, and how often.

Like pictures from the web, most scenes hold one subject, pairs are rarer and triples rare, and
some captions leave something out. No prompt is made to fail: pairs are drawn evenly from all
that may be drawn. A third of the animal pairs is held out, so that what nursing does for pairs
never seen together can be told apart.
"""

from itertools import combinations

import numpy as np

from adhere.mini.world.captions import caption
from adhere.mini.world.scene import Scene, Thing
from adhere.mini.world.sprites import STYLES
from adhere.mini.world.vocabulary import ANIMALS, COLOURS, OBJECTS, SCENES, SUBJECTS, check

# Chance of 1, 2 and 3 different subjects; of one (or two) of them becoming two (or three) of
# the same; of each kind of background.
SUBJECT_COUNTS = (0.65, 0.29, 0.06)
TWINS = 0.10
BACKGROUND_KINDS = {"plain": 0.4, "gradient": 0.25, "scene": 0.35}
PAINTED = 0.85
FORGET = 0.08
SIZES = {1: (0.5, 0.86), 2: (0.36, 0.52), 3: (0.30, 0.42)}


def held_out_pairs() -> frozenset[frozenset[str]]:
    """The 22 of 66 animal pairs that are never drawn together in training; a fixed draw."""
    pairs = [frozenset(pair) for pair in combinations(ANIMALS, 2)]
    chosen = np.random.default_rng(2301_13826).permutation(len(pairs))[: len(pairs) // 3]
    return frozenset(pairs[i] for i in chosen)


_HELD_OUT = held_out_pairs()


def _subjects(random: np.random.Generator, count: int) -> list[str]:
    """Different subjects, among them no held-out pair."""
    while True:
        chosen = [str(s) for s in random.choice(SUBJECTS, count, replace=False)]
        if not any(frozenset(pair) in _HELD_OUT for pair in combinations(chosen, 2)):
            return chosen


def place(random: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """(x, y, size) for each of 1 to 3 things, so that they overlap little and stay inside."""
    low, high = SIZES[count]
    best: list[tuple[float, float, float]] = []
    least = np.inf
    for _ in range(40):
        spots = []
        for _ in range(count):
            size = random.uniform(low, high)
            half = size / 2
            spots.append((*random.uniform(half, 1 - half, 2), size))
        overlap = sum(
            max(0, (a[2] + b[2]) / 2 - abs(a[0] - b[0]))
            * max(0, (a[2] + b[2]) / 2 - abs(a[1] - b[1]))
            for a, b in combinations(spots, 2)
        )
        if overlap < least:
            best, least = spots, overlap
        if overlap < 0.004:
            break
    return best


def random_scene(random: np.random.Generator, subjects: list[str] | None = None) -> Scene:
    """A scene of the training mix.

    Args:
        random: draws everything.
        subjects: one to three subjects to draw instead of the mix's own choice, repeated for
            counts.

    Raises:
        ValueError: a subject that the world does not have, or another number of them.
    """
    if subjects is None:
        count = int(random.choice([1, 2, 3], p=SUBJECT_COUNTS))
        if count < 3 and random.random() < TWINS:
            subjects = [str(random.choice(SUBJECTS))] * (count + 1)
        else:
            subjects = _subjects(random, count)
    for subject in subjects:
        check(subject)
    if len(subjects) not in SIZES:
        raise ValueError(
            f"A scene of the mix cannot hold {len(subjects)} subjects; give one to {max(SIZES)}, "
            "or place more yourself, as a Scene of Things."
        )
    # One style a scene, as one hand draws one picture.
    style = str(random.choice(STYLES))
    colours: dict[str, str | None] = {}
    for subject in subjects:
        if subject in OBJECTS and subject not in colours:
            painted = random.random() < PAINTED
            colours[subject] = str(random.choice(list(COLOURS))) if painted else None
    things = tuple(
        Thing(subject, colours.get(subject), style, x, y, size, bool(random.random() < 0.5))
        for subject, (x, y, size) in zip(subjects, place(random, len(subjects)), strict=True)
    )
    kind = str(random.choice(list(BACKGROUND_KINDS), p=list(BACKGROUND_KINDS.values())))
    name = str(random.choice(list(SCENES))) if kind == "scene" else kind
    return Scene(things, name, int(random.integers(2**31)))


def random_sample(random: np.random.Generator) -> tuple[Scene, str]:
    """A scene of the training mix with its caption."""
    scene = random_scene(random)
    return scene, caption(scene, random, FORGET)
