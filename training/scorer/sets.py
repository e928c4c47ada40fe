"""Sets of labelled images for the scorer: drawn scenes, hard specimens, decoded ones."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from adhere.mini.detector import SIZE
from adhere.mini.scorer import to_network
from adhere.mini.vocabulary import COLOURS, SUBJECTS
from training import checkpoint
from training.autoencoder import to_picture
from training.precision import autocast
from training.scorer import degrade
from training.scorer.specimens import Label, Labels, pack, relation_of_any, specimen, unpack
from training.world.mix import random_scene
from training.world.scene import Scene, boxes, draw

SHARD = 1024
# Purposes, kept apart by the random generator's key; 11 is that of training.
_DECODED, _SCENES, _HARD, _JOINED = 12, 13, 14, 15

Set = tuple[np.ndarray, list[list[Label]]]


@torch.no_grad()
def decoded(
    folder: Path,
    autoencoder: AutoencoderKL,
    count: int,
    seed: int,
    settings: dict,
    device: torch.device,
    bar: bool = True,
) -> dict[str, Tensor]:
    """Specimens as the autoencoder gives them back from spoilt latents, kept on disk.

    Latents get noise, fine and coarse, of up to a third of their deviation.

    Returns:
        `pictures` (count, 128, 128, 3) uint8 and the fields of `Labels` by name.

    Raises:
        ValueError: a shard is damaged, or made with other settings or another autoencoder.
    """
    shards = []
    settings = settings | {"autoencoder_sha256": checkpoint.digest(autoencoder)}
    for start in tqdm(range(0, count, SHARD), "decoded", disable=not bar):
        path = folder / f"decoded-{start // SHARD:03d}.safetensors"
        wanted = settings | {"start": start, "count": min(SHARD, count - start)}
        if path.exists():
            shards.append(checkpoint.load(path, wanted)[0])
            continue
        pictures, labels = [], []
        for first in range(start, start + wanted["count"], 32):
            numbers = range(first, min(first + 32, start + wanted["count"]))
            drawn = [specimen(np.random.default_rng((seed, _DECODED, i))) for i in numbers]
            labels += [pack(own) for _, own in drawn]
            images = to_network(torch.from_numpy(np.stack([p for p, _ in drawn]))).to(device)
            with autocast(device):
                means = autoencoder.encode(images, return_dict=False)[0].mean.float()
                noise = torch.Generator().manual_seed(seed * 1_000_003 + first)
                means = _spoil(means, noise)
                images = autoencoder.decode(means, return_dict=False)[0]  # type: ignore[arg-type]
                pictures.append(to_picture(images))
        shard = {"pictures": torch.from_numpy(np.concatenate(pictures))}
        for name in Labels._fields:
            shard[name] = torch.stack([getattr(own, name) for own in labels])
        checkpoint.save(path, shard, 0, wanted)
        shards.append(shard)
    return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}


def _spoil(latents: Tensor, random: torch.Generator) -> Tensor:
    batch, _, side, _ = latents.shape
    strength = 0.3 * torch.rand(2, batch, 1, 1, 1, generator=random) ** 2 * latents.std().cpu()
    fine = torch.randn(latents.shape, generator=random)
    coarse = torch.randn(batch, 4, side // 4, side // 4, generator=random)
    coarse = F.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)
    return latents + (strength[0] * fine + strength[1] * coarse).to(latents.device)


def scenes(seed: int, count: int) -> Set:
    """Scenes of the world's mix whose things stand apart, by numbers that no training uses."""
    drawn = (random_scene(np.random.default_rng((seed, _SCENES, n))) for n in itertools.count())
    return labelled(itertools.islice((scene for scene in drawn if not scene.relations), count))


def joined(seed: int, count: int) -> Set:
    """Scenes of two joined things, those that are held out of the mix too."""

    def scene(number: int) -> Scene:
        random = np.random.default_rng((seed, _JOINED, number))
        return random_scene(random, relation=relation_of_any(random))

    return labelled(scene(number) for number in range(count))


def labelled(scenes: Iterable[Scene]) -> Set:
    """Scenes drawn, with a label of each thing."""
    pictures, labels = [], []
    for scene in scenes:
        pictures.append(draw(scene, SIZE))
        own = []
        for thing, box in zip(scene.things, boxes(scene, SIZE), strict=True):
            subject = SUBJECTS.index(thing.subject)
            left, top, right, bottom = (float(edge) for edge in box)
            colours = tuple(float(thing.colour == colour) for colour in COLOURS)
            own.append(Label(subject, subject, (left, top, right, bottom), colours))
        labels.append(own)
    return np.stack(pictures), labels


def hard(seed: int, count: int) -> Set:
    """Weathered specimens, by numbers that no training uses."""
    drawn = [specimen(np.random.default_rng((seed, _HARD, index))) for index in range(count)]
    images = to_network(torch.from_numpy(np.stack([picture for picture, _ in drawn])))
    weathered = degrade.weather(images, torch.Generator().manual_seed(seed))
    return to_picture(weathered), [labels for _, labels in drawn]


def as_set(pool: dict[str, Tensor]) -> Set:
    """Decoded specimens as pictures and labels."""
    rows = zip(*(pool[name] for name in Labels._fields), strict=True)
    return pool["pictures"].numpy(), [unpack(Labels(*row)) for row in rows]
