"""Emergent layout: every subject gets the place that the model has begun, and keeps to it.

Ours. The first attention maps already show where a model will draw things, and only mix up which
subject goes where. Each phrase (a noun with its attributes) is given one of these places, and its
columns are attended inside a disc around it alone. In joint attention its words, too, read the
image inside that disc alone. No pass of the denoiser is added. Nearest published work: Bounded
Attention (arXiv 2403.16990), where boxes are given, and Be Decisive (arXiv 2505.21488), where a
trained network reads a layout from the noise.

Shapes: K phrases of a sample, H x W the grid on which places are chosen, C candidate places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Le
from torch import Tensor
from torch.nn import functional as F

from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Step, check_window
from adhere.subjects.relations import Relation
from adhere.subjects.subject import Subject
from adhere.typed import Fraction, Positive, typed

# Places are chosen on a grid of about so many cells a side, whatever the model's.
_CELLS = 16
# Of the sides, how far from the edges a place is.
_MARGIN = 0.2
# Arrangements of the first phrases that are followed up.
_MOST_ARRANGEMENTS = 512


@dataclass(frozen=True)
class Phrase:
    """What is given a place: a subject, or one of several of a kind.

    Attributes:
        words: columns of the noun, and of each attribute.
        host: index of the phrase that it is joined with ("a cat with a hat"), or None.
    """

    words: tuple[tuple[int, ...], ...]
    host: int | None = None


@typed
class EmergentLayout(AttentionMethod):
    """Binds each subject and its attributes to a place that the model's first maps show.

    A prompt of a single subject is left alone. Of a subject that the prompt joins with another
    ("a lion with a crown") the place may touch the other's, which covers both.

    Attributes:
        start: fraction of the loop at which the bound begins, the second step at the earliest.
        stop: fraction of the loop at which it is released.
        read_until: fraction of the loop until which places are read again.
        distance: of two places, times the square root of the number of phrases, in sides of the
            image.
        radius: of a place, in parts of that distance.
        joined: distance of joined subjects, in parts of that distance.
        blur: standard deviation of the blur before places are chosen, in sides of the image.
        floor: factor of a phrase's attention outside its place.
    """

    start: Fraction = 0.0
    stop: Fraction = 1.0
    read_until: Fraction = 0.25
    distance: Positive = 0.7
    radius: Positive = 0.6
    joined: Fraction = 0.25
    blur: Positive = 0.125
    floor: Annotated[float, Gt(0), Le(1)] = 1e-4

    name = "emergent-layout"

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @classmethod
    def official(cls) -> EmergentLayout:
        """The same: the method is ours."""
        return cls()

    @property
    def is_mutual(self) -> bool:
        """A phrase's words read nothing outside its place either."""
        return True

    def is_active(self, step: Step) -> bool:
        """From the second step on: the first one shows where things will stand."""
        return step.index > 0 and step.within(self.start, self.stop)

    def reads(self, step: Step) -> bool:
        """At the first step, and while places are read again."""
        return step.index == 0 or step.within(0.0, self.read_until)

    def edits(self, subjects: Subjects) -> bool:
        """Whether any sample has several things to place."""
        return any(sum(subject.count for subject in own) > 1 for own in subjects)

    def bias(self, context: LayerContext) -> Tensor:
        """The logarithm of each phrase's place on its columns, (B, 1, N, T)."""
        reading = context.readings[-1]
        layout = context.shared.get("layout")
        if layout is None or layout[0] is not reading:
            layout = (
                reading,
                [
                    self._places(reading, sample, phrases_of(subjects, relations))
                    for sample, (subjects, relations) in enumerate(
                        zip(context.subjects, context.relations, strict=True)
                    )
                ],
            )
            context.shared["layout"] = layout
        key = "bias", context.size
        if context.shared.get(key, (None,))[0] is not reading:
            context.shared[key] = reading, self._bias(layout[1], context)
        return context.shared[key][1]

    def _bias(
        self, layout: Sequence[Sequence[tuple[Phrase, Tensor]]], context: LayerContext
    ) -> Tensor:
        samples, columns = context.columns.words.shape
        allowed = torch.ones((samples, columns, *context.size), device=context.device)
        for sample, places in enumerate(layout):
            bound: dict[int, Tensor] = {}
            for phrase, place in places:
                small = F.interpolate(place[None, None], context.size, mode="area")[0, 0]
                for column in (column for word in phrase.words for column in word):
                    former = bound.get(column)
                    bound[column] = small if former is None else torch.maximum(former, small)
            for column, place in bound.items():
                allowed[sample, column] = place
        return allowed.clamp_min(self.floor).log().flatten(2).transpose(1, 2).unsqueeze(1)

    def _places(
        self, reading: Reading, sample: int, phrases: Sequence[Phrase]
    ) -> list[tuple[Phrase, Tensor]]:
        """Each phrase with its place, (H, W) of 0 and 1; nothing for a single phrase."""
        if len(phrases) < 2:
            return []
        maps = phrase_maps(reading, sample, phrases)
        height, width = maps.shape[-2:]
        unit = math.sqrt(height * width)
        blurred = _blur(maps, self.blur * unit)
        apart = self.distance / math.sqrt(len(phrases))
        near = torch.full((len(phrases),) * 2, apart)
        for index, phrase in enumerate(phrases):
            if phrase.host is not None:
                near[index, phrase.host] = near[phrase.host, index] = self.joined * apart
        points = _points(height, width).to(maps)
        centres, scale = _arrange(blurred, points, near.to(maps))
        distances = torch.cdist(points, centres)
        places = []
        for index, phrase in enumerate(phrases):
            inside = distances[:, index] < self.radius * apart * scale
            for other, rival in enumerate(phrases):
                if other not in (index, phrase.host) and rival.host != index:
                    inside &= distances[:, index] < distances[:, other]
            places.append(inside.view(height, width).to(maps))
        for index, phrase in enumerate(phrases):
            if phrase.host is not None:
                places[phrase.host] = torch.maximum(places[phrase.host], places[index])
        return list(zip(phrases, places, strict=True))


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


