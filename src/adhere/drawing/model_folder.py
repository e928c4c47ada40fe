"""A folder in diffusers' layout: its components, its weights and their hash.

Nothing in it is run: weights are safetensors, whose headers are read before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from adhere.files import write_whole

# "model.fp16.safetensors", "model.fp16-00001-of-00002.safetensors".
_VARIANT = re.compile(r"^[^.]+\.([\w-]+?)(?:-\d{5}-of-\d{5})?\.safetensors$")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
# A file that changed so many seconds ago may change again within its timestamp.
_SETTLED = 10.0


def components(folder: Path) -> list[str]:
    """Names of the folders that a pipeline consists of."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise ValueError(
            f"{str(folder)!r} is no pipeline: it has no model_index.json. Expected a folder in "
            "diffusers' layout, as pipe.save_pretrained(folder) writes it."
        )
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, dict) or not isinstance(listed.get("_class_name"), str):
        raise ValueError(
            f"model_index.json in {str(folder)!r} is broken, or names a pipeline with code of "
            "its own, which adhere does not run; save the pipeline again with a class of "
            "diffusers."
        )
    found = []
    for name, entry in listed.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        if all(part is None for part in entry):
            continue
        if Path(name).name != name or not all(isinstance(part, str) for part in entry):
            raise ValueError(
                f"model_index.json in {str(folder)!r} names no component by {name!r}."
            )
        found.append(name)
    return found


def check_folder(folder: Path) -> None:
    """Makes sure that a folder is a pipeline with safetensors weights that are not broken.

    Raises:
        ValueError: it is not; the message names the file.
    """
    for name in components(folder):
        place = folder / name
        if not place.is_dir():
            raise ValueError(
                f"{str(folder)!r} lacks the folder {name!r} that its model_index.json names; "
                "copy or save the pipeline again."
            )
        tensors = sorted(place.glob("*.safetensors"))
        pickles = sorted(p for p in place.iterdir() if p.suffix in _PICKLES)
        if pickles and not tensors:
            raise ValueError(
                f"{name}/{pickles[0].name} in {str(folder)!r} is a pickle, which can run code "
                "when it is read; adhere reads safetensors only. Convert it with "
                "pipe.save_pretrained(folder, safe_serialization=True) where you trust it."
            )
        for file in tensors:
            _check_tensors(file)


def _check_tensors(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file.parent.name}/{file.name} in {str(file.parent.parent)!r} is broken "
            f"({first_line(error)}); copy or download it again."
        ) from error


def variant_of(folder: Path, preferred: str | None = None) -> str | None:
    """The variant of weights to read, such as "fp16"; None for those without one.

    Args:
        folder: a pipeline's.
        preferred: taken where a component has it; else a folder's only variant is taken where
            there are no weights without one.

    Raises:
        ValueError: there are several, and none is the preferred one.
    """
    found: set[str] = set()
    for component in components(folder):
        names = [file.name for file in (folder / component).glob("*.safetensors")]
        variants = {match[1] if (match := _VARIANT.search(name)) else None for name in names}
        if preferred is not None and preferred in variants:
            return preferred
        if None not in variants:
            found |= {variant for variant in variants if variant is not None}
    if len(found) > 1:
        raise ValueError(
            f"{str(folder)!r} has weights of several variants ({', '.join(sorted(found))}) and "
            "none without one. Keep the files of one variant, or save the pipeline without one."
        )
    return next(iter(found), None)


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The weights that are read: of each component the variant's, or those without one."""
    kept = []
    for component in components(folder):
        files = sorted((folder / component).glob("*.safetensors"))
        by_variant: dict[str | None, list[Path]] = {}
        for file in files:
            match = _VARIANT.search(file.name)
            by_variant.setdefault(match[1] if match else None, []).append(file)
        kept += by_variant.get(variant) or by_variant.get(None, [])
    return sorted(kept)


def hash_weights(folder: Path, variant: str | None = None) -> str:
    """SHA-256 over the names and contents of a pipeline's weight files, as hexadecimal.

    Reading them takes seconds, so that the result is kept in the user's cache folder for as long
    as no file has another path, size or time of change.
    """
    files = weight_files(folder, variant)
    states = [(file, file.stat()) for file in files]
    listed = [(str(file.resolve()), state.st_size, state.st_mtime_ns) for file, state in states]
    key = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    kept = _cache_folder() / "weights" / key
    with suppress(OSError, UnicodeDecodeError):
        known = kept.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    digest = hashlib.sha256()
    for file, state in states:
        digest.update(f"{file.parent.name}/{file.name}\0{state.st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    found = digest.hexdigest()
    if all(time.time() - state.st_mtime > _SETTLED for _, state in states):
        # Without a cache folder the hash is only slower.
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, found.encode("ascii"))
    return found


def _cache_folder() -> Path:
    """Where this user keeps what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "adhere"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind, with a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")[:300] + "."
