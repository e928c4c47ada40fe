"""The trained parts as one pipeline folder, in half precision."""

import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline


def assemble(pipeline: StableDiffusionPipeline, folder: Path) -> Path:
    """Write a pipeline in the standard layout; the folder appears whole or not at all."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(unfinished, safe_serialization=True)
    pipeline.to(dtype=torch.float32)
    if folder.exists():
        former = folder.with_name(folder.name + ".former")
        shutil.rmtree(former, ignore_errors=True)
        folder.rename(former)
        unfinished.rename(folder)
        shutil.rmtree(former)
    else:
        unfinished.rename(folder)
    return folder
