"""The scenes of the training mix as latents, made once and kept on disk."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from training import checkpoint, world
from training.autoencoder import SIZE, to_model
from training.precision import autocast

SHARD = 4096


class Scenes(Dataset):
    """Pictures of the training mix by number, (128, 128, 3) uint8."""

    def __init__(self, seed: int, first: int, count: int) -> None:
        self.seed, self.first, self.count = seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(world.draw(scene(self.seed, self.first + index), SIZE))


def scene(seed: int, index: int) -> world.Scene:
    """The scene with this number."""
    return world.random_scene(np.random.default_rng((seed, 2, index)))


@torch.no_grad()
def cached(
    folder: Path,
    model: AutoencoderKL,
    count: int,
    seed: int,
    settings: dict,
    device: torch.device,
    workers: int = 0,
    bar: bool = True,
) -> Tensor:
    """The means of the latents of `count` scenes, (count, 4, 16, 16) half precision.

    Written in shards as they are made, so that a kill loses one shard at the most.

    Raises:
        ValueError: a shard is damaged, or made with other settings or another autoencoder.
    """
    shards = []
    settings = settings | {"autoencoder_sha256": checkpoint.digest(model)}
    starts = range(0, count, SHARD)
    for start in tqdm(starts, "latents", disable=not bar):
        path = folder / f"latents-{start // SHARD:04d}.safetensors"
        wanted = settings | {"start": start, "count": min(SHARD, count - start)}
        if path.exists():
            shards.append(checkpoint.load(path, wanted)[0]["means"])
            continue
        # Small batches stay in the cache of a CPU, which is twice as fast.
        scenes = DataLoader(Scenes(seed, start, wanted["count"]), 8, num_workers=workers)
        means = []
        for pictures in scenes:
            with autocast(device):
                means.append(model.encode(to_model(pictures.to(device))).latent_dist.mean)
        shard = torch.cat(means).half().cpu()
        checkpoint.save(path, {"means": shard}, 0, wanted)
        shards.append(shard)
    return torch.cat(shards)
