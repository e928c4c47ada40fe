"""Training at toy size that is killed again and again: python train_kills.py FOLDER KILLS SEED.

The heavy imports happen once; each sitting is a fork of this process. FOLDER/calm is trained
without a disturbance; FOLDER/killed with so many SIGKILLs, each at a random moment after the
sitting's first checkpoint.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from training import checkpoint, loop

CPU = torch.device("cpu")
STEPS = 40


class Line(loop.Stage):
    """A toy stage of real parts: fit a matrix."""

    name = "line"
    report_every = 5

    def __init__(self, steps, seed=0, width=12):
        torch.manual_seed(seed)
        self.model = torch.nn.Linear(width, 12)
        self.modules = {"line": self.model}
        self.steps, self.batch_size, self.lr = steps, 4, 0.2
        self.settings = {"stage": self.name, "seed": seed}

    def dataset(self):
        class Numbers(Dataset):
            def __getitem__(self, index):
                return torch.from_numpy(np.random.default_rng(index).normal(size=12)).float()

        return Numbers()

    def loss(self, batch, step, device):
        return (self.model(batch) - 2 * batch).square().mean()


def begun(folder):
    """The id of a process that trains, and writes a checkpoint after every step."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        loop.run(Line(STEPS), folder, CPU, save_seconds=0, bar=False)
        code = 0
    finally:
        os._exit(code)


def written(path):
    """When a file was written, 0 before that."""
    return path.stat().st_mtime_ns if path.exists() else 0


def has_ended(child):
    """Whether a process has; it is still to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def await_checkpoint(folder, child):
    """Return as soon as the child has written a checkpoint, or ended."""
    path = folder / "line.safetensors"
    before = written(path)
    while written(path) == before and not has_ended(child):
        time.sleep(0.0005)


def main():
    """Prints how many steps the checkpoint had behind it after each kill."""
    # Forks share no pool of threads.
    torch.set_num_threads(1)
    home, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    calm = begun(home / "calm")
    await_checkpoint(home / "calm", calm)
    started = time.monotonic()
    assert os.waitpid(calm, 0)[1] == 0
    step = (time.monotonic() - started) / STEPS
    path, reached = home / "killed" / "line.safetensors", []
    for _ in range(kills):
        child = begun(home / "killed")
        await_checkpoint(home / "killed", child)
        time.sleep(chance.uniform(0, 6 * step))
        os.kill(child, signal.SIGKILL)
        if os.waitpid(child, 0)[1] == signal.SIGKILL:
            reached.append(checkpoint.load(path, Line(STEPS).settings).step)
    assert os.waitpid(begun(home / "killed"), 0)[1] == 0
    print(json.dumps(reached))


if __name__ == "__main__":
    main()
