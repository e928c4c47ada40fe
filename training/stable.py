"""Trainings without a planned end: a constant rate, and a fall to zero whenever one is wanted.

Any sitting goes on from the stable checkpoint. A decayed model is made from a copy of it, so
the stable run stays as it is (warmup, stable, decay; arXiv 2404.06395).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import checkpoint, loop
from training.assemble import assemble

ENDLESS = 10_000_000


class Stable(loop.Stage):
    """A stage whose rate rises, stays, and falls linearly over the steps of a decay.

    Attributes:
        warm: steps over which the rate rises.
        decay_from: the step at which it begins to fall; None in the stable run.
        folder: where reports write the pipeline so far; None for nowhere.
        pipeline: gives a copy of the present weights as a pipeline.
    """

    warm = 20
    steps = ENDLESS
    decay_from: int | None = None
    folder: Path | None
    pipeline: Callable[[], Any]

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if self.decay_from is None:
            return self.lr * min(1.0, (step + 1) / self.warm)
        return self.lr * (self.steps - step) / (self.steps - self.decay_from)


def decay(stage: Stable, folder: Path, steps: int, device: torch.device) -> None:
    """Train a copy of the stable checkpoint while its rate falls to zero.

    Interrupted, it goes on in its own folder, `decayed-<step of the stable checkpoint>`.

    Args:
        stage: the stage of the stable run.
        folder: holds the stable run.
        steps: over which the rate falls.
        device: where.

    Raises:
        ValueError: there is no stable checkpoint.
    """
    stable = folder / f"{stage.name}.safetensors"
    begun = sorted(folder.glob("decayed-*/from"))
    unfinished = [x.parent for x in begun if not (x.parent / "pipeline").exists()]
    if unfinished:
        own = unfinished[0]
    else:
        if not stable.exists():
            raise ValueError(f"There is no checkpoint {stable}; train the stable run first.")
        start = checkpoint.load(stable, stage.settings).step
        own = folder / f"decayed-{start}"
        own.mkdir(exist_ok=True)
        shutil.copy2(stable, own / stable.name)
        (own / "from").write_text(f"{start} {steps}")
    start, steps = (int(x) for x in (own / "from").read_text().split())
    stage.decay_from, stage.steps = start, start + steps
    # The folder's own pipeline is the stable run's; this one stands when the decay has ended.
    stage.folder = None
    loop.run(stage, own, device, save_seconds=300)
    assemble(stage.pipeline(), own / "pipeline")
