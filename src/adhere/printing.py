"""Text that is safe to print: what strangers wrote moves no cursor and clears no screen."""


def printable(text: str) -> str:
    """A line in which control characters are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
