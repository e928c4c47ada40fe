"""How well boxes tell joined things from others: ranges are fitted, and tried on other scenes."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from adhere.mini.joined import Lie, Limits, is_seen, key, lie
from adhere.mini.scorer import Scorer, Sighting
from adhere.mini.vocabulary import RELATIONS
from training.scorer.specimens import relation_of_any
from training.world.mix import random_scene
from training.world.relations import fit
from training.world.scene import Scene, draw

# Joined things; the same two apart as the mix draws them; joined ones of which one was moved away.
SORTS = ("joined", "apart", "moved")
SLACKS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)


@dataclass(frozen=True)
class Example:
    """A drawn scene and the relation that it is asked for.

    Attributes:
        sort: one of `SORTS`.
        relation: (relation, thing, base).
        scene: holds the two.
    """

    sort: str
    relation: tuple[str, str, str]
    scene: Scene


def moved(random: np.random.Generator, scene: Scene) -> Scene:
    """A joined pair whose thing was moved by half to nine tenths of its base's size."""
    base, thing = scene.things
    angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.5, 0.9) * base.size
    away = replace(thing, x=thing.x + far * np.cos(angle), y=thing.y + far * np.sin(angle))
    return replace(scene, things=fit((base, away), 0.5, 0.5, 0.9), relations=())


def examples(seed: int, count: int) -> list[Example]:
    """As many of each sort, of the same relations, those held out of the mix too."""
    made = []
    for number in range(count):
        random = np.random.default_rng((seed, 16, number))
        relation = relation_of_any(random)
        scene = random_scene(random, relation=relation)
        made += [
            Example("joined", relation, scene),
            Example("apart", relation, random_scene(random, list(relation[1:]))),
            Example("moved", relation, moved(random, scene)),
        ]
    return made


def _ranges(seen: list[tuple[Example, Sighting]], slack: float) -> Limits:
    """The least and the greatest of each number on joined examples, widened by the slack."""
    numbers: dict[str, list[Lie]] = defaultdict(list)
    for example, sighting in seen:
        things, bases = (sighting.of(subject) for subject in example.relation[1:])
        if example.sort == "joined" and len(things) == len(bases) == 1:
            numbers[key(*example.relation)].append(lie(things[0].box, bases[0].box))
    return {
        name: tuple(
            (round(min(column) - slack, 3), round(max(column) + slack, 3))
            for column in zip(*rows, strict=True)
        )
        for name, rows in sorted(numbers.items())
    }


def fitted(scorer: Scorer, made: list[Example]) -> tuple[Limits, float]:
    """The ranges that the scorer's own boxes have on joined examples, and their slack.

    The slack is the one at which the ranges of every other example judge the rest best, by the
    harmonic mean of precision and recall; the ranges are then those of all.

    Args:
        scorer: finds the two things; ranges are of examples in which it finds one of each.
        made: examples of all sorts.
    """
    seen = list(zip(made, scorer.look([draw(e.scene) for e in made]), strict=True))
    # Examples come in threes of one of each sort.
    halves: tuple[list[tuple[Example, Sighting]], ...] = ([], [])
    for number, one in enumerate(seen):
        halves[number // len(SORTS) % 2].append(one)

    def harmonic(slack: float) -> float:
        ranges = _ranges(halves[0], slack)
        known = [one for one in halves[1] if key(*one[0].relation) in ranges]
        total = _told(known, ranges)["all"]
        precision, recall = total["precision"], total["recall_where_found"]
        return 2 * precision * recall / max(precision + recall, 1e-9)

    best = max(SLACKS, key=harmonic)
    return _ranges(seen, best), best


def figures(
    scorer: Scorer, made: list[Example], ranges: Limits | None = None
) -> dict[str, dict[str, float]]:
    """How well relations are told, by relation and of all.

    Returns:
        thing, base: share of joined examples in which the subject is found.
        recall: share of joined examples that are judged so.
        recall_where_found: the same where both subjects are found.
        apart, moved: share of these examples that are wrongly judged joined.
        precision: of all that is judged joined, as many examples of each sort.
    """
    return _told(list(zip(made, scorer.look([draw(e.scene) for e in made]), strict=True)), ranges)


def _told(
    examples: list[tuple[Example, Sighting]], ranges: Limits | None
) -> dict[str, dict[str, float]]:
    counts: dict[tuple[str, str], list[tuple[bool, bool, bool]]] = defaultdict(list)
    for example, seen in examples:
        kind, thing, base = example.relation
        things, bases = seen.of(thing), seen.of(base)
        is_kept = is_seen(seen, kind, thing, base, ranges)
        for name in (kind, "all"):
            counts[name, example.sort].append((bool(things), bool(bases), is_kept))
    found = {}
    for name in (*RELATIONS, "all"):
        if (name, "joined") not in counts:
            continue
        thing, base, kept = np.array(counts[name, "joined"]).T
        wrong = {sort: np.array(counts[name, sort])[:, 2] for sort in SORTS[1:]}
        said = kept.sum() + sum(own.sum() for own in wrong.values())
        found[name] = {
            "examples": len(kept),
            "thing": float(thing.mean()),
            "base": float(base.mean()),
            "recall": float(kept.mean()),
            "recall_where_found": float(kept[thing & base].mean()),
            **{sort: float(own.mean()) for sort, own in wrong.items()},
            "precision": float(kept.sum() / max(said, 1)),
        }
    return found
