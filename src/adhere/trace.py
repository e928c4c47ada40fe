"""What happened while a pipeline was nursed: numbers a step, and heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from adhere.methods.base import Method, Step
from adhere.subjects import Subject


@dataclass(frozen=True)
class StepRecord:
    """One nursed (or watched) step.

    Attributes:
        step: where the loop was.
        loss: (B,) after the last pass of the step; NaN where nothing was minimised.
        peaks: for each sample the highest attention of each subject, in its order: of the first
            pass of the step, before anything was moved.
        maps: (B, H, W, T), normalised and smoothed attention of the last pass, half precision.
        refinements: (B,), updates for a threshold's sake.
        truncated_forwards: passes of the denoiser up to the last layer read.
        backwards: gradients taken.
        seconds: of all this, without the pipeline's own pass.
    """

    step: Step
    loss: Tensor
    peaks: tuple[tuple[float, ...], ...]
    maps: Tensor
    refinements: Tensor
    truncated_forwards: int
    backwards: int
    seconds: float

    @classmethod
    def watched(
        cls, step: Step, peaks: Sequence[tuple[float, ...]], maps: Sequence[Tensor]
    ) -> StepRecord:
        """A step that was only looked at, in the pipeline's own pass."""
        loss = torch.full((len(maps),), float("nan"))
        refinements = torch.zeros(len(maps), dtype=torch.long)
        return cls(step, loss, tuple(peaks), torch.stack(list(maps)), refinements, 0, 0, 0.0)


@dataclass
class Trace:
    """The record of the last sampling run inside a `nurse` block, filled while it goes on.

    Attributes:
        methods: what nursed.
        prompts: one a sample.
        subjects: one list a sample.
        tokens: for each sample its decoded tokens, without padding.
        steps: one record for each step at which the maps were read.
        full_forwards: the pipeline's own denoiser calls, whole batches, all branches together.
        edited_layers: layer calls in which attention was edited.
    """

    methods: tuple[Method, ...] = ()
    prompts: tuple[str, ...] = ()
    subjects: tuple[tuple[Subject, ...], ...] = ()
    tokens: tuple[tuple[str, ...], ...] = ()
    steps: list[StepRecord] = field(default_factory=list)
    full_forwards: int = 0
    edited_layers: int = 0

    def begin(
        self,
        prompts: tuple[str, ...],
        subjects: tuple[tuple[Subject, ...], ...],
        tokens: tuple[tuple[str, ...], ...],
    ) -> None:
        """Start over, for a new run of the pipeline; all are one a sample."""
        self.prompts, self.subjects, self.tokens = prompts, subjects, tokens
        self.steps.clear()
        self.full_forwards = self.edited_layers = 0

    @property
    def loss(self) -> Tensor:
        """(steps, B)."""
        return (
            torch.stack([record.loss for record in self.steps]) if self.steps else torch.empty(0)
        )

    @property
    def refinements(self) -> Tensor:
        """(steps, B)."""
        if not self.steps:
            return torch.empty(0, dtype=torch.long)
        return torch.stack([record.refinements for record in self.steps])

    @property
    def truncated_forwards(self) -> int:
        """Passes that nursing cost, each ended after the last layer read."""
        return sum(record.truncated_forwards for record in self.steps)

    @property
    def backwards(self) -> int:
        """Gradients that nursing cost."""
        return sum(record.backwards for record in self.steps)

    @property
    def seconds(self) -> float:
        """Time that nursing cost."""
        return sum(record.seconds for record in self.steps)

    def weakest(self, sample: int = 0) -> list[float]:
        """A step at a time, the peak attention of the sample's most neglected subject."""
        return [min(record.peaks[sample]) for record in self.steps if record.peaks[sample]]

    def heat_map(self, word: str, sample: int = 0, step: int | None = None) -> Tensor:
        """Where a word's attention was, (H, W) in 0…1.

        Args:
            word: a subject, or any token of the prompt.
            sample: which picture of the batch.
            step: position in `steps`; None for the mean over all.

        Raises:
            ValueError: nothing was recorded, or the word is no token of the prompt.
        """
        if not self.steps:
            raise ValueError(
                "No attention maps were recorded; run the pipeline inside the nurse block, with "
                "a method that reads maps (adhere.Watch() reads them and changes nothing)."
            )
        indices = self._indices(word, sample)
        chosen = self.steps if step is None else [self.steps[step]]
        maps = torch.stack(
            [record.maps[sample][..., indices].float().mean(-1) for record in chosen]
        )
        return maps.mean(0)

    def _indices(self, word: str, sample: int) -> list[int]:
        for subject in self.subjects[sample]:
            for part in (subject, *subject.attributes):
                if part.text == word:
                    return list(part.token_indices)
        tokens: Sequence[str] = self.tokens[sample]
        if word in tokens:
            return [tokens.index(word)]
        raise ValueError(
            f"{word!r} is no word of {self.prompts[sample]!r}; choose one of "
            f"{', '.join(repr(token) for token in tokens[1:-1])}."
        )
