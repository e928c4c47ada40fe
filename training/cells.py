"""What stands in each cell of a drawn scene: labels that a training may learn beside images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from adhere.mini.train import checkpoint
from adhere.mini.train.latents import scene
from adhere.mini.world import COLOURS, SUBJECTS, Scene
from adhere.mini.world.scene import placed

GRID, SIZE = 8, 128
SUBJECT_LABELS, COLOUR_LABELS = len(SUBJECTS) + 1, len(COLOURS) + 1


def cells(scene: Scene) -> np.ndarray:
    """Labels (2, 8, 8) uint8 of a scene: subject and colour of what covers most of a cell.

    0 is the background and no colour; a thing counts from a quarter of the cell on.
    """
    owner = np.zeros((SIZE, SIZE), int)
    for number, thing in enumerate(scene.things, start=1):
        layer, left, top = placed(thing, SIZE)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + layer.shape[1], SIZE), min(top + layer.shape[0], SIZE)
        opaque = layer[y0 - top : y1 - top, x0 - left : x1 - left, 3] > 127
        owner[y0:y1, x0:x1][opaque] = number
    side = SIZE // GRID
    blocks = owner.reshape(GRID, side, GRID, side)
    shares = np.stack([(blocks == n).mean((1, 3)) for n in range(1, len(scene.things) + 1)])
    most = np.where(shares.max(0) >= 0.25, shares.argmax(0) + 1, 0)
    subjects = [0, *(SUBJECTS.index(thing.subject) + 1 for thing in scene.things)]
    names = list(COLOURS)
    colours = [0, *(names.index(t.colour) + 1 if t.colour else 0 for t in scene.things)]
    return np.stack([np.array(subjects)[most], np.array(colours)[most]]).astype(np.uint8)


def cached(path: Path, count: int, seed: int, settings: dict) -> Tensor:
    """The labels (count, 2, 8, 8) uint8 of the training mix's scenes, made once.

    Raises:
        ValueError: the file is damaged, or made with other settings.
    """
    wanted = settings | {"count": count}
    if path.exists():
        return checkpoint.load(path, wanted).tensors["cells"]
    bar = tqdm(range(count), "cells", mininterval=10)
    labels = torch.from_numpy(np.stack([cells(scene(seed, n)) for n in bar]))
    checkpoint.save(path, {"cells": labels}, 0, wanted)
    return labels