def _points(height: int, width: int) -> Tensor:
    """Centres of the cells, (H * W, 2), in sides of a square of the same area."""
    unit = math.sqrt(height * width)
    rows, columns = torch.meshgrid(
        (torch.arange(height) + 0.5) / unit, (torch.arange(width) + 0.5) / unit, indexing="ij"
    )
    return torch.stack([columns.flatten(), rows.flatten()], -1)


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """Maps (K, H, W) after a Gaussian, edges repeated."""
    reach = max(int(3 * sigma + 0.5), 1)
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-steps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    wide = F.pad(maps[:, None], (reach,) * 4, mode="replicate")
    wide = F.conv2d(wide, kernel.view(1, 1, 1, -1))
    return F.conv2d(wide, kernel.view(1, 1, -1, 1))[:, 0]


def _arrange(maps: Tensor, points: Tensor, near: Tensor) -> tuple[Tensor, float]:
    """The places, (K, 2), that maximise the maps' sum with the distances that `near` asks for.

    Found by beam search; where there is no room, all distances shrink together by the factor that
    is returned.
    """
    count, height, width = maps.shape
    grid = torch.stack(
        [torch.arange(height * width) % width, torch.arange(height * width) // width], -1
    )
    share = (grid + 0.5) / torch.tensor([width, height])
    is_inner = ((share >= _MARGIN) & (share <= 1 - _MARGIN)).all(-1).to(maps.device)
    places, values = points[is_inner], maps.flatten(1)[:, is_inner]
    distances = torch.cdist(places, places)
    scale = 1.0
    while True:
        totals, chosen = values[0], torch.arange(len(places), device=maps.device)[:, None]
        for index in range(1, count):
            wanted = near[index, :index, None] * scale - 1e-6
            is_free = (distances[chosen] >= wanted).all(1)
            sums = (totals[:, None] + values[index]).masked_fill(~is_free, -torch.inf).flatten()
            totals, best = sums.topk(min(_MOST_ARRANGEMENTS, len(sums)))
            chosen = torch.cat([chosen[best // len(places)], (best % len(places))[:, None]], 1)
        if totals[0] > -torch.inf:
            return places[chosen[0]], scale
        scale *= 0.95
