"""What is said of a scene besides its things: where they are, how many, and what cannot be."""

from adhere.mini.vocabulary import COLOURS, OBJECTS, SUBJECTS

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
