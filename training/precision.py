"""The number format of a training: bfloat16 where the machine is faster with it."""

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    """The fastest of some products of two 512×512 matrices."""
    one = torch.ones(512, 512, dtype=dtype, device=device)
    found = []
    for _ in range(8):
        started = time.perf_counter()
        (one @ one).sum().item()
        found.append(time.perf_counter() - started)
    return min(found)


@cache
def prefers_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are clearly faster here than in float32, as measured.

    A CPU without instructions for bfloat16 is several times slower with it.
    """
    return 1.3 * _seconds(torch.bfloat16, device) < _seconds(torch.float32, device)


def autocast(device: torch.device) -> AbstractContextManager:
    """Autocast to bfloat16 where `prefers_bfloat16`, else nothing."""
    if prefers_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
