"""What is known of one kind of denoiser, and nothing of methods.

Shapes: R rows of a call (all branches), B conditional samples, N image queries, T text columns.
"""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from adhere.attention.call import AttentionCall, Region
from adhere.errors import UnsupportedPipeline
from adhere.families.call import DenoiserCall, same
from adhere.families.encoder import Encoder


@dataclass(frozen=True)
class Layer:
    """An attention layer.

    Attributes:
        name: of its module in the denoiser.
        module: the attention.
        factor: its resolution: sides of the finest grid over sides of its own.
    """

    name: str
    module: nn.Module
    factor: int = 1


@dataclass(frozen=True)
class Opened:
    """One real call as the core sees it.

    Attributes:
        call: its arguments.
        rows: how many rows it has, R.
        first: the row at which the conditional samples begin.
        samples: how many they are, B.
        latents: (B, ...), theirs, in whatever shape the denoiser gets them, without what is beside
            them (masks, references).
        size: height and width of the finest grid of attention.
    """

    call: DenoiserCall
    rows: int
    first: int
    samples: int
    latents: Tensor
    size: tuple[int, int]


class Family(ABC):
    """Knows one kind of denoiser inside a pipeline, which is never changed here.

    Attributes:
        component: the denoiser's name in a pipeline.
        sample: the denoiser's argument that holds the latents.
        text: the denoiser's argument that holds the text.
        whole: arguments that do not have one entry a row.
        listed: arguments that are lists with one entry a row.
        conditional: where the conditional samples of a call are: "last", "first", or "all" where
            each branch of guidance is a call of its own, the conditional one first.
    """

    component: ClassVar[str]
    sample: str
    text: str
    whole: Collection[str] = ()
    listed: Collection[str] = ()
    conditional: str

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    @cached_property
    def called(self) -> nn.Module:
        """What the pipeline calls: the denoiser, or torch.compile's wrapper of it."""
        return getattr(self.pipe, self.component)

    @cached_property
    def denoiser(self) -> nn.Module:
        """The denoiser itself."""
        return getattr(self.called, "_orig_mod", self.called)

    def is_replaced(self) -> bool:
        """Whether the pipeline has another denoiser by now."""
        return getattr(self.pipe, self.component) is not self.called

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """Every layer in which the image attends to text, in the order of a pass."""

    def self_layers(self) -> tuple[Layer, ...]:
        """Layers in which the image attends to itself; by default those that attend to text."""
        return self.layers()

    @property
    def is_joint(self) -> bool:
        """Whether the image attends to text and to itself in one softmax."""
        return False

    def objective_factor(self) -> int:
        """The resolution that objectives read."""
        return 1

    @property
    def choices(self) -> Mapping[str, str]:
        """Published choices of layers: a name to a regular expression of modules' names."""
        return {}

    @abstractmethod
    def region(self, opened: Opened, call: AttentionCall) -> Region:
        """The conditional samples' image queries and text columns in an attention call."""

    def self_region(self, opened: Opened, call: AttentionCall) -> Region:
        """Their image queries by the image's own keys."""
        region = self.region(opened, call)
        return Region(region.first, region.queries, region.queries)

    @abstractmethod
    def size(self, call: DenoiserCall) -> tuple[int, int]:
        """Height and width of the finest grid of attention."""

    @abstractmethod
    def encoders(self) -> tuple[Encoder, ...]:
        """The text encoders that reach attention, first the one whose tokens subjects name."""

    @abstractmethod
    def check(self) -> None:
        """Refuse what cannot be nursed.

        Raises:
            UnsupportedPipeline: by the name of what is in the way.
        """

    # The four verbs below hold for tensors with one entry a row; a family with lists overrides the
    # first two.

    def samples_of(self, call: DenoiserCall) -> Tensor:
        """All rows of the denoiser's input, (R, ...)."""
        return call[self.sample]

    def with_samples(self, call: DenoiserCall, samples: Tensor) -> DenoiserCall:
        """The call with other rows."""
        return call.replace(self.sample, samples)

    def place_of(self, call: DenoiserCall) -> tuple[slice, ...]:
        """Where the latents are in a row, its leading dimension included."""
        return (slice(None),)

    def text_of(self, call: DenoiserCall, first: int, samples: int) -> Any:
        """The conditional samples' text, (B, T, width) or a list of (T, width)."""
        return call[self.text][first : first + samples]

    def columns_of(self, call: DenoiserCall) -> int:
        """How many text columns the call has, T."""
        text = call[self.text]
        return text.shape[1] if isinstance(text, Tensor) else max(len(one) for one in text)

    def valid_of(self, call: DenoiserCall, row: int) -> int | None:
        """How many text columns of a row are not padding, or None where it cannot be said."""
        return None

    def timestep(self, args: tuple, keywords: Mapping[str, Any]) -> Any:
        """The timestep of a call in the scheduler's unit, or None where it has another."""
        return None

    def open(
        self, args: tuple, keywords: Mapping[str, Any], samples: int | None, prompts: int
    ) -> Opened:
        """Look at a real call.

        Args:
            args: the call's.
            keywords: the call's.
            samples: how many images are sampled, or None where that must be read from the call.
            prompts: how many prompts there are.

        Raises:
            UnsupportedPipeline: the rows are not those of so many prompts.
        """
        call = DenoiserCall.of(self.denoiser, args, keywords)
        rows = self.samples_of(call)
        if samples is None:
            samples = len(rows) // self._branches(call, rows, prompts)
        branches, rest = divmod(len(rows), samples)
        if rest or branches > 2 or (branches == 2 and self.conditional == "all"):
            raise UnsupportedPipeline(
                f"The denoiser got {len(rows)} rows in a batch of {samples}: "
                f"{branches} branches. Nursing knows one or two (with and without the prompt). "
                "Use the text-to-image pipeline of the model, without guidance of other kinds."
            )
        first = len(rows) - samples if self.conditional == "last" else 0
        latents = rows[first : first + samples][self.place_of(call)]
        return Opened(call, len(rows), first, samples, latents, self.size(call))

    def _branches(self, call: DenoiserCall, rows: Tensor, prompts: int) -> int:
        """How many copies of the same latents a call has, for different texts."""
        if self.conditional == "all":
            return 1
        values = rows[self.place_of(call)].nan_to_num()
        for branches in (3, 2):
            if len(rows) % (branches * prompts):
                continue
            each = len(rows) // branches
            alike = all(
                torch.equal(values[:each], values[i * each : (i + 1) * each])
                for i in range(1, branches)
            )
            texts = [self.text_of(call, i * each, each) for i in range(branches)]
            if alike and not same(texts[0], texts[-1]):
                return branches
        if len(rows) % prompts:
            raise UnsupportedPipeline(
                f"The denoiser got {len(rows)} rows, which are not a multiple of {prompts}, "
                "the number of prompts. Give nurse the prompts that the pipeline gets."
            )
        return 1

    def passing(self, opened: Opened, latents: Tensor, samples: list[int]) -> DenoiserCall:
        """The call for chosen conditional samples with other latents (K, ...)."""
        rows = [opened.first + sample for sample in samples]
        part = opened.call.take(rows, opened.rows, self.whole, self.listed)
        whole = self.samples_of(part)
        place = self.place_of(opened.call)
        moved = whole.clone()
        moved[place] = latents.to(whole.dtype)
        return self.with_samples(part, moved)

    def shifted(self, opened: Opened, shift: Tensor) -> DenoiserCall:
        """The call with a shift (B, ...) of the latents added in every branch."""
        rows = self.samples_of(opened.call).clone()
        place = self.place_of(opened.call)
        several = shift.repeat(len(rows) // len(shift), *(1,) * (shift.ndim - 1))
        rows[place] = (rows[place] + several).to(rows.dtype)
        return self.with_samples(opened.call, rows)

    def chosen(self, choice: str) -> tuple[Layer, ...]:
        """The layers of a choice, in the order of a pass.

        Args:
            choice: "default", one of `choices`, or a pattern of names with * and ?.

        Raises:
            ValueError: it chooses none.
        """
        layers = self.layers()
        if choice == "default" and "default" not in self.choices:
            return layers
        pattern = self.choices.get(choice, fnmatch.translate(choice))
        found = tuple(layer for layer in layers if re.match(pattern, layer.name))
        if not found:
            named = ", ".join(["default", *(n for n in self.choices if n != "default")])
            raise ValueError(
                f"layers {choice!r} fits no attention layer of {type(self.denoiser).__name__}. "
                f"Give {named}, or a pattern of names, such as '{layers[0].name[:-1]}*'."
            )
        return found
