"""Backgrounds, drawn: plain, gradients, and simple versions of nine scenes.

Each painter gets a canvas of side 1000 and a random generator that places and tints its parts.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from training.world.vocabulary import BACKGROUNDS

Colour = tuple[int, int, int]


class _Canvas:
    """A drawing of side 1000 on a picture of any size."""

    def __init__(self, size: int, random: np.random.Generator) -> None:
        self.scale = size / 1000
        self.image = Image.new("RGB", (size, size))
        self.pen = ImageDraw.Draw(self.image)
        self.tint = random.uniform(-10, 10, 3)

    def _shade(self, colour: Colour) -> Colour:
        r, g, b = np.clip(np.array(colour) + self.tint, 0, 255).astype(int).tolist()
        return r, g, b

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        xy = [v * self.scale for v in (left, top, right, bottom)]
        self.pen.rectangle(xy, fill=self._shade(colour))

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        xy = [v * self.scale for v in (x - rx, y - ry, x + rx, y + ry)]
        self.pen.ellipse(xy, fill=self._shade(colour))

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon(
            [(x * self.scale, y * self.scale) for x, y in points], self._shade(colour)
        )


def _kitchen(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 620, (238, 226, 200))
    for x in range(0, 1000, 125):
        canvas.box(x, 330, x + 115, 440, (222, 236, 238))
        canvas.box(x, 450, x + 115, 560, (214, 230, 234))
    canvas.box(0, 560, 1000, 620, (150, 110, 84))
    canvas.box(0, 620, 1000, 1000, (206, 188, 160))
    for x in (20, 350, 680):
        canvas.box(x, 660, x + 290, 960, (226, 212, 188))
    shift = random.uniform(-60, 60)
    for x in (60, 640):
        canvas.box(x + shift, 40, x + 280 + shift, 230, (216, 196, 164))


def _library(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 1000, (122, 88, 60))
    spines = ((150, 74, 66), (84, 110, 128), (166, 142, 88), (98, 120, 88), (120, 92, 118))
    for shelf in range(4):
        top = 30 + 245 * shelf
        canvas.box(0, top, 1000, top + 205, (84, 60, 42))
        x = random.uniform(0, 30)
        while x < 1000:
            width = random.uniform(46, 80)
            height = random.uniform(130, 190)
            spine = spines[int(random.integers(len(spines)))]
            canvas.box(x, top + 205 - height, x + width - 8, top + 205, spine)
            x += width


def _street(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 600, (186, 200, 216))
    x = random.uniform(-120, 0)
    while x < 1000:
        width, top = random.uniform(180, 280), random.uniform(150, 320)
        canvas.box(x, top, x + width - 20, 640, (150, 152, 166))
        canvas.box(x, top - 30, x + width - 20, top + 20, (246, 248, 252))
        for wy in (top + 70, top + 190):
            canvas.box(x + 40, wy, x + 90, wy + 70, (226, 214, 158))
        x += width
    canvas.box(0, 620, 1000, 1000, (240, 244, 250))
    canvas.shape([(380, 620), (620, 620), (860, 1000), (140, 1000)], (200, 206, 216))
    for _ in range(26):
        canvas.disc(random.uniform(0, 1000), random.uniform(0, 1000), 9, 9, (252, 253, 255))


def _river(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 300, (190, 220, 240))
    canvas.box(0, 260, 1000, 380, (132, 180, 104))
    canvas.box(0, 370, 1000, 1000, (98, 166, 206))
    for _ in range(14):
        x, y = random.uniform(0, 1000), random.uniform(410, 980)
        canvas.disc(x, y, random.uniform(50, 110), 9, (146, 198, 226))


def _bedroom(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 680, (214, 204, 224))
    canvas.box(0, 680, 1000, 1000, (176, 142, 112))
    shift = random.uniform(-80, 80)
    canvas.box(640 + shift, 90, 880 + shift, 360, (250, 250, 250))
    canvas.box(660 + shift, 110, 860 + shift, 340, (178, 212, 236))
    canvas.box(60, 430, 110, 900, (132, 96, 68))
    canvas.box(80, 600, 960, 880, (150, 172, 206))
    canvas.box(110, 520, 330, 640, (246, 244, 240))


def _forest(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 700, (168, 204, 168))
    canvas.box(0, 700, 1000, 1000, (110, 142, 84))
    for _ in range(7):
        x, base = random.uniform(0, 1000), random.uniform(640, 780)
        height = random.uniform(380, 560)
        canvas.box(x - 18, base - 120, x + 18, base, (104, 78, 54))
        crown = [(x - 130, base - 90), (x + 130, base - 90), (x, base - height)]
        canvas.shape(crown, (72, 122, 78))


def _beach(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 420, (168, 216, 242))
    canvas.disc(random.uniform(120, 880), 130, 75, 75, (252, 232, 150))
    canvas.box(0, 400, 1000, 620, (74, 168, 200))
    canvas.shape([(0, 620), (500, 570), (1000, 630), (1000, 1000), (0, 1000)], (238, 218, 168))


def _desert(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 560, (246, 214, 166))
    shift = random.uniform(-120, 120)
    far = [(0, 560), (250 + shift, 430), (520 + shift, 540), (780 + shift, 440), (1000, 560)]
    canvas.shape([*far, (1000, 720), (0, 720)], (222, 172, 112))
    near = [(0, 700), (320 - shift, 600), (700 - shift, 700), (1000, 640)]
    canvas.shape([*near, (1000, 1000), (0, 1000)], (232, 188, 124))


def _night(canvas: _Canvas, random: np.random.Generator) -> None:
    canvas.box(0, 0, 1000, 760, (34, 42, 82))
    x = random.uniform(120, 880)
    canvas.disc(x, 150, 85, 85, (240, 236, 206))
    for _ in range(24):
        canvas.disc(random.uniform(0, 1000), random.uniform(0, 700), 7, 7, (226, 228, 214))
    canvas.box(0, 760, 1000, 1000, (44, 62, 66))


_SCENES: dict[str, Callable[[_Canvas, np.random.Generator], None]] = {
    "kitchen": _kitchen,
    "library": _library,
    "street": _street,
    "river": _river,
    "bedroom": _bedroom,
    "forest": _forest,
    "beach": _beach,
    "desert": _desert,
    "night": _night,
}


def _muted(random: np.random.Generator) -> np.ndarray:
    """A colour that leaves room for subjects: never far from grey."""
    middle = random.uniform(90, 232)
    return np.clip(middle + random.uniform(-38, 38, 3), 30, 245)


def background(name: str, seed: int, size: int) -> np.ndarray:
    """A background as RGB uint8 of shape (size, size, 3).

    Args:
        name: one of `BACKGROUNDS`.
        seed: places and tints the parts; the same seed gives the same picture.
        size: side in pixels.

    Raises:
        ValueError: unknown name.
    """
    random = np.random.default_rng(seed)
    if name == "plain":
        return np.broadcast_to(_muted(random), (size, size, 3)).astype(np.uint8)
    if name == "gradient":
        first, second = _muted(random), _muted(random)
        angle = random.uniform(0, 2 * np.pi)
        rows, columns = np.mgrid[0:size, 0:size] / max(size - 1, 1) - 0.5
        ramp = rows * np.sin(angle) + columns * np.cos(angle)
        ramp = (ramp / (abs(np.sin(angle)) + abs(np.cos(angle))) + 0.5)[..., None]
        return (first + ramp * (second - first)).astype(np.uint8)
    if name not in _SCENES:
        raise ValueError(f"The world has no background {name!r}; it has {', '.join(BACKGROUNDS)}.")
    canvas = _Canvas(2 * size, random)
    _SCENES[name](canvas, random)
    return np.array(canvas.image.resize((size, size), Image.Resampling.BOX))
