"""Where things join: a point of a sprite at which another thing is worn, stands, lies or is held.

Read off the artwork. All numbers are fractions of the sprite's cell: x from the left, y from
the top, for a sprite that is not mirrored.
"""

from typing import Any, NamedTuple


class Spot(NamedTuple):
    """Where a worn thing goes: its middle, and its width, both of the wearer's cell."""

    x: float
    y: float
    width: float


class Worn(NamedTuple):
    """An animal's head: `crown.y` is the crown's bottom, the other two are middles."""

    crown: Spot
    glasses: Spot
    bow: Spot


class Seat(NamedTuple):
    """Where the bottom of a thing stands, and how far to the side it may stand."""

    x: float
    y: float
    play: float


class Rim(NamedTuple):
    """The edge behind which a container hides a thing: y + slope dx + curve dx², dx from x.

    `width` is what fits in.
    """

    x: float
    y: float
    width: float
    curve: float = 0.0
    slope: float = 0.0

    def height(self, x: Any) -> Any:
        """The edge's y at an x, arrays allowed."""
        return self.y + self.slope * (x - self.x) + self.curve * (x - self.x) ** 2


def _worn(*numbers: float) -> Worn:
    return Worn(Spot(*numbers[:3]), Spot(*numbers[3:6]), Spot(*numbers[6:]))


