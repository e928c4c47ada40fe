"""What single subjects look like to the latent methods: scores, and lengths of gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from adhere import METHODS, LatentMethod, Reading, Schedule, Step
from adhere.methods.base import Read
from adhere.methods.schedule import step_index
from adhere.typed import schema

CALIBRATED = ("temperature", "step_size", "refine_at")
"""The parameters that calibration sets; a method that has all of them can be calibrated."""

Temperature = float | None
Key = tuple[str, Temperature]


def latent_methods() -> dict[str, Any]:
    """The methods of `METHODS` that calibration can set.

    They have a temperature, a step size and thresholds, and read the image-to-text attention of
    subjects, one or more, with or without attributes.
    """
    return {
        name: kind()
        for name, kind in METHODS.items()
        if issubclass(kind, LatentMethod)
        and kind.least_subjects == 1
        and not (kind.needs_attributes or kind.needs_self_attention)
        and {*CALIBRATED} <= {*schema(kind)["properties"]}
    }


@dataclass
class Seen:
    """What one image showed.

    Attributes:
        scores: of (method, temperature) at each threshold's place in the loop.
        slopes: of (method, temperature), the length of the loss's gradient at the first step,
            over the length of the latents.
        sharpness: of a temperature, the same of the subject's peak.
        text_mass: the part of attention that the text has.
    """

    scores: dict[Key, dict[float, float]] = field(default_factory=dict)
    slopes: dict[Key, float] = field(default_factory=dict)
    sharpness: dict[Temperature, float] = field(default_factory=dict)
    text_mass: float = 1.0


class Probe(LatentMethod):
    """Reads gradients at the first step and scores where thresholds lie, and moves nothing.

    Both are read of half the raw attention: where two subjects share an image, each has about
    half of what it has alone.
    """

    name = "probe"

    def __init__(self, methods: Mapping[str, Any], temperatures: Sequence[Temperature]) -> None:
        """`methods` are probed at each of the temperatures."""
        self.methods, self.temperatures = methods, tuple(temperatures)
        self.seen = Seen()

    @property
    def schedule(self) -> Schedule:
        """The first step alone, with a step that is too short to change a float."""
        return Schedule(step_size=1e-30, start=0, stop=1, in_steps=True)

    def _places(self, step: Step) -> list[tuple[str, float]]:
        return [
            (name, at)
            for name, method in self.methods.items()
            for at, _ in method.refine_at
            if step_index(at, step.count) == step.index
        ]

    def watches(self, step: Step) -> bool:
        """Where a method has a threshold."""
        return bool(self._places(step))

    def search(self, latents: Tensor, read: Read, step: Step) -> Tensor:
        """Takes the gradients. The latents stay."""
        moving = latents.detach().clone().requires_grad_()
        reading = read(moving, range(len(moving)))
        self.seen.text_mass = float(reading.text_mass().detach().mean())
        reading = _halved(reading)
        length = max(latents.norm().item(), 1e-12)

        def slope(value: Tensor) -> float:
            if not value.requires_grad:
                return 0.0
            found = torch.autograd.grad(value, moving, retain_graph=True)[0]
            return found.norm().item() / length

        for temperature in self.temperatures:
            peak = _peak(reading, temperature)
            self.seen.sharpness[temperature] = slope(peak)
            for name, method in self.methods.items():
                loss = replace(method, temperature=temperature).loss(reading).sum()
                self.seen.slopes[name, temperature] = slope(loss)
        return latents

    def loss(self, reading: Reading) -> Tensor:
        """(B,) zeros that depend on the maps: nothing is minimised."""
        return 0 * reading.aggregate().sum((1, 2, 3))

    def peaks(self, reading: Reading) -> list[Tensor]:
        """The peaks of the usual maps; the scores are noted on the way."""
        places = self._places(reading.step)
        if places:
            halved = _halved(reading)
            for name, at in places:
                for temperature in self.temperatures:
                    method = replace(self.methods[name], temperature=temperature)
                    score = float(method.score(halved).mean())
                    self.seen.scores.setdefault((name, temperature), {})[at] = score
        return super().peaks(reading)


def _halved(reading: Reading) -> Reading:
    """The reading at half its raw attention, which still depends as much on the latents."""
    layers = {name: layer - layer.detach() / 2 for name, layer in reading.layers.items()}
    return replace(reading, layers=layers, _kept={})


def _peak(reading: Reading, temperature: Temperature) -> Tensor:
    """The peak of the weakest subject's map."""
    own = [
        reading.word(0, subject.token_indices, temperature=temperature).amax()
        for subject in reading.subjects[0]
    ]
    return torch.stack(own).amin()
