"""What a text must be before anything is made of it, and where its words begin and end."""

import unicodedata


def check_text(text: object, what: str) -> None:
    """Refuses what is no text, and text that nothing can write down.

    Args:
        text: anything.
        what: it should be, such as "prompt".

    Raises:
        ValueError: it is no text, or holds half a character: a byte that was not UTF-8.
    """
    if not isinstance(text, str):
        raise ValueError(f"The {what} is {type(text).__name__}; expected one text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The {what} holds {text[error.start]!r} at its character {error.start + 1}, which is "
            "half of one; give text in UTF-8."
        ) from None


def check_prompt(text: object) -> None:
    """Refuses a prompt that is no text or has none.

    Raises:
        ValueError: see above.
    """
    check_text(text, "prompt")
    if not str(text).strip():
        raise ValueError("The prompt is empty; say what the image should hold.")


def has_spaces(character: str) -> bool:
    """Whether a character is of a script that sets spaces between words, or of none."""
    script = unicodedata.name(character, "").split()[:1]
    return not character.isalpha() or script in (["LATIN"], ["GREEK"], ["CYRILLIC"])


def whole_words(pattern: str) -> str:
    """A regular expression that finds another only where whole words begin and end.

    What begins or ends with a mark, such as "<toy>", may stand beside a letter.
    """
    return rf"(?:(?<!\w)|(?!\w)){pattern}(?:(?!\w)|(?<!\w))"
