"""What is kept of one nursed step, and of one sampling run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from adhere.methods.schedule import Step
from adhere.subjects import Subject


@dataclass(frozen=True)
class StepRecord:
    """One nursed (or watched) step.

    Attributes:
        step: where the loop was.
        loss: (B,) after the last pass of the step; NaN where nothing was minimised.
        peaks: for each sample the highest attention of each subject, in its order, as the method
            sees it: of the first pass of the step, before anything moved.
        means: for each sample the raw mean attention of each subject over the image, of the same
            pass.
        maps: (B, H, W, T), attention of the last pass as the method sees it, half precision.
        refinements: (B,), updates for a threshold's sake.
        truncated_forwards: passes of the denoiser up to the last layer read.
        backwards: gradients taken.
        seconds: of all this, without the pipeline's own pass.
        searches: for each sample the passes of the method's search; empty where nothing moved.
        search_gradients: for each sample the gradients that the search took; empty as well.
    """

    step: Step
    loss: Tensor
    peaks: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...] = field(repr=False)
    maps: Tensor = field(repr=False)
    refinements: Tensor
    truncated_forwards: int
    backwards: int
    seconds: float
    searches: tuple[int, ...] = ()
    search_gradients: tuple[int, ...] = ()

    @classmethod
    def watched(
        cls,
        step: Step,
        peaks: Sequence[tuple[float, ...]],
        means: Sequence[tuple[float, ...]],
        maps: Tensor,
    ) -> StepRecord:
        """A step that was only looked at, in the pipeline's own pass."""
        loss = torch.full((len(maps),), float("nan"))
        refinements = torch.zeros(len(maps), dtype=torch.long)
        return cls(step, loss, tuple(peaks), tuple(means), maps, refinements, 0, 0, 0.0)


@dataclass
class RunTrace:
    """What happened in one sampling run.

    Attributes:
        prompts: one a sample.
        subjects: one list a sample.
        tokens: for each sample its tokens as text, without padding.
        columns: for each sample and token its columns in the maps.
        words: for each sample which of its tokens are of the prompt itself, and were read.
        steps: one record for each step at which the maps were read.
        full_forwards: the pipeline's own denoiser calls, whole batches, all branches together.
        edited_layers: layer calls in which attention was edited.
        is_due: whether a method was to act at any step.
        is_touched: whether one did.
    """

    prompts: tuple[str, ...] = ()
    subjects: tuple[tuple[Subject, ...], ...] = ()
    tokens: tuple[tuple[str, ...], ...] = ()
    columns: tuple[tuple[tuple[int, ...], ...], ...] = ()
    words: tuple[tuple[int, ...], ...] = ()
    steps: list[StepRecord] = field(default_factory=list)
    full_forwards: int = 0
    edited_layers: int = 0
    is_due: bool = False
    is_touched: bool = False
