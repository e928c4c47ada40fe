"""Sheets: images in rows and columns, with labels that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from unicodedata import normalize

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_INK, _FAINT, _PAPER, _EMPTY = (20, 20, 24), (105, 105, 115), (255, 255, 255), (238, 238, 240)
_MARGIN, _GAP = 24, 8
_TITLE, _NAME, _DETAIL = 24, 18, 15
_WIDEST_LABEL = 260
_MOST_TITLE_LINES = 3

# Dark to bright in even steps of lightness, so that a print without colour reads the same.
_RAMP = np.array(
    [(8, 8, 40), (64, 16, 110), (140, 30, 120), (214, 60, 88), (250, 130, 60), (252, 240, 170)],
    dtype=np.float64,
)

Label = tuple[str, ...]


def make_sheet(
    images: Sequence[Sequence[Image.Image | None]],
    *,
    rows: Sequence[Label],
    columns: Sequence[str],
    title: str,
    note: str = "",
    cell: int = 256,
) -> Image.Image:
    """Lays images out in a grid.

    Args:
        images: one sequence a row; None leaves a cell empty.
        rows: labels of the rows: a name, then lines of detail.
        columns: labels of the columns, broken into lines where a column is too narrow.
        title: stands above all, in at most three lines.
        note: a small line below the title.
        cell: the longest side of an image on the sheet, in pixels.

    Returns:
        The sheet, RGB.
    """
    fitted = [[None if p is None else _fit(p, cell) for p in row] for row in images]
    sizes = [p.size for row in fitted for p in row if p is not None] or [(cell, cell)]
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    labels = [_wrapped(label) for label in rows]
    gutter = max((_width(text, size) for label in labels for text, size in label), default=0)
    left = _MARGIN + gutter + (2 * _GAP if gutter else 0)
    full = left + len(columns) * (width + _GAP) - _GAP + _MARGIN
    heading = _title_lines(title, full - 2 * _MARGIN)
    above = _MARGIN + len(heading) * _line(_TITLE)
    if note:
        above += _line(_DETAIL)
    heads = [_broken(column, _NAME, width) for column in columns]
    deepest = max((len(lines) for lines in heads), default=1)
    top = above + _GAP + deepest * _line(_NAME)
    tallest = [max(height, sum(_line(size) for _, size in label)) for label in labels]
    sheet = Image.new(
        "RGB", (full, top + sum(tall + _GAP for tall in tallest) - _GAP + _MARGIN), _PAPER
    )
    pen = ImageDraw.Draw(sheet)
    y = _MARGIN
    for line in heading:
        pen.text((_MARGIN, y), line, _INK, _font(_TITLE))
        y += _line(_TITLE)
    if note:
        pen.text((_MARGIN, y), "".join(map(_legible, note)), _FAINT, _font(_DETAIL))
    for number, lines in enumerate(heads):
        centre = left + number * (width + _GAP) + width // 2
        for depth, line in enumerate(lines, deepest - len(lines)):
            y = above + _GAP + depth * _line(_NAME)
            pen.text((centre, y), line, _INK, _font(_NAME), anchor="ma")
    y = top
    for label, row, tall in zip(labels, fitted, tallest, strict=True):
        _write(pen, label, left - 2 * _GAP, y + tall // 2)
        for number, image in enumerate(row):
            x = left + number * (width + _GAP)
            if image is None:
                pen.rectangle((x, y, x + width - 1, y + height - 1), _EMPTY)
            else:
                offset = (width - image.width) // 2, (height - image.height) // 2
                sheet.paste(image, (x + offset[0], y + offset[1]))
        y += tall + _GAP
    return sheet


def heat(heat_map: np.ndarray, brightest: float) -> Image.Image:
    """A heat map as an image of its own grid, dark for 0.

    Args:
        heat_map: (H, W), from 0.
        brightest: the value of the brightest colour.
    """
    share = np.clip(heat_map / max(brightest, 1e-12), 0, 1) * (len(_RAMP) - 1)
    below = np.minimum(share.astype(int), len(_RAMP) - 2)
    part = (share - below)[..., None]
    colours = _RAMP[below] * (1 - part) + _RAMP[below + 1] * part
    return Image.fromarray(colours.round().astype(np.uint8))


def over(image: Image.Image, heat_map: np.ndarray, brightest: float) -> Image.Image:
    """A heat map laid over the image, which shows in grey where the map is dark.

    Args:
        image: the image.
        heat_map: (H, W), from 0.
        brightest: the value of the brightest colour.
    """
    layer = heat(heat_map, brightest).resize(image.size, Image.Resampling.BICUBIC)
    share = np.clip(heat_map / max(brightest, 1e-12), 0, 1) ** 0.5
    veil = Image.fromarray((share * 215).round().astype(np.uint8))
    grey = image.convert("L").convert("RGB")
    return Image.composite(layer, grey, veil.resize(image.size, Image.Resampling.BICUBIC))


def _fit(image: Image.Image, cell: int) -> Image.Image:
    scale = cell / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _line(size: int) -> int:
    return round(1.4 * size)


def _width(text: str, size: int) -> int:
    return int(np.ceil(_font(size).getlength(text)))


def _wrapped(label: Label) -> list[tuple[str, int]]:
    """Lines of a label with their sizes, none wider than the gutter may be."""
    lines = []
    for number, text in enumerate(label):
        size = _DETAIL if number else _NAME
        lines += [(line, size) for line in _broken(text, size, _WIDEST_LABEL)]
    return lines


def _broken(text: str, size: int, widest: int) -> list[str]:
    """A text in lines that fit a width, broken between words where it can be."""
    lines = [""]
    for word in "".join(map(_legible, text)).split():
        joined = f"{lines[-1]} {word}".strip()
        if _width(joined, size) <= widest:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if _width(lines[-1] + letter, size) > widest and lines[-1]:
                lines.append("")
            lines[-1] += letter
    return lines


@cache
def _legible(letter: str) -> str:
    """The letter, or without its accent, or a question mark, as Pillow's font has it."""
    if letter.isspace():
        return " "
    missing = _drawn("\uffff")
    for tried in (letter, normalize("NFKD", letter)[0]):
        if _drawn(tried) != missing:
            return tried
    return "?"


def _drawn(letter: str) -> bytes:
    """What the font makes of a letter, to tell its sign for none."""
    image = Image.new("L", (2 * _NAME, 2 * _NAME))
    ImageDraw.Draw(image).text((2, 2), letter, 255, _font(_NAME))
    return image.tobytes()


def _title_lines(title: str, widest: int) -> list[str]:
    lines = _broken(title[:500], _TITLE, widest)
    if len(lines) <= _MOST_TITLE_LINES:
        return lines
    kept = lines[:_MOST_TITLE_LINES]
    while kept[-1] and _width(f"{kept[-1]}…", _TITLE) > widest:
        kept[-1] = kept[-1][:-1]
    return [*kept[:-1], f"{kept[-1]}…"]


def _write(
    pen: ImageDraw.ImageDraw, label: list[tuple[str, int]], right: int, middle: int
) -> None:
    """A label, right-aligned, its lines around a height."""
    y = middle - sum(_line(size) for _, size in label) // 2
    for number, (text, size) in enumerate(label):
        pen.text((right, y), text, _FAINT if number else _INK, _font(size), anchor="ra")
        y += _line(size)
