"""Phrases: the things that a prompt asks for, each a noun with its attributes, and their maps.

Shapes: K phrases of a sample, H x W the grid of their maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.methods.reading import Reading
from adhere.subjects.relations import Relation
from adhere.subjects.subject import Subject

# The grid has about so many cells on its shorter side, whatever the model's.
_CELLS = 16


@dataclass(frozen=True)
class Phrase:
    """What is given a place: a subject, or one of several of a kind.

    Attributes:
        words: columns of the noun, and of each attribute.
        host: index of the phrase that it is joined with ("a cat with a hat"), or None.
    """

    words: tuple[tuple[int, ...], ...]
    host: int | None = None


def phrases_of(subjects: Sequence[Subject], relations: Sequence[Relation]) -> list[Phrase]:
    """A phrase for each thing that a prompt asks for: a subject of two is two phrases."""
    hosts = {r.other: r.subject for r in relations if r.is_joined and r.subject < r.other}
    hosts |= {r.subject: r.other for r in relations if r.is_joined and r.subject > r.other}
    first: list[int] = []
    phrases: list[Phrase] = []
    for index, subject in enumerate(subjects):
        words = tuple(one.token_indices for one in subject.words)
        first.append(len(phrases))
        host = first[hosts[index]] if index in hosts else None
        phrases += [Phrase(words, host)] * subject.count
    return phrases


def phrase_maps(reading: Reading, sample: int, phrases: Sequence[Phrase]) -> Tensor:
    """Where each phrase is attended, on one grid, (K, H, W).

    A word's map is divided by its own mean, a phrase's is the mean over its words, and every layer
    counts alike.
    """
    height, width = reading.size
    shrink = min(height, width) / _CELLS
    size = max(round(height / shrink), 1), max(round(width / shrink), 1)
    total = torch.zeros(())
    for layer in reading.layers.values():
        columns = layer[sample].movedim(-1, 0)[None]
        total = F.interpolate(columns, size, mode="bilinear")[0] + total.to(layer)
    maps = []
    for phrase in phrases:
        words = torch.stack([total[list(word)].mean(0) for word in phrase.words])
        maps.append((words / words.mean((-2, -1), keepdim=True).clamp_min(1e-12)).mean(0))
    return torch.stack(maps)
