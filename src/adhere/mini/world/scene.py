"""A scene as data, and its picture."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from adhere.mini.world.backgrounds import background
from adhere.mini.world.sprites import check_style, sprite
from adhere.mini.world.vocabulary import BACKGROUNDS, check


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
class Scene:
    """Things in drawing order (later ones in front) before a background.

    Attributes:
        things: what stands in the scene.
        background: one of `BACKGROUNDS`.
        seed: places and tints the background's parts.

    Raises:
        ValueError: a background that the world does not have, or things that are none.
    """

    things: tuple[Thing, ...]
    background: str = "plain"
    seed: int = 0

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


def draw(scene: Scene, size: int = 128) -> np.ndarray:
    """The scene's picture, RGB uint8 of shape (size, size, 3)."""
    canvas = background(scene.background, scene.seed, size).astype(np.float32)
    for thing in scene.things:
        paste(canvas, *placed(thing, size))
    return canvas.round().astype(np.uint8)


def boxes(scene: Scene, size: int = 128) -> list[tuple[int, int, int, int]]:
    """For each thing the smallest (left, top, right, bottom) in pixels that holds it.

    Right and bottom are one past the last pixel; boxes are cut at the picture's edge.
    """
    found = []
    for thing in scene.things:
        layer, left, top = placed(thing, size)
        rows, columns = np.nonzero(layer[..., 3] > 64)
        edges = (columns.min() + left, rows.min() + top, columns.max() + left, rows.max() + top)
        x0, y0, x1, y1 = (int(np.clip(edge, 0, size - 1)) for edge in edges)
        found.append((x0, y0, x1 + 1, y1 + 1))
    return found
