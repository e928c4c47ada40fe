"""A scene as data, and its picture."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from adhere.mini.vocabulary import RELATIONS
from training.world.anchors import RIMS
from training.world.backgrounds import background
from training.world.sprites import check_style, sprite
from training.world.vocabulary import BACKGROUNDS, check

CONTAINERS = tuple(dict.fromkeys(subject for subject, _ in RIMS))


@dataclass(frozen=True)
class Thing:
    """One subject standing in a scene.

    Attributes:
        subject: one of `SUBJECTS`.
        colour: one of `COLOURS` for objects; None for the artwork's own colours.
        style: one of `STYLES`.
        x: centre, fraction of the picture's width, 0 at the left.
        y: centre, fraction of the picture's height, 0 at the top.
        size: longer side, fraction of the picture's side.
        flip: mirrored left to right.

    Raises:
        ValueError: a subject, colour or style that the world does not have, a painted animal, or
            a place or size that is no number.
    """

    subject: str
    colour: str | None = None
    style: str = "noto"
    x: float = 0.5
    y: float = 0.5
    size: float = 0.6
    flip: bool = False

    def __post_init__(self) -> None:
        check(self.subject, self.colour)
        check_style(self.style)
        if not (math.isfinite(self.x) and math.isfinite(self.y) and 0 < self.size < math.inf):
            raise ValueError(
                f"A {self.subject} cannot stand at ({self.x}, {self.y}) with size {self.size}; "
                "give fractions of the picture's side, the size above 0."
            )


@dataclass(frozen=True)
class Relation:
    """One thing of a scene joined to another.

    Attributes:
        kind: one of `RELATIONS`.
        thing: the number, in the scene, of what is worn, stands on, lies in or is held.
        base: the number of what wears, carries, contains or holds it.

    Raises:
        ValueError: a relation that the world does not have.
    """

    kind: str
    thing: int
    base: int

    def __post_init__(self) -> None:
        if self.kind not in RELATIONS:
            raise ValueError(
                f"The world has no relation {self.kind!r}; it has {', '.join(RELATIONS)}."
            )


@dataclass(frozen=True)
class Scene:
    """Things in drawing order (later ones in front) before a background.

    Attributes:
        things: what stands in the scene.
        background: one of `BACKGROUNDS`.
        seed: places and tints the background's parts.
        relations: which things are joined; each thing takes part in one at most. The places of
            things are theirs: a relation says what they mean, and hides what lies in something.

    Raises:
        ValueError: a background that the world does not have, things that are none, or a
            relation between things that the scene does not have in this order.
    """

    things: tuple[Thing, ...]
    background: str = "plain"
    seed: int = 0
    relations: tuple[Relation, ...] = ()

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ValueError(
                f"The world has no background {self.background!r}; it has "
                f"{', '.join(BACKGROUNDS)}."
            )
        strange = [thing for thing in self.things if not isinstance(thing, Thing)]
        if strange:
            raise ValueError(
                f"A scene got {strange[0]!r} among its things; give a tuple of Thing, such as "
                "(Thing('cat'),)."
            )
        joined = [index for r in self.relations for index in (r.thing, r.base)]
        if len(set(joined)) < len(joined):
            raise ValueError(
                f"A scene got {self.relations} as relations; a thing can take part in one at most."
            )
        for relation in self.relations:
            if not 0 <= relation.base < relation.thing < len(self.things):
                raise ValueError(
                    f"A scene of {len(self.things)} things got {relation}; both must be numbers "
                    "of its things, the base's the smaller one, as it is drawn first."
                )
            if relation.kind == "in" and self.things[relation.base].subject not in CONTAINERS:
                raise ValueError(
                    f"Nothing can lie in a {self.things[relation.base].subject}; give one of "
                    f"{', '.join(CONTAINERS)}."
                )


def placed(thing: Thing, size: int) -> tuple[np.ndarray, int, int]:
    """A thing's sprite at its final size, and the column and row of its top left corner."""
    side = max(1, round(thing.size * size))
    picture = Image.fromarray(sprite(thing.subject, thing.style, thing.colour))
    # Colours are weighted by opacity, so that edges take no colour from transparent pixels.
    small = np.array(
        picture.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")
    )
    if thing.flip:
        small = small[:, ::-1]
    return small, round(thing.x * size - side / 2), round(thing.y * size - side / 2)


def paste(canvas: np.ndarray, layer: np.ndarray, left: int, top: int) -> None:
    """Lay an RGBA layer over a float RGB canvas in place; what falls outside is cut off."""
    size = canvas.shape[0]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + layer.shape[1], size), min(top + layer.shape[0], size)
    if x0 >= x1 or y0 >= y1:
        return
    part = layer[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
    alpha = part[..., 3:] / 255
    canvas[y0:y1, x0:x1] += alpha * (part[..., :3] - canvas[y0:y1, x0:x1])


def below_rim(base: Thing, size: int, shape: tuple[int, int], left: int, top: int) -> np.ndarray:
    """Which pixels of a layer lie below the edge of a container, bool (height, width).

    Args:
        base: the container.
        size: side of the picture in pixels.
        shape: height and width of the layer.
        left: column of the layer's left edge in the picture.
        top: row of its upper edge.
    """
    side = max(1, round(base.size * size))
    x0, y0 = round(base.x * size - side / 2), round(base.y * size - side / 2)
    across = (np.arange(shape[1]) + 0.5 + left - x0) / side
    down = (np.arange(shape[0]) + 0.5 + top - y0) / side
    rim = RIMS[base.subject, base.style]
    return down[:, None] > rim.height(1 - across if base.flip else across)[None]


def layers(scene: Scene, size: int) -> list[tuple[np.ndarray, int, int]]:
    """`placed` of each thing, without what a container hides."""
    found = [placed(thing, size) for thing in scene.things]
    for relation in scene.relations:
        if relation.kind == "in":
            layer, left, top = found[relation.thing]
            base = scene.things[relation.base]
            hidden = below_rim(base, size, layer.shape[:2], left, top)
            alpha = np.where(hidden, 0, layer[..., 3])[..., None]
            found[relation.thing] = np.concatenate([layer[..., :3], alpha], -1), left, top
    return found


def draw(scene: Scene, size: int = 128) -> np.ndarray:
    """The scene's picture, RGB uint8 of shape (size, size, 3)."""
    canvas = background(scene.background, scene.seed, size).astype(np.float32)
    for layer in layers(scene, size):
        paste(canvas, *layer)
    return canvas.round().astype(np.uint8)


def boxes(scene: Scene, size: int = 128) -> list[tuple[int, int, int, int]]:
    """For each thing the smallest (left, top, right, bottom) in pixels that holds it.

    What a container hides of a thing is not in its box; what another thing covers is. Right and
    bottom are one past the last pixel; boxes are cut at the picture's edge. A thing of which
    nothing is left to see has a box of zeros.
    """
    found = []
    for layer, left, top in layers(scene, size):
        rows, columns = np.nonzero(layer[..., 3] > 64)
        if not len(rows):
            found.append((0, 0, 0, 0))
            continue
        edges = (columns.min() + left, rows.min() + top, columns.max() + left, rows.max() + top)
        x0, y0, x1, y1 = (int(np.clip(edge, 0, size - 1)) for edge in edges)
        found.append((x0, y0, x1 + 1, y1 + 1))
    return found