# By (animal, style): crown, glasses, bow, each x, y, width.
HEADS = {
    ("cat", "noto"): _worn(0.50, 0.31, 0.52, 0.50, 0.54, 0.84, 0.80, 0.20, 0.46),
    ("dog", "noto"): _worn(0.50, 0.15, 0.50, 0.50, 0.50, 0.78, 0.78, 0.14, 0.46),
    ("bird", "noto"): _worn(0.25, 0.15, 0.36, 0.20, 0.27, 0.40, 0.42, 0.13, 0.36),
    ("bear", "noto"): _worn(0.50, 0.14, 0.52, 0.50, 0.46, 0.78, 0.78, 0.12, 0.46),
    ("lion", "noto"): _worn(0.50, 0.16, 0.56, 0.50, 0.37, 0.58, 0.78, 0.16, 0.44),
    ("horse", "noto"): _worn(0.44, 0.18, 0.42, 0.37, 0.42, 0.48, 0.62, 0.14, 0.42),
    ("elephant", "noto"): _worn(0.34, 0.14, 0.42, 0.26, 0.38, 0.44, 0.54, 0.12, 0.42),
    ("monkey", "noto"): _worn(0.50, 0.18, 0.50, 0.50, 0.46, 0.58, 0.76, 0.20, 0.44),
    ("frog", "noto"): _worn(0.50, 0.26, 0.44, 0.50, 0.27, 1.00, 0.50, 0.20, 0.42),
    ("turtle", "noto"): _worn(0.24, 0.37, 0.36, 0.19, 0.45, 0.38, 0.36, 0.36, 0.34),
    ("rabbit", "noto"): _worn(0.50, 0.46, 0.38, 0.50, 0.60, 0.58, 0.68, 0.42, 0.40),
    ("mouse", "noto"): _worn(0.50, 0.38, 0.44, 0.50, 0.61, 0.76, 0.74, 0.26, 0.44),
    ("cat", "fluent"): _worn(0.50, 0.32, 0.52, 0.50, 0.53, 0.66, 0.80, 0.22, 0.46),
    ("dog", "fluent"): _worn(0.50, 0.14, 0.48, 0.50, 0.37, 0.54, 0.76, 0.16, 0.44),
    ("bird", "fluent"): _worn(0.36, 0.11, 0.40, 0.24, 0.26, 0.42, 0.50, 0.12, 0.38),
    ("bear", "fluent"): _worn(0.50, 0.16, 0.52, 0.50, 0.46, 0.64, 0.78, 0.12, 0.46),
    ("lion", "fluent"): _worn(0.50, 0.14, 0.54, 0.50, 0.45, 0.64, 0.78, 0.16, 0.44),
    ("horse", "fluent"): _worn(0.44, 0.18, 0.40, 0.30, 0.38, 0.46, 0.60, 0.16, 0.42),
    ("elephant", "fluent"): _worn(0.24, 0.15, 0.42, 0.15, 0.36, 0.42, 0.38, 0.16, 0.42),
    ("monkey", "fluent"): _worn(0.50, 0.18, 0.50, 0.50, 0.41, 0.52, 0.74, 0.18, 0.44),
    ("frog", "fluent"): _worn(0.50, 0.26, 0.42, 0.50, 0.23, 0.98, 0.50, 0.22, 0.40),
    ("turtle", "fluent"): _worn(0.10, 0.49, 0.32, 0.10, 0.54, 0.34, 0.17, 0.46, 0.32),
    ("rabbit", "fluent"): _worn(0.50, 0.40, 0.38, 0.50, 0.59, 0.62, 0.68, 0.36, 0.40),
    ("mouse", "fluent"): _worn(0.50, 0.38, 0.44, 0.50, 0.66, 0.64, 0.72, 0.28, 0.44),
    ("cat", "twemoji"): _worn(0.50, 0.25, 0.52, 0.50, 0.55, 0.78, 0.78, 0.18, 0.46),
    ("dog", "twemoji"): _worn(0.50, 0.12, 0.48, 0.50, 0.41, 0.66, 0.74, 0.12, 0.44),
    ("bird", "twemoji"): _worn(0.36, 0.13, 0.40, 0.27, 0.23, 0.42, 0.50, 0.12, 0.38),
    ("bear", "twemoji"): _worn(0.50, 0.12, 0.52, 0.50, 0.50, 0.64, 0.78, 0.14, 0.46),
    ("lion", "twemoji"): _worn(0.50, 0.16, 0.54, 0.50, 0.46, 0.58, 0.76, 0.18, 0.44),
    ("horse", "twemoji"): _worn(0.46, 0.19, 0.40, 0.37, 0.43, 0.48, 0.62, 0.16, 0.42),
    ("elephant", "twemoji"): _worn(0.28, 0.13, 0.42, 0.20, 0.35, 0.44, 0.44, 0.14, 0.42),
    ("monkey", "twemoji"): _worn(0.50, 0.16, 0.50, 0.50, 0.47, 0.62, 0.74, 0.18, 0.44),
    ("frog", "twemoji"): _worn(0.50, 0.27, 0.44, 0.50, 0.22, 1.00, 0.50, 0.22, 0.40),
    ("turtle", "twemoji"): _worn(0.17, 0.28, 0.32, 0.14, 0.30, 0.36, 0.27, 0.26, 0.34),
    ("rabbit", "twemoji"): _worn(0.50, 0.51, 0.38, 0.50, 0.68, 0.62, 0.74, 0.42, 0.42),
    ("mouse", "twemoji"): _worn(0.50, 0.37, 0.44, 0.50, 0.60, 0.56, 0.76, 0.24, 0.44),
}
SEATS = {
    ("bench", "noto"): Seat(0.50, 0.57, 0.18),
    ("bench", "fluent"): Seat(0.50, 0.57, 0.18),
    ("bench", "twemoji"): Seat(0.50, 0.57, 0.18),
    ("chair", "noto"): Seat(0.50, 0.49, 0.04),
    ("chair", "fluent"): Seat(0.50, 0.53, 0.04),
    ("chair", "twemoji"): Seat(0.50, 0.62, 0.04),
    ("car", "noto"): Seat(0.56, 0.22, 0.08),
    ("car", "fluent"): Seat(0.64, 0.21, 0.08),
    ("car", "twemoji"): Seat(0.60, 0.26, 0.08),
}
RIMS = {
    ("bowl", "noto"): Rim(0.50, 0.49, 0.72, -0.6),
    ("bowl", "fluent"): Rim(0.50, 0.645, 0.70, -0.6),
    ("bowl", "twemoji"): Rim(0.45, 0.60, 0.68, -1.2),
    ("suitcase", "noto"): Rim(0.66, 0.27, 0.52, 0.0, 0.65),
    ("suitcase", "fluent"): Rim(0.50, 0.15, 0.56),
    ("suitcase", "twemoji"): Rim(0.52, 0.24, 0.56),
    ("backpack", "noto"): Rim(0.38, 0.12, 0.58, 1.4),
    ("backpack", "fluent"): Rim(0.50, 0.12, 0.62, 1.6),
    ("backpack", "twemoji"): Rim(0.50, 0.19, 0.62, 0.3),
}
# The loose end of a balloon's string, x and y, and whether the balloon leans to the right of it.
STRINGS = {
    "noto": (0.83, 0.97, False),
    "fluent": (0.16, 0.97, True),
    "twemoji": (0.75, 0.98, False),
}
