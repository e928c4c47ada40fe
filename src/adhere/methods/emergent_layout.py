"""Emergent layout: every subject gets the place that the model has begun, and keeps to it.

Ours. The first attention maps already show where a model will draw things, and only mix up which
subject goes where. Each phrase (a noun with its attributes) is given one of these places, and its
columns are attended inside a disc around it alone. In joint attention its words, too, read the
image inside that disc alone. No pass of the denoiser is added. Nearest published work: Bounded
Attention (arXiv 2403.16990), where boxes are given, and Be Decisive (arXiv 2505.21488), where a
trained network reads a layout from the noise.

Shapes: K phrases of a sample, H x W the grid on which places are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor
from torch.nn import functional as F

from adhere.errors import NonFiniteLoss, UnfitPrompt
from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.phrases import Phrase, phrase_maps, phrases_of
from adhere.methods.places import arrange, blur, cells
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Step, check_window
from adhere.subjects.relations import Relation
from adhere.subjects.subject import Subject
from adhere.typed import Fraction, Positive, typed

# Of more, the places would be smaller than the cells of the maps.
_MOST_THINGS = 36


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
        layout = _of_reading(context, "layout", lambda: self._layout(context))
        return _of_reading(context, ("bias", context.size), lambda: self._bias(layout, context))

    def _layout(self, context: LayerContext) -> list[list[tuple[Phrase, Tensor]]]:
        """For each sample its phrases with their places."""
        assert context.reading is not None
        told = zip(context.subjects, context.relations, strict=True)
        return [self._places(context.reading, sample, *one) for sample, one in enumerate(told)]

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
        self,
        reading: Reading,
        sample: int,
        subjects: Sequence[Subject],
        relations: Sequence[Relation],
    ) -> list[tuple[Phrase, Tensor]]:
        """Each phrase with its place, (H, W) of 0 and 1; nothing for a single phrase."""
        things = sum(subject.count for subject in subjects)
        if things < 2:
            return []
        if things > _MOST_THINGS:
            raise UnfitPrompt(
                f"{self.name} finds places for at most {_MOST_THINGS} things; the prompt asks "
                f"for {things}. Ask for fewer, or use another method."
            )
        phrases = phrases_of(subjects, relations)
        maps = phrase_maps(reading, sample, phrases)
        if not maps.isfinite().all():
            raise NonFiniteLoss(
                "The attention maps hold NaN or infinity; they should be finite. Use float32 or "
                "bfloat16 weights."
            )
        height, width = maps.shape[-2:]
        unit = math.sqrt(height * width)
        blurred = blur(maps, self.blur * unit)
        apart = self.distance / math.sqrt(len(phrases))
        near = torch.full((len(phrases),) * 2, apart)
        for index, phrase in enumerate(phrases):
            if phrase.host is not None:
                near[index, phrase.host] = near[phrase.host, index] = self.joined * apart
        grid = cells(height, width).to(maps)
        centres, scale = arrange(blurred, grid, near.to(maps))
        distances = torch.cdist(grid, centres)
        places = _discs(phrases, distances, self.radius * apart * scale)
        return [(p, place.view(height, width)) for p, place in zip(phrases, places, strict=True)]


def _discs(phrases: Sequence[Phrase], distances: Tensor, radius: float) -> list[Tensor]:
    """Each phrase's disc, (H * W,) of 0 and 1, from the distances of cells to centres, (H * W, K).

    It is cut where another disc begins, unless the two are joined. A host's place covers the disc
    of what it is joined with.
    """
    places = []
    for index, phrase in enumerate(phrases):
        inside = distances[:, index] < radius
        for other, rival in enumerate(phrases):
            if other not in (index, phrase.host) and rival.host != index:
                inside &= distances[:, index] < distances[:, other]
        places.append(inside.to(distances))
    for index, phrase in enumerate(phrases):
        if phrase.host is not None:
            places[phrase.host] = torch.maximum(places[phrase.host], places[index])
    return places


def _of_reading(context: LayerContext, key: Hashable, make: Callable[[], Any]) -> Any:  # noqa: ANN401
    """What is made of the newest reading, once for each reading."""
    if context.shared.get(key, (None,))[0] is not context.reading:
        context.shared[key] = context.reading, make()
    return context.shared[key][1]
