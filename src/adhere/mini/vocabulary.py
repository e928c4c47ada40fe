"""The words of the bundled model's world: what can stand in a scene, in which colour, where."""

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

# How a background is said after the subjects; plain and gradient ones are never said.
SCENES = {
    "kitchen": "in the kitchen",
    "library": "in the library",
    "street": "on the snowy street",
    "river": "in the river",
    "bedroom": "in the bedroom",
    "forest": "in the forest",
    "beach": "on the beach",
    "desert": "in the desert",
    "night": "at night",
}
BACKGROUNDS = ("plain", "gradient", *SCENES)

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

PLURALS = {"mouse": "mice", "bench": "benches", "glasses": "glasses"}
NUMBERS = {2: "two", 3: "three"}


def plural(subject: str) -> str:
    """The plural of a subject's name."""
    return PLURALS.get(subject, subject + "s")


def check(subject: str, colour: str | None = None) -> None:
    """Refuses what the world does not have.

    Raises:
        ValueError: unknown subject or colour, or a colour asked of an animal.
    """
    if subject not in SUBJECTS:
        raise ValueError(f"The world has no {subject!r}; it has {', '.join(SUBJECTS)}.")
    if colour is None:
        return
    if colour not in COLOURS:
        raise ValueError(f"The world has no colour {colour!r}; it has {', '.join(COLOURS)}.")
    if subject not in OBJECTS:
        raise ValueError(
            f"A {subject} cannot be painted {colour}: animals keep their own colours; "
            f"give colours to objects ({', '.join(OBJECTS)})."
        )
