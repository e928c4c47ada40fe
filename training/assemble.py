"""The trained parts as one pipeline folder, in half precision, and its way into the package.

python -m training.assemble runs/mini/pipeline src/adhere/mini/weights
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

# Written by hand about the model, so a new pipeline keeps them.
KEPT = ("README.md", "methods.json")


def assemble(pipeline: StableDiffusionPipeline, folder: Path) -> Path:
    """Write a pipeline in the standard layout; the folder appears whole or not at all."""

    def save(unfinished: Path) -> None:
        pipeline.to(dtype=torch.float16).save_pretrained(unfinished, safe_serialization=True)
        pipeline.to(dtype=torch.float32)
        for path in unfinished.rglob("config.json"):
            # Where a part was loaded from is a folder of this machine.
            config = json.loads(path.read_text())
            config.pop("_name_or_path", None)
            path.write_text(json.dumps(config, indent=2) + "\n")

    return replaced(folder, save)


def install(pipeline: Path, folder: Path) -> Path:
    """Put a pipeline's folder in the place of another, whose `KEPT` files stay.

    The other is touched only when the new one stands whole beside it.

    Args:
        pipeline: what `assemble` wrote.
        folder: where it goes; may not exist yet.

    Raises:
        ValueError: `pipeline` holds no pipeline.
    """
    if not (pipeline / "model_index.json").is_file():
        raise ValueError(
            f"{pipeline} holds no pipeline (it has no model_index.json); name the folder that "
            "the recipe's stage 'denoiser' wrote, such as runs/mini/pipeline."
        )

    def copy(unfinished: Path) -> None:
        shutil.copytree(pipeline, unfinished)
        for name in KEPT:
            if (folder / name).exists():
                shutil.copy2(folder / name, unfinished / name)

    return replaced(folder, copy)


def replaced(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder with what `write` puts into a sibling, which then takes its name."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write(unfinished)
    if folder.exists():
        former = folder.with_name(folder.name + ".former")
        shutil.rmtree(former, ignore_errors=True)
        folder.rename(former)
        unfinished.rename(folder)
        shutil.rmtree(former)
    else:
        unfinished.rename(folder)
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    install(Path(sys.argv[1]), Path(sys.argv[2]))
