"""What the last bits of an image depend on besides its recipe's numbers."""

from __future__ import annotations

import platform

from adhere import __version__


def environment(device: str) -> dict[str, str]:
    """What the last bits of an image depend on besides: versions, threads, the processor."""
    import diffusers
    import torch
    import transformers

    found = {
        "adhere": __version__,
        "diffusers": diffusers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if device == "cpu":
        # Kernels differ with what the processor can do, and with them the last bits.
        can = torch.backends.cpu.get_cpu_capability()
        machine = f"{platform.machine()} {can}"
        found |= {"threads": str(torch.get_num_threads()), "machine": machine}
    return found
