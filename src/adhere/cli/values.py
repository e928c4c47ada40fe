"""What the texts of options become: seeds, sizes, subjects, boxes, numbers."""

from __future__ import annotations

import re

from typer import BadParameter


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise BadParameter(f"{text[:60]!r} is no whole number; give one, as in 20") from None


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise BadParameter(f"{text[:60]!r} is no number; give one, as in 7.5") from None


def seeds(text: str) -> tuple[int, ...]:
    """Seeds from "7", "0-3" or "0,2,5-9"."""
    from adhere.drawing.request import LARGEST_SEED, MOST_SEEDS

    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?", part, re.ASCII)
        if match is None:
            raise BadParameter(
                f"{text!r} are no seeds; give whole numbers from 0 on, as in 7, 0-3 or 0,2,5-9"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BadParameter(f"{part.strip()!r} runs backwards; give {last}-{first}")
        if last - first + len(found) >= MOST_SEEDS:
            raise BadParameter(f"{text!r} are more than {MOST_SEEDS} seeds")
        found |= dict.fromkeys(range(first, last + 1))
    if max(found) > LARGEST_SEED:
        raise BadParameter(f"{text!r} goes beyond the largest seed, 2**63 - 1")
    return tuple(found)


def size(text: str) -> tuple[int, int]:
    """Width and height from "512x768"."""
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip().lower(), re.ASCII)
    if match is None:
        raise BadParameter(f"{text!r} is no size; give width x height, as in 512x768")
    return int(match[1]), int(match[2])


def subjects(text: str) -> list[str | int | tuple[str, ...]]:
    """Subjects from "cat,frog", with indices as "2" and pairs as "green:backpack"."""
    found: list[str | int | tuple[str, ...]] = []
    for part in (part.strip() for part in re.split("[,，、]", text)):
        parts = tuple(word.strip() for word in part.split(":"))
        if not all(parts):
            raise BadParameter(f"{text!r} has an empty subject; give cat,frog or green:backpack")
        if re.fullmatch(r"\d{1,9}", part, re.ASCII):
            found.append(int(part))
        else:
            found.append(parts if len(parts) > 1 else part)
    return found


def boxes(text: str) -> dict[str, tuple[float, ...]]:
    """Boxes by their word from "cat=0,0,.5,1; frog=.5,0,1,1"."""
    found: dict[str, tuple[float, ...]] = {}
    for part in text.split(";"):
        word, is_box, sides = (piece.strip() for piece in part.rpartition("="))
        try:
            numbers = tuple(map(float, sides.split(",")))
        except ValueError:
            numbers = ()
        if not is_box or not word or len(numbers) != 4:
            raise BadParameter(
                f"{part.strip()!r} is no box; give WORD=LEFT,TOP,RIGHT,BOTTOM in fractions of the "
                "image, as in 'cat=0,0,.5,1; frog=.5,0,1,1'"
            )
        if word in found:
            raise BadParameter(f"{word!r} has two boxes; give one")
        found[word] = numbers
    return found


def folder(text: str) -> str:
    """The name of a folder; an empty one would be the folder that we are in."""
    if not text.strip():
        raise BadParameter("the name is empty; name a folder, . for this one")
    return text


def names(text: str) -> list[str]:
    """Names from "a,b"."""
    return [name.strip() for name in text.split(",")]


PARSERS = {
    "seeds": (seeds, "0-3"),
    "report_seeds": (seeds, "0-3"),
    "size": (size, "WxH"),
    "subjects": (subjects, "A,B"),
    "boxes": (boxes, "WORD=BOX"),
}
"""Of an option by its name: what reads its text, and how the help shows its value."""

OF_KIND = {int: whole, float: number}
"""What reads other options, by their type."""
