"""The words of the generated sets.

They are the words of Attend-and-Excite's lists (arXiv 2301.13826), which are those of the bundled
model's world. They are written out here so that a world with more words leaves the sets alone.
"""

ANIMALS = (
    "cat", "dog", "bird", "bear", "lion", "horse",
    "elephant", "monkey", "frog", "turtle", "rabbit", "mouse",
)  # fmt: skip
OBJECTS = (
    "backpack", "crown", "suitcase", "chair", "balloon", "bow",
    "car", "bowl", "bench", "clock", "apple", "glasses",
)  # fmt: skip
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black",
    "white",
)  # fmt: skip
SCENES = (
    "in the kitchen", "in the library", "on the snowy street", "in the river", "in the bedroom",
    "in the forest", "on the beach", "in the desert", "at night",
)  # fmt: skip


def with_article(words: str) -> str:
    """The words after "a", or after "an" where they begin with a vowel."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
