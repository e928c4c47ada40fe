"""Images on disk: their recipe inside, a name that is safe, and never half of one."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import struct
import tempfile
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from adhere.drawing.recipe import Recipe, from_json

_CHUNK = "adhere"
SHEET_CHUNK = "adhere-sheet"
_LONGEST_SLUG = 60
_LONGEST_NAME = 120


def save_image(image: Image.Image, recipe: Recipe, folder: str | os.PathLike[str]) -> Path:
    """Writes an image with its recipe as a PNG.

    The recipe stands in two text chunks: `parameters`, which image tools of the field read, and
    `adhere`, the whole of it as JSON.

    Args:
        image: the image.
        recipe: what it was made from.
        folder: made where it is missing.

    Returns:
        The file, see `save_bytes`.
    """
    return save_bytes(image_png(image, recipe), folder, file_stem(recipe), ".png")


def image_png(image: Image.Image, recipe: Recipe) -> bytes:
    """An image with its recipe as the bytes of a PNG, see `save_image`."""
    return png(image, {"parameters": recipe.parameters_text(), _CHUNK: recipe.to_json()})


def sheet_chunks(description: str, recipes: Sequence[Recipe]) -> dict[str, str]:
    """The text chunks of a sheet: what it is, and the recipe of every image on it."""
    listed = ", ".join(recipe.to_json() for recipe in recipes)
    return {"Description": description.replace("\0", " "), SHEET_CHUNK: f"[{listed}]"}


def png(image: Image.Image, chunks: dict[str, str]) -> bytes:
    """An image as the bytes of a PNG with text chunks."""
    info = PngImagePlugin.PngInfo()
    for name, text in chunks.items():
        info.add_text(name, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe inside an image; nothing in it is trusted, nor are pixels decoded.

    Raises:
        ValueError: the file is no PNG, holds no recipe of ours, or one that is not valid.
        OSError: the file cannot be read.
    """
    with open_png(path) as image:
        text = image.info.get(_CHUNK)
        is_sheet = SHEET_CHUNK in image.info
    if is_sheet:
        raise ValueError(
            f"{os.fspath(path)!r} is a sheet of several images, whose recipes stand in its text "
            f"chunk {SHEET_CHUNK!r}; give an image that `adhere draw` drew."
        )
    if not isinstance(text, str):
        raise ValueError(
            f"{os.fspath(path)!r} holds no recipe; give an image that adhere drew, "
            "not edited or converted since."
        )
    try:
        return from_json(text)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)!r}: {error}") from error


def open_png(path: str | os.PathLike[str]) -> Image.Image:
    """Opens a PNG without decoding it.

    Raises:
        ValueError: the file is no PNG, or one of a size that no model draws.
        OSError: the file cannot be read.
    """
    with open(path, "rb"):
        pass
    try:
        return Image.open(path, formats=["PNG"])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{os.fspath(path)!r} is no PNG that can be read: {error}") from error


def read_pixels(path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of a PNG, (height, width, 3) uint8.

    Raises:
        ValueError: the file is no PNG, or a broken one.
        OSError: the file cannot be read.
    """
    with open_png(path) as image:
        try:
            return np.asarray(image.convert("RGB"))
        # Of a damaged chunk behind the pixels Pillow raises the last one.
        except (OSError, ValueError, SyntaxError, struct.error) as error:
            raise ValueError(
                f"{os.fspath(path)!r} is a broken PNG ({error}); copy it again from its source."
            ) from error


def file_stem(recipe: Recipe) -> str:
    """A file name without its ending: words of the prompt, the seed, a hash of the recipe."""
    digest = hashlib.sha256(recipe.to_json().encode()).hexdigest()
    return f"{slug(recipe.prompt)}-seed{recipe.seed}-{digest[:8]}"


def slug(text: str) -> str:
    """A text as letters a-z, digits and hyphens, at most 60 of them, safe in any file name."""
    plain = unicodedata.normalize("NFKD", text[:1_000]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:_LONGEST_SLUG].strip("-") or "image"


def save_bytes(data: bytes, folder: str | os.PathLike[str], stem: str, ending: str) -> Path:
    """Writes a file whole or not at all, over no other one.

    Args:
        data: its content.
        folder: made where it is missing.
        stem: its name; where a file with other content has it, "-2", "-3" … is added.
        ending: such as ".png".

    Returns:
        The file; one that already holds the same bytes is left as it is.
    """
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{stem}-{secrets.token_hex(4)}.part"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        number = 1
        while True:
            target = home / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
            if target.is_file() and target.read_bytes() == data:
                return target
            if not os.path.lexists(target) and _move(temporary, target):
                return target
            number += 1
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Makes sure that files can be written to a folder, and leaves nothing there.

    Raises:
        ValueError: they cannot.
    """
    # As long as any name of ours, so that one that is too long is seen.
    place = Path(folder) / ("x" * _LONGEST_NAME)
    try:
        while not _exists(place):
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"Nothing can be written to {os.fspath(folder)!r} ({why}); choose another folder."
        ) from error


def _exists(place: Path) -> bool:
    """Whether there is something; unlike those of `os.path` it hides no other mistake."""
    try:
        place.lstat()
    except FileNotFoundError:
        return place == place.parent
    return True


def _move(source: Path, target: Path) -> bool:
    """Moves a file to a name that nobody has; False where somebody took it just now."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        # Some file systems have no hard links, so the look just before must do.
        os.replace(source, target)
    return True
