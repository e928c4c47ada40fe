"""Transformers: joint attention over image and text, or cross-attention, by one row each.

Shapes: R rows of a call, B conditional samples, N image queries, T text columns, L keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall, Region
from adhere.families.base import Family, Layer, Opened
from adhere.families.call import DenoiserCall
from adhere.families.encoder import Encoder
from adhere.families.switches import refuse_switches


@dataclass(frozen=True)
class Row:
    """The facts of one transformer class.

    Attributes:
        layers: regular expression of the names of modules that attend to text.
        order: "image text" or "text image", the order of the sequence; "cross" where queries are
            the image's and keys the text's.
        conditional: see `Family.conditional`.
        size: from the denoiser and a call, height and width of the grid of image queries.
        encoders: from a pipeline, the text encoders that reach attention.
        sample: the argument that holds the latents.
        text: the argument that holds the text.
        whole: arguments that do not have one entry a row.
        channels: from the denoiser, how many channels latents have in a call; further ones are
            masks or images.
        is_packed: whether latents come as (R, N, channels), references behind them.
        leading: keys in front of the text's.
        image_multiple: image rows are padded to a multiple of so many.
        valid: from a call and a row, how many text columns are not padding.
        listed: arguments that are lists with one entry a row.
        packs_text: whether padding of the text is not among the keys at its place, so that each
            row has as many text keys as it has tokens.
        text_start: from a call and a row, how many other keys come before the text's.
        choices: published choices of layers.
        check: refuses pipelines by further rules.
        self_layers: of layers with order "cross", regular expression of the names of modules in
            which the image attends to itself by a softmax; None where it has none such.
    """

    layers: str
    order: str
    conditional: str
    size: Callable[[Any, DenoiserCall], tuple[int, int]]
    encoders: Callable[[Any], tuple[Encoder, ...]]
    sample: str = "hidden_states"
    text: str = "encoder_hidden_states"
    whole: frozenset[str] = frozenset()
    channels: Callable[[Any], int] | None = None
    is_packed: bool = False
    leading: int = 0
    image_multiple: int = 1
    valid: Callable[[DenoiserCall, int], int] | None = None
    listed: frozenset[str] = frozenset()
    packs_text: bool = False
    text_start: Callable[[DenoiserCall, int], int] | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Any], None] | None = None
    self_layers: str | None = None


class JointFamily(Family):
    """Knows a transformer by its row of the table."""

    component = "transformer"

    def __init__(self, pipe: Any, row: Row) -> None:
        super().__init__(pipe)
        self.row = row
        self.sample, self.text = row.sample, row.text
        self.whole, self.listed = row.whole, row.listed
        self.conditional = row.conditional

    def layers(self) -> tuple[Layer, ...]:
        """Every layer in which the image attends to text, in the order of a pass."""
        return self._named(self.row.layers)

    def self_layers(self) -> tuple[Layer, ...]:
        """Joint attention is the image's own too; cross-attention has it in other layers."""
        if self.row.order != "cross":
            return self.layers()
        return () if self.row.self_layers is None else self._named(self.row.self_layers)

    def _named(self, pattern: str) -> tuple[Layer, ...]:
        modules = self.denoiser.named_modules()
        return tuple(
            Layer(name, module) for name, module in modules if re.fullmatch(pattern, name)
        )

    @property
    def is_joint(self) -> bool:
        """Whether the image attends to text and to itself in one softmax."""
        return self.row.order != "cross"

    @property
    def choices(self) -> Mapping[str, str]:
        """Published choices, and all of them."""
        return {"all": "", **self.row.choices}

    def size(self, call: DenoiserCall) -> tuple[int, int]:
        """Height and width of the grid of image queries."""
        return self.row.size(self.denoiser, call)

    def encoders(self) -> tuple[Encoder, ...]:
        """Those that reach attention."""
        return self.row.encoders(self.pipe)

    def region(self, opened: Opened, call: AttentionCall) -> Region:
        """Image rows by text columns."""
        pixels, total = opened.size[0] * opened.size[1], self.columns_of(opened.call)
        queries, keys = [], []
        for sample in range(opened.samples):
            start, stop = self._text(opened.call, opened.first + sample, pixels, total)
            keys.append(slice(start, stop))
            image = stop if self.row.order == "text image" else 0
            queries.append(slice(image, image + pixels))
        return Region(opened.first, tuple(queries), tuple(keys), total)

    def _text(self, call: DenoiserCall, row: int, pixels: int, total: int) -> tuple[int, int]:
        """The keys of a row's text: first and last."""
        facts, count = self.row, total
        if facts.packs_text:
            count = self.valid_of(call, row) or total
        if facts.order == "cross":
            start = 0
        elif facts.order == "text image":
            start = facts.leading
        else:
            start = -(-pixels // facts.image_multiple) * facts.image_multiple
        if facts.text_start is not None:
            start += facts.text_start(call, row)
        return start, start + count

    def valid_of(self, call: DenoiserCall, row: int) -> int | None:
        """How many text columns of a row are not padding."""
        if self.text in self.listed:
            return len(call[self.text][row])
        return None if self.row.valid is None else self.row.valid(call, row)

    def place_of(self, call: DenoiserCall) -> tuple[slice, ...]:
        """The first channels, and of packed latents the first tokens."""
        config = self.denoiser.config
        if self.row.channels is not None:
            channels = self.row.channels(self.denoiser)
        else:
            outputs = getattr(config, "out_channels", None)
            channels = min(config.in_channels, outputs or config.in_channels)  # type: ignore[attr-defined]
        if self.row.is_packed:
            height, width = self.size(call)
            return slice(None), slice(0, height * width), slice(0, channels)
        return slice(None), slice(0, channels)

    def samples_of(self, call: DenoiserCall) -> Tensor:
        """All rows of the denoiser's input; a list is stacked."""
        rows = call[self.sample]
        return torch.stack(list(rows)) if self.sample in self.listed else rows

    def with_samples(self, call: DenoiserCall, samples: Tensor) -> DenoiserCall:
        """The call with other rows, in a list where it had one."""
        is_list = self.sample in self.listed
        return call.replace(self.sample, list(samples.unbind()) if is_list else samples)

    def check(self) -> None:
        """Refuse what cannot be nursed."""
        if self.row.check is not None:
            self.row.check(self.pipe)
        self.encoders()
        refuse_switches(self.pipe, self.denoiser)
