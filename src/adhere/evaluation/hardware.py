"""The machine that a run draws on: its name, its memory, and what it says where that is full."""

from __future__ import annotations

import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from adhere.errors import is_out_of_memory


@contextmanager
def enough_memory() -> Iterator[None]:
    """Tells apart what concerns every image: not even a batch of the baseline fits.

    Raises:
        ValueError: it does not.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ValueError(
            "A batch of this run does not fit into memory even without a method; give a smaller "
            "--batch-size or --size."
        ) from error


def empty_cache() -> None:
    """Gives back the GPU's memory that nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def machine(device: torch.device) -> str:
    """The kind of a GPU, or of the processor here."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def forget_peak(device: torch.device) -> None:
    """Begins to count a GPU's highest use of memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_of(device: torch.device) -> int | None:
    """A GPU's highest use of memory since then, in bytes; None for a processor."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
