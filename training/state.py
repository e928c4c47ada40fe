"""A training's averaged weights in half precision, small enough to be kept with the code."""

import json
import shutil
from pathlib import Path

from safetensors import safe_open

from training import checkpoint
from training.assemble import replaced
from training.stable import Stable

PREFIX = "average."


def export(stage: Stable, folder: Path, target: Path) -> int:
    """Write the averaged weights and the tokenizer of a training into a small folder.

    Args:
        stage: the stage of the training.
        folder: holds its checkpoint and tokenizer.
        target: the folder that appears, whole or not at all.

    Returns:
        The number of steps behind the checkpoint.

    Raises:
        ValueError: no checkpoint, or one of other settings.
    """
    path = folder / f"{stage.name}.safetensors"
    if not path.exists():
        raise ValueError(f"There is no checkpoint {path}; train the stage first.")
    tensors, step, seconds = checkpoint.load(path, stage.settings)
    averages = {k: v.half() for k, v in tensors.items() if k.startswith(PREFIX)}

    def write(unfinished: Path) -> None:
        unfinished.mkdir(parents=True)
        # A file for each network, as hosts of repositories refuse large ones.
        for name in stage.modules:
            own = {k: v for k, v in averages.items() if k.startswith(f"{PREFIX}{name}.")}
            file = unfinished / f"{name}.safetensors"
            checkpoint.save(file, own, step, stage.settings, seconds)
        shutil.copytree(folder / "tokenizer", unfinished / "tokenizer")

    target.parent.mkdir(parents=True, exist_ok=True)
    replaced(target, write)
    return step


def begin(name: str, folder: Path, source: Path) -> None:
    """Put an exported state into the folder of a training that has no checkpoint yet.

    The training goes on from the averaged weights, its optimizer from nothing.

    Raises:
        ValueError: the source holds no exported state.
    """
    path, exported = folder / f"{name}.safetensors", sorted(source.glob("*.safetensors"))
    if path.exists():
        return
    if not (exported and (source / "tokenizer").exists()):
        raise ValueError(
            f"{source} holds no state of {name!r}; name a folder that --export wrote, such as "
            f"training/state/{name}."
        )
    averages = {}
    for part in exported:
        with safe_open(part, "pt") as file:
            metadata = file.metadata()
            averages |= {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = source / "tokenizer"
    replaced(folder / "tokenizer", lambda unfinished: shutil.copytree(tokenizer, unfinished))
    models = {f"model.{k.removeprefix(PREFIX)}": v.clone() for k, v in averages.items()}
    settings, seconds = json.loads(metadata["settings"]), float(metadata["seconds"])
    checkpoint.save(path, averages | models, int(metadata["step"]), settings, seconds)
