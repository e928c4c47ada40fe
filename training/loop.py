"""The loop of every stage: resumable, with a progress bar, figures and a picture sheet."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from adhere.files import write_whole
from training import checkpoint
from training.optimise import Optimiser, half_cosine


class Stage(ABC):
    """One network's training.

    Attributes:
        name: names its checkpoint and its log.
        modules: what is trained, by name.
        steps: how many batches.
        batch_size: samples a batch.
        lr: the highest learning rate.
        ema_decay: of the averaged weights, which are the ones used afterwards.
        settings: what a checkpoint must have been made with to be continued.
    """

    name: str
    modules: Mapping[str, nn.Module]
    steps: int
    batch_size: int
    lr: float
    ema_decay: float = 0.999
    report_every: int = 1000
    settings: Mapping

    @abstractmethod
    def dataset(self) -> Dataset:
        """Samples by number: the same number gives the same sample."""

    @abstractmethod
    def loss(self, batch: object, step: int, device: torch.device) -> Tensor:
        """The batch's loss, a scalar."""

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return half_cosine(step, self.lr, self.steps)

    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray | None]:
        """Figures, and a picture sheet (H, W, 3) uint8, of the averaged weights so far."""
        return {}, None


def _average(averages: Mapping[str, Tensor], stage: Stage, decay: float) -> None:
    for name, module in stage.modules.items():
        for key, value in module.state_dict().items():
            average = averages[f"{name}.{key}"]
            if value.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)


class _Averaged:
    """Puts the averaged weights into the modules for the length of a `with` block."""

    def __init__(self, stage: Stage, averages: Mapping[str, Tensor]) -> None:
        self.stage, self.averages = stage, averages

    def _fill(self, source: Mapping[str, Tensor]) -> None:
        for name, module in self.stage.modules.items():
            own = {k: source[f"{name}.{k}"] for k in module.state_dict()}
            module.load_state_dict(own)

    def __enter__(self) -> None:
        self.kept = {
            f"{name}.{k}": v.clone()
            for name, module in self.stage.modules.items()
            for k, v in module.state_dict().items()
        }
        self._fill(self.averages)

    def __exit__(self, *_: object) -> None:
        self._fill(self.kept)


def _is_row_until(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False


def _shorten(log: Path, step: int) -> None:
    """Drop a log's rows beyond a step, and what a kill left half-written."""
    if not log.exists():
        return
    lines = log.read_text(errors="replace").splitlines()
    write_whole(log, "".join(f"{x}\n" for x in lines if _is_row_until(x, step)).encode())


def run(
    stage: Stage,
    folder: Path,
    device: torch.device,
    workers: int = 0,
    save_seconds: float = 120.0,
    bar: bool = True,
) -> None:
    """Train a stage to its end, going on from its checkpoint if there is one.

    Afterwards the stage's modules hold the averaged weights. The log's "seconds" are those of
    all sittings together; its rows beyond the checkpoint are dropped, as they are written anew.

    Args:
        stage: what is trained.
        folder: holds `<name>.safetensors`, `<name>.log.jsonl` and picture sheets.
        device: where.
        workers: processes that make samples.
        save_seconds: how often a checkpoint is written.
        bar: whether to show a progress bar.

    Raises:
        ValueError: the checkpoint is damaged, of other settings, or of other networks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stage.name}.safetensors"
    for module in stage.modules.values():
        module.to(device).train()
    optimiser = Optimiser(stage.modules.values(), stage.lr)
    averages = {
        f"{name}.{k}": v.clone()
        for name, module in stage.modules.items()
        for k, v in module.state_dict().items()
    }
    first, before = 0, 0.0
    if path.exists():
        tensors, first, before = checkpoint.load(path, stage.settings)
        with checkpoint.filling(path):
            for name, module in stage.modules.items():
                own = {k: tensors[f"model.{name}.{k}"] for k in module.state_dict()}
                module.load_state_dict(own)
            for key, average in averages.items():
                average.copy_(tensors[f"average.{key}"])
            for name, part in optimiser.parts.items():
                checkpoint.unpack_optimizer(part, f"optimiser.{name}", tensors)
    log = folder / f"{stage.name}.log.jsonl"
    _shorten(log, first)
    started = time.monotonic() - before

    def save(step: int) -> None:
        tensors = {f"average.{k}": v for k, v in averages.items()}
        for name, module in stage.modules.items():
            tensors |= {f"model.{name}.{k}": v for k, v in module.state_dict().items()}
        for name, part in optimiser.parts.items():
            tensors |= checkpoint.pack_optimizer(part, f"optimiser.{name}")
        checkpoint.save(path, tensors, step, stage.settings, time.monotonic() - started)

    samples = range(first * stage.batch_size, stage.steps * stage.batch_size)
    loader = DataLoader(
        stage.dataset(), stage.batch_size, sampler=samples, num_workers=workers, drop_last=True
    )
    saved, running = time.monotonic(), 0.0
    progress = tqdm(
        loader, stage.name, initial=first, total=stage.steps, disable=not bar, mininterval=2
    )
    for step, batch in enumerate(progress, start=first):
        loss = stage.loss(batch, step, device)
        loss.backward()
        optimiser.step(stage.rate(step))
        _average(averages, stage, min(stage.ema_decay, (1 + step) / (10 + step)))
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        progress.set_postfix(loss=f"{running:.4f}", refresh=False)
        done = step + 1
        if done % stage.report_every == 0 or done == stage.steps:
            with _Averaged(stage, averages):
                figures, sheet = stage.report(device)
            line = {
                "step": done,
                "samples": done * stage.batch_size,
                "loss": round(running, 5),
                "seconds": round(time.monotonic() - started),
                **figures,
            }
            with open(log, "a") as file:
                file.write(json.dumps(line) + "\n")
            if sheet is not None:
                Image.fromarray(sheet).save(folder / f"{stage.name}-{done:06d}.png")
        if time.monotonic() - saved > save_seconds or done == stage.steps:
            save(done)
            saved = time.monotonic()
    _Averaged(stage, averages)._fill(averages)
    for module in stage.modules.values():
        module.eval()
