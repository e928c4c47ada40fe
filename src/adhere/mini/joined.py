"""Whether one thing is worn by, on, in or held by another, judged by their boxes alone.

How two boxes lie to each other is four numbers; two things are joined if each number is in the
range that it has on drawn scenes of joined things. A range is of a relation and of the object
that tells most of it: what is worn, what is stood on, what contains. Animals that are drawn from
the side, with the head at one end of the box, have ranges of their own for what is worn. Boxes
do not tell what is in front, or what only lies where a joined thing would.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from adhere.mini.scorer import Box, Sighting
from adhere.mini.vocabulary import RELATIONS

LIMITS = Path(__file__).parent / "data" / "relations.json"
FROM_THE_SIDE = ("bird", "elephant", "horse", "turtle")


class Lie(NamedTuple):
    """How a thing lies to its base.

    Attributes:
        aside: between the middles, across, in widths of the base; 0 and more.
        top: the thing's top below the base's top, in heights of the base.
        bottom: the thing's bottom below the base's top, in heights of the base.
        width: the thing's width, in widths of the base.
    """

    aside: float
    top: float
    bottom: float
    width: float


Limits = dict[str, tuple[tuple[float, float], ...]]


def lie(thing: Box, base: Box) -> Lie:
    """How a box (left, top, right, bottom) lies to another; sides of 0 count as one pixel."""
    width, height = max(base[2] - base[0], 1.0), max(base[3] - base[1], 1.0)
    return Lie(
        abs(thing[0] + thing[2] - base[0] - base[2]) / 2 / width,
        (thing[1] - base[1]) / height,
        (thing[3] - base[1]) / height,
        (thing[2] - thing[0]) / width,
    )


def key(kind: str, thing: str, base: str) -> str:
    """The name of a range, such as "worn crown", "worn crown, side", "on bench", "held balloon".

    Raises:
        ValueError: unknown relation.
    """
    if kind not in RELATIONS:
        raise ValueError(
            f"The scorer does not know the relation {kind!r}; ask for one of "
            f"{', '.join(RELATIONS)}."
        )
    if kind == "worn" and base in FROM_THE_SIDE:
        return f"worn {thing}, side"
    return f"{kind} {thing if kind in ('worn', 'held') else base}"


@cache
def limits() -> Limits:
    """The ranges that ship with the package: (low, high) of each number of `Lie`, by `key`.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        read = json.loads(LIMITS.read_bytes())
        found = {
            name: tuple((float(low), float(high)) for low, high in ranges)
            for name, ranges in read.items()
        }
        if any(len(ranges) != len(Lie._fields) for ranges in found.values()):
            raise ValueError("not four ranges")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The scorer's ranges in {LIMITS} cannot be read ({error}); they ship with the "
            "package: install adhere again."
        ) from error
    return found


def is_seen(
    seen: Sighting, kind: str, thing: str, base: str, ranges: Limits | None = None
) -> bool:
    """Whether any of the things of a subject is joined to any of another, by their boxes.

    Args:
        seen: what the scorer found in an image.
        kind: one of `RELATIONS`.
        thing: subject of what is worn, stands, lies or is held.
        base: subject of what wears, carries, contains or holds it.
        ranges: instead of those that ship.

    Raises:
        ValueError: unknown relation, or subjects that it does not join.
    """
    return any(
        is_joined(kind, (thing, one.box), (base, other.box), ranges)
        for one in seen.of(thing)
        for other in seen.of(base)
    )


def knows(kind: str, thing: str, base: str) -> bool:
    """Whether this relation of these subjects can be judged."""
    return kind in RELATIONS and key(kind, thing, base) in limits()


def is_joined(
    kind: str,
    thing: tuple[str, Box],
    base: tuple[str, Box],
    ranges: Limits | None = None,
) -> bool:
    """Whether a thing is joined to its base as the relation says, by their boxes.

    Args:
        kind: one of `RELATIONS`.
        thing: subject and box of what is worn, stands, lies or is held.
        base: subject and box of what wears, carries, contains or holds it.
        ranges: instead of those that ship.

    Raises:
        ValueError: unknown relation, or subjects that it does not join.
    """
    ranges = limits() if ranges is None else ranges
    name = key(kind, thing[0], base[0])
    if name not in ranges:
        raise ValueError(
            f"The scorer cannot judge whether a {thing[0]} is {kind} a {base[0]}; it knows "
            f"{', '.join(ranges)}."
        )
    numbers = lie(thing[1], base[1])
    return all(low <= x <= high for x, (low, high) in zip(numbers, ranges[name], strict=True))
