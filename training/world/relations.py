"""How two things are put together: one worn, standing on, lying in or held by the other."""

from dataclasses import replace

import numpy as np

from adhere.mini.vocabulary import PAIRINGS, RELATIONS
from training.world.anchors import HEADS, RIMS, SEATS, STRINGS
from training.world.scene import Thing
from training.world.sprites import extent


def check_relation(kind: str, thing: str, base: str) -> None:
    """Refuses a relation that the world does not draw.

    Raises:
        ValueError: unknown relation, or subjects that it does not join.
    """
    if kind not in PAIRINGS:
        raise ValueError(f"The world has no relation {kind!r}; it has {', '.join(RELATIONS)}.")
    for subject, allowed in ((thing, PAIRINGS[kind].things), (base, PAIRINGS[kind].bases)):
        if subject not in allowed:
            raise ValueError(
                f"The world draws no {thing} {kind} a {base}: {subject} cannot take this part; "
                f"give one of {', '.join(allowed)}."
            )


def bounds(thing: Thing) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of what is seen of a thing, fractions of the picture's side."""
    left, top, right, bottom = extent(thing.subject, thing.style)
    if thing.flip:
        left, right = 1 - right, 1 - left
    x, y = thing.x - thing.size / 2, thing.y - thing.size / 2
    return (
        x + left * thing.size,
        y + top * thing.size,
        x + right * thing.size,
        y + bottom * thing.size,
    )


def _point(thing: Thing, x: float, y: float) -> tuple[float, float]:
    """Where a point of a thing's cell lies in the picture."""
    across = 1 - x if thing.flip else x
    return thing.x + (across - 0.5) * thing.size, thing.y + (y - 0.5) * thing.size


def _moved(thing: Thing, x: float, y: float) -> Thing:
    return replace(thing, x=thing.x + x, y=thing.y + y)


def _with_middle(thing: Thing, x: float, y: float) -> Thing:
    left, top, right, bottom = bounds(thing)
    return _moved(thing, x - (left + right) / 2, y - (top + bottom) / 2)


def _with_bottom(thing: Thing, x: float, y: float) -> Thing:
    left, _, right, bottom = bounds(thing)
    return _moved(thing, x - (left + right) / 2, y - bottom)


def _of_width(thing: Thing, width: float) -> Thing:
    left, _, right, _ = extent(thing.subject, thing.style)
    return replace(thing, size=width / (right - left))


def _of_longer_side(thing: Thing, side: float) -> Thing:
    left, top, right, bottom = extent(thing.subject, thing.style)
    return replace(thing, size=side / max(right - left, bottom - top))


def _wear(thing: Thing, base: Thing, random: np.random.Generator) -> Thing:
    spot = getattr(HEADS[base.subject, base.style], thing.subject)
    x, y = _point(base, spot.x, spot.y)
    x, y = x + base.size * random.uniform(-0.02, 0.02), y + base.size * random.uniform(-0.02, 0.02)
    worn = replace(thing, flip=base.flip)
    worn = _of_width(worn, spot.width * base.size * random.uniform(0.95, 1.08))
    return (_with_bottom if thing.subject == "crown" else _with_middle)(worn, x, y)


def _stand(thing: Thing, base: Thing, random: np.random.Generator) -> Thing:
    seat = SEATS[base.subject, base.style]
    x, y = _point(base, seat.x + seat.play * random.uniform(-1, 1), seat.y)
    standing = _of_longer_side(thing, base.size * random.uniform(0.5, 0.66))
    return _with_bottom(standing, x, y + base.size * random.uniform(-0.01, 0.03))


def _lie(thing: Thing, base: Thing, random: np.random.Generator) -> Thing:
    rim = RIMS[base.subject, base.style]
    lying = _of_width(thing, rim.width * base.size * random.uniform(0.84, 1))
    lying = replace(lying, size=min(lying.size, 0.85 * base.size))
    _, top, _, bottom = bounds(lying)
    x, y = _point(base, rim.x, rim.y)
    return _with_bottom(lying, x, y + (bottom - top) * random.uniform(0.18, 0.28))


def _hold(thing: Thing, base: Thing, random: np.random.Generator) -> Thing:
    left, top, right, bottom = bounds(base)
    end_x, end_y, leans_right = STRINGS[thing.style]
    is_right = bool(random.random() < 0.5)
    held = replace(
        thing, size=base.size * random.uniform(0.62, 0.78), flip=leans_right != is_right
    )
    inside = random.uniform(0.05, 0.12) * (right - left)
    hand_x = right - inside if is_right else left + inside
    hand_y = top + random.uniform(0.55, 0.7) * (bottom - top)
    x, y = _point(held, end_x, end_y)
    return _moved(held, hand_x - x, hand_y - y)


_JOIN = {"worn": _wear, "on": _stand, "in": _lie, "held": _hold}


def join(kind: str, thing: Thing, base: Thing, random: np.random.Generator) -> Thing:
    """The thing moved, resized and mirrored so that it is joined to the base.

    Args:
        kind: one of `RELATIONS`.
        thing: what is worn, stands, lies or is held.
        base: what wears, carries, contains or holds it; stays as it is.
        random: moves the thing a little.

    Raises:
        ValueError: unknown relation, or subjects that it does not join.
    """
    check_relation(kind, thing.subject, base.subject)
    return _JOIN[kind](thing, base, random)


def fit(things: tuple[Thing, ...], x: float, y: float, size: float) -> tuple[Thing, ...]:
    """Things moved and resized together: the longer side of all that is seen is `size`.

    Args:
        things: keep their places to each other.
        x: middle of all, fraction of the picture's width.
        y: middle of all, fraction of the picture's height.
        size: fraction of the picture's side.
    """
    edges = np.array([bounds(thing) for thing in things])
    low, high = edges[:, :2].min(0), edges[:, 2:].max(0)
    scale = size / (high - low).max()
    middle = (low + high) / 2
    return tuple(
        replace(
            thing,
            x=x + scale * float(thing.x - middle[0]),
            y=y + scale * float(thing.y - middle[1]),
            size=float(scale * thing.size),
        )
        for thing in things
    )
