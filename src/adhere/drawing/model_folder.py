"""A folder in diffusers' layout: its components, its weights and their hash.

Nothing in it is run: weights are safetensors, whose headers are read before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from adhere.errors import first_line
from adhere.files import write_whole

# "model.fp16.safetensors", "model.fp16-00001-of-00002.safetensors".
_VARIANT = re.compile(r"^[^.]+\.([\w-]+?)(?:-\d{5}-of-\d{5})?\.safetensors$")
_INDEX = "model_index.json"
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
# What a tokenizer may have beside its words.
_SETTINGS = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
# A file that changed so many seconds ago may change again within its timestamp.
_SETTLED = 10.0


def components(folder: Path) -> dict[str, tuple[str, str]]:
    """Names of the folders that a pipeline consists of, with the library and class of each."""
    index = folder / _INDEX
    if not index.is_file():
        near = _pipeline_near(folder)
        raise ValueError(
            f"{str(folder)!r} is no pipeline: it has no {_INDEX}. Expected a folder in diffusers' "
            "layout, as pipe.save_pretrained(folder) writes it"
            + (f", such as {str(near)!r}." if near else ".")
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
    found: dict[str, tuple[str, str]] = {}
    for name, entry in listed.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        if all(part is None for part in entry):
            continue
        if Path(name).name != name or not all(isinstance(part, str) for part in entry):
            raise ValueError(
                f"model_index.json in {str(folder)!r} names no component by {name!r}."
            )
        found[name] = (entry[0], entry[1])
    return found


def _pipeline_near(folder: Path) -> Path | None:
    """The pipeline that a folder is part of, or holds, as the cache of the hub's client does."""
    within = sorted([*folder.glob(f"*/{_INDEX}"), *folder.glob(f"snapshots/*/{_INDEX}")])
    above = [folder.resolve().parent / _INDEX]
    return next((index.parent for index in (*within, *above) if index.is_file()), None)


def component_folder(folder: Path, name: str) -> Path:
    """The folder of a pipeline's component.

    Raises:
        ValueError: it is missing.
    """
    place = folder / name
    if not place.is_dir():
        raise ValueError(
            f"{str(folder)!r} lacks the folder {name!r} that its model_index.json names; "
            "copy or save the pipeline again."
        )
    return place


def check_folder(folder: Path) -> None:
    """Makes sure that a folder is a pipeline with safetensors weights that are not broken.

    Raises:
        ValueError: it is not; the message names the file.
    """
    for name in components(folder):
        place = component_folder(folder, name)
        check_vocabulary(place)
        tensors = sorted(place.glob("*.safetensors"))
        pickles = sorted(p for p in place.iterdir() if p.suffix in _PICKLES)
        if pickles and not tensors:
            raise ValueError(
                f"{name}/{pickles[0].name} in {str(folder)!r} is a pickle, which can run code "
                "when it is read; adhere reads safetensors only. Convert it with "
                "pipe.save_pretrained(folder, safe_serialization=True) where you trust it."
            )
        _check_names(place, tensors)
        for file in tensors:
            _check_tensors(file)


def check_vocabulary(place: Path) -> None:
    """Makes sure that a tokenizer has words, without which transformers makes an empty one.

    Raises:
        ValueError: nothing but settings is in its folder.
    """
    if place.name.startswith("tokenizer") and {f.name for f in place.iterdir()} <= _SETTINGS:
        raise ValueError(
            f"The folder {place.name!r} in {str(place.parent)!r} has no vocabulary; expected "
            "tokenizer.json, or vocab.json with merges.txt. Copy or save the pipeline again."
        )


def _check_names(place: Path, tensors: Sequence[Path]) -> None:
    """Makes sure that a model has weights under the name that its library reads."""
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except OSError:
        # No model, or one whose own class says what is missing.
        return
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ValueError(
            f"{place.name}/config.json in {str(place.parent)!r} is broken; copy or download it "
            "again."
        )
    kind = config.get("_class_name")
    if "Scheduler" in str(kind) or not (kind or config.get("architectures")):
        return
    expected = "diffusion_pytorch_model" if kind else "model"
    if not any(file.name.startswith((f"{expected}.", f"{expected}-")) for file in tensors):
        there = ", ".join(file.name for file in tensors) or "no weights"
        raise ValueError(
            f"The folder {place.name!r} in {str(place.parent)!r} has {there}; expected "
            f"{expected}.safetensors. Copy or save the pipeline again."
        )


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
    owned = [by_variant(folder / component) for component in components(folder)]
    there = sorted({variant for own in owned for variant in own if variant is not None})
    # A component without the variant is read without one.
    fits = [v for v in (*there, None) if all(not own or v in own or None in own for own in owned)]
    if preferred in there and preferred in fits:
        return preferred
    if None not in fits and len(fits) != 1:
        raise ValueError(
            f"{str(folder)!r} has weights of several variants ({', '.join(there)}) and none "
            "without one. Keep the files of one variant, or save the pipeline without one."
        )
    return None if None in fits else fits[0]


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The weights that are read: of each component the variant's, or those without one."""
    kept = []
    for component in components(folder):
        own = by_variant(folder / component)
        kept += own.get(variant) or own.get(None, [])
    return sorted(kept)


def by_variant(component: Path) -> dict[str | None, list[Path]]:
    """A component's weights by their variant, None for those without one."""
    found: dict[str | None, list[Path]] = {}
    for file in component.glob("*.safetensors"):
        match = _VARIANT.search(file.name)
        found.setdefault(match[1] if match else None, []).append(file)
    return found


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
