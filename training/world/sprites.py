"""The sprite file: one picture of every subject in every style, and its painting in a colour."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from adhere.mini.vocabulary import COLOURS
from training.world.vocabulary import check

STYLES = ("noto", "fluent", "twemoji")
DATA = Path(__file__).parents[1] / "artwork"


def digest(index: dict, sheet: np.ndarray) -> str:
    """SHA-256 of a sprite file's pixels and of all that its index says of them.

    Args:
        index: the content of `sprites.json`; its own "sha256" does not count.
        sheet: the pixels of `sprites.png`, RGBA uint8.
    """
    said = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(sheet.tobytes() + json.dumps(said, sort_keys=True).encode()).hexdigest()


@cache
def fingerprint() -> str:
    """The digest of the sprite file."""
    return json.loads((DATA / "sprites.json").read_bytes())["sha256"]


@cache
def _atlas(folder: Path = DATA) -> dict[tuple[str, str], np.ndarray]:
    """Every sprite by (subject, style), RGBA uint8 of shape (96, 96, 4)."""
    try:
        index = json.loads((folder / "sprites.json").read_bytes())
        with Image.open(folder / "sprites.png") as file:
            sheet = np.array(file.convert("RGBA"))
        is_whole = index["sha256"] == digest(index, sheet)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"The sprite file in {folder} cannot be read ({type(error).__name__}: {error}); "
            "restore it from the repository, or make it with recipes/make_sprites.py."
        ) from error
    if not is_whole:
        raise ValueError(
            f"The sprite file in {folder} is not the one that its index describes; restore "
            "it from the repository, or make it with recipes/make_sprites.py."
        )
    cell = index["cell"]
    return {
        (subject, style): sheet[cell * row : cell * (row + 1), cell * column : cell * (column + 1)]
        for row, style in enumerate(index["styles"])
        for column, subject in enumerate(index["subjects"])
    }


def check_style(style: str) -> None:
    """Refuses a style that the world does not have.

    Raises:
        ValueError: unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"The world has no style {style!r}; it has {', '.join(STYLES)}.")


def _paintable(subject: str, rgb: np.ndarray) -> np.ndarray:
    """Where a colour goes, (96, 96) in 0…1: saturated parts, but frames of glasses whole."""
    high, low = rgb.max(-1), rgb.min(-1)
    saturation = (high - low) / np.maximum(high, 1)
    if subject == "glasses":
        is_lens = (rgb[..., 2] > 120) & (rgb[..., 2] >= rgb[..., 0])
        return np.where(is_lens, 0.0, 1.0)
    mask = np.clip((saturation - 0.18) / 0.12, 0, 1)
    if subject == "apple":
        is_leaf = rgb[..., 1] > rgb[..., 0]
        mask = np.where(is_leaf, 0.0, mask)
    return mask


@cache
def extent(subject: str, style: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of what is seen of a sprite, fractions of its cell.

    Raises:
        ValueError: unknown subject or style.
    """
    seen = sprite(subject, style)[..., 3] > 64
    rows, columns = np.nonzero(seen)
    height, width = seen.shape
    return (
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    )


@cache
def sprite(subject: str, style: str, colour: str | None = None) -> np.ndarray:
    """A subject's picture, RGBA uint8 of shape (96, 96, 4), not to be written to.

    Args:
        subject: one of `SUBJECTS`.
        style: one of `STYLES`.
        colour: one of `COLOURS`, for objects only; None leaves the artwork's own colours.

    Raises:
        ValueError: unknown subject, style or colour, or a colour asked of an animal.
    """
    check(subject, colour)
    check_style(style)
    picture = _atlas()[subject, style]
    if colour is None:
        return picture
    rgb = picture[..., :3].astype(np.float32)
    mask = _paintable(subject, rgb) * (picture[..., 3] > 0)
    lightness = rgb.mean(-1)
    # Shading is kept as the difference from the painted parts' middle lightness.
    middle = np.median(lightness[mask > 0.5])
    shade = np.clip((lightness - middle) / 255, -0.22, 0.22)[..., None]
    base = np.array(COLOURS[colour], np.float32)
    painted = np.clip(base + 200 * shade, 0, 255)
    mixed = rgb + mask[..., None] * (painted - rgb)
    return np.concatenate([mixed.astype(np.uint8), picture[..., 3:]], -1)
