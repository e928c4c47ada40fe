"""Checkpoints: safetensors, written whole or not at all, refused when made by other settings."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

# Settings that early checkpoints do not state; theirs are taken on trust, with a warning.
ADDED = {"autoencoder_sha256", "sprites_sha256"}


class Checkpoint(NamedTuple):
    """What stands in a checkpoint.

    Attributes:
        tensors: by name.
        step: the number of steps behind it.
        seconds: of work behind it, over all sittings; 0 where it does not say.
    """

    tensors: dict[str, Tensor]
    step: int
    seconds: float


def save(
    path: Path,
    tensors: Mapping[str, Tensor],
    step: int,
    settings: Mapping,
    seconds: float = 0.0,
) -> None:
    """Write a checkpoint; a kill at any moment leaves the former one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "step": str(step),
        "seconds": str(seconds),
        "settings": json.dumps(dict(settings), sort_keys=True),
    }
    unfinished = path.with_suffix(".unfinished")
    save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, unfinished, metadata)
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def load(path: Path, settings: Mapping) -> Checkpoint:
    """A checkpoint made with these settings.

    Warns:
        UserWarning: the file is from before some of the settings in `ADDED` were noted.

    Raises:
        ValueError: the file is no checkpoint, or was made with other settings.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        made_with, step = json.loads(metadata["settings"]), int(metadata["step"])
        seconds = float(metadata.get("seconds", 0))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is no checkpoint of this recipe ({type(error).__name__}: {error}); delete it "
            "to start the stage again, or choose another folder."
        ) from error
    wanted = json.loads(json.dumps(dict(settings)))
    unsaid = sorted(ADDED & (wanted.keys() - made_with.keys()))
    if unsaid:
        warnings.warn(
            f"{path} does not say its {' and '.join(unsaid)}, as it was made before these were "
            "noted, so it is taken on trust; delete it if the autoencoder or the sprite file has "
            "changed since.",
            stacklevel=2,
        )
        made_with |= {key: wanted[key] for key in unsaid}
    if made_with != wanted:
        differing = sorted(k for k in {*made_with, *wanted} if made_with.get(k) != wanted.get(k))
        said = ", ".join(f"{k}: {made_with.get(k)} there, {wanted.get(k)} here" for k in differing)
        raise ValueError(
            f"{path} was made with other settings ({said}); use the same ones to go on with it, "
            "or another folder to start afresh."
        )
    return Checkpoint(tensors, step, seconds)


@contextmanager
def filling(path: Path) -> Iterator[None]:
    """Puts a checkpoint's tensors where they belong, within a `with` block.

    Raises:
        ValueError: a tensor that is missing, or of another shape.
    """
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not fit the networks of this recipe ({error}); use the version of "
            "adhere that made it, delete it to start the stage again, or choose another folder."
        ) from error


def digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights, by which what was made with them is known again."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def pack_optimizer(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimizer's state as flat tensors."""
    return {
        f"{prefix}.{index}.{name}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `pack_optimizer` made."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix + "."):
            index, name = key[len(prefix) + 1 :].split(".", 1)
            state.setdefault(int(index), {})[name] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
