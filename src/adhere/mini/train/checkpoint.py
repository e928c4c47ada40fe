"""Checkpoints: safetensors, written whole or not at all, refused when made by other settings."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save(path: Path, tensors: Mapping[str, Tensor], step: int, settings: Mapping) -> None:
    """Write a checkpoint; a kill at any moment leaves the former one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"step": str(step), "settings": json.dumps(dict(settings), sort_keys=True)}
    unfinished = path.with_suffix(".unfinished")
    save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, unfinished, metadata)
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def load(path: Path, settings: Mapping) -> tuple[dict[str, Tensor], int]:
    """A checkpoint's tensors and the number of steps behind it.

    Raises:
        ValueError: the file is no checkpoint, or was made with other settings.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        made_with, step = json.loads(metadata["settings"]), int(metadata["step"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is no checkpoint of this recipe ({type(error).__name__}: {error}); delete it "
            "to start the stage again, or choose another folder."
        ) from error
    wanted = json.loads(json.dumps(dict(settings)))
    if made_with != wanted:
        differing = sorted(k for k in {*made_with, *wanted} if made_with.get(k) != wanted.get(k))
        said = ", ".join(f"{k}: {made_with.get(k)} there, {wanted.get(k)} here" for k in differing)
        raise ValueError(
            f"{path} was made with other settings ({said}); use the same ones to go on with it, "
            "or another folder to start afresh."
        )
    return tensors, step


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
