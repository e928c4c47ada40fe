"""The training mix: which scenes are drawn, and how often.

Like pictures from the web, most scenes hold one subject, pairs are rarer and triples rare, and
some captions leave something out. No prompt is made to fail: pairs are drawn evenly from all
that may be drawn. A third of the animal pairs is held out, so that what nursing does for pairs
never seen together can be told apart.

In some pairs and triples two things are joined: one is worn, stands on, lies in or is held by the
other. A fifth of what may be joined is held out: a lion and a crown that are never seen joined
are still seen apart.
"""

from itertools import combinations

import numpy as np

from adhere.mini.vocabulary import ANIMALS, COLOURS, OBJECTS, PAIRINGS, SUBJECTS
from training.world.captions import caption
from training.world.relations import check_relation, fit, join
from training.world.scene import Relation, Scene, Thing
from training.world.sprites import STYLES
from training.world.vocabulary import SCENES, check

# Chance of 1, 2 and 3 different subjects; of one (or two) of them becoming two (or three) of
# the same; of each kind of background.
SUBJECT_COUNTS = (0.65, 0.29, 0.06)
TWINS = 0.10
BACKGROUND_KINDS = {"plain": 0.4, "gradient": 0.25, "scene": 0.35}
PAINTED = 0.85
FORGET = 0.08
# Chance of two things of a pair and of a triple being joined, and of each relation.
JOINED = {2: 0.3, 3: 0.35}
RELATION_KINDS = {"worn": 0.4, "on": 0.25, "in": 0.2, "held": 0.15}
JOINED_SIZES = {2: (0.62, 0.94), 3: (0.46, 0.58)}
SIZES = {1: (0.5, 0.86), 2: (0.36, 0.52), 3: (0.30, 0.42)}


def held_out_pairs() -> frozenset[frozenset[str]]:
    """The 22 of 66 animal pairs that are never drawn together in training; a fixed draw."""
    pairs = [frozenset(pair) for pair in combinations(ANIMALS, 2)]
    chosen = np.random.default_rng(2301_13826).permutation(len(pairs))[: len(pairs) // 3]
    return frozenset(pairs[i] for i in chosen)


def held_out_relations() -> frozenset[tuple[str, str, str]]:
    """The fifth of all (relation, thing, base) that is never drawn joined; a fixed draw."""
    every = [
        (kind, thing, base)
        for kind, pairing in PAIRINGS.items()
        for thing in pairing.things
        for base in pairing.bases
    ]
    chosen = np.random.default_rng(2307_10864).permutation(len(every))[: len(every) // 5]
    return frozenset(every[i] for i in chosen)


_HELD_OUT = held_out_pairs()
_HELD_OUT_JOINED = held_out_relations()


def _subjects(random: np.random.Generator, count: int, beside: tuple[str, ...] = ()) -> list[str]:
    """Different subjects, among them and those beside them no held-out pair."""
    while True:
        chosen = [str(s) for s in random.choice(SUBJECTS, count, replace=False)]
        pairs = combinations((*chosen, *beside), 2)
        if not any(frozenset(pair) in _HELD_OUT or pair[0] == pair[1] for pair in pairs):
            return chosen


def random_relation(random: np.random.Generator) -> tuple[str, str, str]:
    """A (relation, thing, base) that is not held out, such as ("worn", "crown", "lion")."""
    kind = str(random.choice(list(RELATION_KINDS), p=list(RELATION_KINDS.values())))
    while True:
        pairing = PAIRINGS[kind]
        drawn = (kind, str(random.choice(pairing.things)), str(random.choice(pairing.bases)))
        if drawn not in _HELD_OUT_JOINED:
            return drawn


def place(
    random: np.random.Generator, sizes: list[tuple[float, float]], tries: int = 40
) -> list[tuple[float, float, float]]:
    """(x, y, size) for each of some things, so that they overlap little and stay inside.

    Args:
        random: draws the places.
        sizes: the least and the greatest size of each.
        tries: of which the one with the least overlap is taken.
    """
    best: list[tuple[float, float, float]] = []
    least = np.inf
    for _ in range(tries):
        spots = []
        for low, high in sizes:
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


def random_scene(
    random: np.random.Generator,
    subjects: list[str] | None = None,
    relation: tuple[str, str, str] | None = None,
) -> Scene:
    """A scene of the training mix.

    Args:
        random: draws everything.
        subjects: one to three subjects to draw instead of the mix's own choice, repeated for
            counts; they stand apart. Beside a relation at most one, or none.
        relation: (relation, thing, base) to draw, such as ("worn", "crown", "lion").

    Raises:
        ValueError: a subject or a relation that the world does not have, or another number of
            subjects.
    """
    if subjects is None and relation is None:
        subjects, relation = _choice(random)
    subjects = subjects or []
    for subject in subjects:
        check(subject)
    if relation is not None:
        check_relation(*relation)
    count = len(subjects) + (0 if relation is None else 2)
    if count not in SIZES:
        raise ValueError(
            f"A scene of the mix cannot hold {count} subjects; give one to {max(SIZES)}, "
            "or place more yourself, as a Scene of Things."
        )
    # One style a scene, as one hand draws one picture.
    style = str(random.choice(STYLES))
    colours: dict[str, str | None] = {}
    for subject in (*subjects, *(relation or ())[1:]):
        if subject in OBJECTS and subject not in colours:
            painted = random.random() < PAINTED
            colours[subject] = str(random.choice(list(COLOURS))) if painted else None

    def thing(subject: str, x: float, y: float, size: float) -> Thing:
        return Thing(subject, colours.get(subject), style, x, y, size, bool(random.random() < 0.5))

    if relation is None:
        spots = place(random, [SIZES[count]] * count)
        things = tuple(thing(s, *spot) for s, spot in zip(subjects, spots, strict=True))
        relations: tuple[Relation, ...] = ()
    else:
        kind, upper, lower = relation
        spots = place(random, [JOINED_SIZES[count], *[SIZES[2]] * len(subjects)])
        base = thing(lower, 0.5, 0.5, 0.5)
        things = fit((base, join(kind, thing(upper, 0.5, 0.5, 0.5), base, random)), *spots[0])
        things += tuple(thing(s, *spot) for s, spot in zip(subjects, spots[1:], strict=True))
        relations = (Relation(kind, 1, 0),)
    ground = str(random.choice(list(BACKGROUND_KINDS), p=list(BACKGROUND_KINDS.values())))
    name = str(random.choice(list(SCENES))) if ground == "scene" else ground
    return Scene(things, name, int(random.integers(2**31)), relations)


def _choice(random: np.random.Generator) -> tuple[list[str], tuple[str, str, str] | None]:
    """The mix's own choice: subjects that stand apart, and what is joined."""
    count = int(random.choice([1, 2, 3], p=SUBJECT_COUNTS))
    if count < 3 and random.random() < TWINS:
        return [str(random.choice(SUBJECTS))] * (count + 1), None
    if count > 1 and random.random() < JOINED[count]:
        relation = random_relation(random)
        return _subjects(random, count - 2, relation[1:]), relation
    return _subjects(random, count), None


def random_sample(random: np.random.Generator) -> tuple[Scene, str]:
    """A scene of the training mix with its caption."""
    scene = random_scene(random)
    return scene, caption(scene, random, FORGET)
