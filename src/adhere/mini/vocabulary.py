"""The words of the bundled model's world: what can stand in a scene, and in which colour."""

from dataclasses import dataclass

ANIMALS = (
    "cat", "dog", "bird", "bear", "lion", "horse",
    "elephant", "monkey", "frog", "turtle", "rabbit", "mouse",
)  # fmt: skip
OBJECTS = (
    "backpack", "crown", "suitcase", "chair", "balloon", "bow",
    "car", "bowl", "bench", "clock", "apple", "glasses",
)  # fmt: skip
SUBJECTS = ANIMALS + OBJECTS

# Seen colours, sRGB; objects are painted in these, animals keep their own.
COLOURS = {
    "red": (214, 40, 40),
    "orange": (243, 132, 30),
    "yellow": (248, 208, 46),
    "green": (58, 160, 72),
    "blue": (44, 104, 214),
    "purple": (132, 66, 184),
    "pink": (244, 140, 184),
    "brown": (126, 80, 46),
    "gray": (142, 144, 148),
    "black": (40, 40, 44),
    "white": (242, 242, 240),
}

RELATIONS = ("worn", "on", "in", "held")
_SMALL = ("apple", "bow", "clock", "crown")


@dataclass(frozen=True)
class Pairing:
    """Which things a relation joins.

    Attributes:
        things: what is worn, stands, lies or is held.
        bases: what wears it, carries it, holds it.
    """

    things: tuple[str, ...]
    bases: tuple[str, ...]


PAIRINGS = {
    "worn": Pairing(("crown", "glasses", "bow"), ANIMALS),
    "on": Pairing((*ANIMALS, *_SMALL, "backpack", "bowl", "glasses"), ("bench", "chair", "car")),
    "in": Pairing((*ANIMALS, *_SMALL), ("bowl", "suitcase", "backpack")),
    "held": Pairing(("balloon",), ANIMALS),
}
