"""What edits of attention do to the layers of a call: the real one, or a nursing pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from adhere.attention.call import AttentionCall
from adhere.attention.edits import LayerEdit
from adhere.families import Family, Layer, Opened
from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing.context import Context


@dataclass
class Editing:
    """The edits of one run, and what they keep.

    Attributes:
        family: of the pipeline.
        editors: in their order.
        reading: the newest of what edits asked to see.
    """

    family: Family
    editors: Sequence[AttentionMethod]
    reading: Reading | None = None
    _memories: dict[tuple[int, str], dict[str, Tensor]] = field(default_factory=dict)
    _shared: dict[tuple, dict[Any, Any]] = field(default_factory=dict)

    def text_layers(self, active: Sequence[int]) -> dict[str, Layer]:
        """The layers in which any of the active edits changes how the image attends to text."""
        return self._reached(active, self.family.layers())

    def self_layers(self, active: Sequence[int]) -> dict[str, Layer]:
        """Those in which any of them changes how the image attends to itself."""
        own = [i for i in active if self.editors[i].edits_self_attention]
        return self._reached(own, self.family.self_layers()) if own else {}

    def _reached(self, active: Sequence[int], layers: Sequence[Layer]) -> dict[str, Layer]:
        return {
            layer.name: layer for layer in layers if any(self._acts_on(i, layer) for i in active)
        }

    def _acts_on(self, index: int, layer: Layer) -> bool:
        return self.editors[index].all_layers or layer.factor == self.family.objective_factor()

    def of_text(
        self, at: Place, call: AttentionCall, layer: Layer, active: Sequence[int]
    ) -> list[LayerEdit]:
        """What the active edits do to how the image attends to text in one layer."""
        own = [index for index in active if self._acts_on(index, layer)]
        return [
            self._edit(self.editors[index], self._context(at, call, layer, index)) for index in own
        ]

    def _edit(self, method: AttentionMethod, given: LayerContext) -> LayerEdit:
        bias = method.bias(given)
        if bias is not None:
            is_mutual = method.is_mutual and self.family.is_joint
            return LayerEdit(bias=bias.to(given.device), is_mutual=is_mutual)
        return LayerEdit(weights=lambda scores: method.probabilities(scores, given))

    def with_self(
        self, at: Place, call: AttentionCall, layer: Layer, active: Sequence[int]
    ) -> AttentionCall:
        """The call with what the active edits add to the image's attention to itself."""
        for index in active:
            method = self.editors[index]
            if method.edits_self_attention and self._acts_on(index, layer):
                bias = method.self_bias(self._context(at, call, layer, index))
                if bias is not None:
                    call = call.biased(self.family.self_region(at.opened, call), bias)
        return call

    def with_text(
        self, at: Place, call: AttentionCall, layer: Layer, active: Sequence[int]
    ) -> AttentionCall:
        """The call with what the active edits add to its attention to text, by biases alone."""
        for index in active:
            if self._acts_on(index, layer):
                method, region = self.editors[index], self.family.region(at.opened, call)
                bias = method.bias(self._context(at, call, layer, index))
                if bias is not None:
                    call = call.biased(region, bias)
                    if method.is_mutual and self.family.is_joint:
                        call = call.biased(region.turned(), bias.transpose(2, 3))
        return call

    def _context(self, at: Place, call: AttentionCall, layer: Layer, index: int) -> LayerContext:
        """What an edit is told about one layer."""
        height, width = at.opened.size
        samples = range(len(at.context.placed)) if at.samples is None else at.samples
        key = index, None if at.samples is None else tuple(at.samples)
        columns = at.context.columns
        return LayerContext(
            layer=layer.name,
            step=at.step,
            size=(-(-height // layer.factor), -(-width // layer.factor)),
            subjects=[at.context.placed[sample].placed for sample in samples],
            columns=columns if at.samples is None else columns.take(at.samples),
            heads=call.heads,
            device=call.query.device,
            memory=self._memories.setdefault((index, layer.name), {}),
            shared=self._shared.setdefault(key, {}),
            reading=self.reading,
            relations=[at.context.placed[sample].relations for sample in samples],
            is_objective=layer.factor == self.family.objective_factor(),
            is_nursing=at.samples is not None,
        )


@dataclass(frozen=True)
class Place:
    """Which call is edited.

    Attributes:
        context: of the run.
        opened: the call.
        step: where the loop is.
        samples: in a nursing pass, which of the samples it has; None for the real call.
    """

    context: Context
    opened: Opened
    step: Step
    samples: Sequence[int] | None = None


@dataclass(frozen=True)
class Bound:
    """The edits of a method that acts in its own nursing passes.

    Attributes:
        editing: of the run.
        active: which of its edits.
        step: where the loop is.
    """

    editing: Editing
    active: Sequence[int]
    step: Step

    @property
    def layers(self) -> dict[str, Layer]:
        """All layers that are edited."""
        return self.editing.text_layers(self.active) | self.editing.self_layers(self.active)

    def edited(
        self,
        context: Context,
        opened: Opened,
        samples: Sequence[int],
        name: str,
        call: AttentionCall,
    ) -> AttentionCall:
        """A pass's call with the edits in it."""
        at = Place(context, opened, self.step, samples)
        own, text = self.editing.self_layers(self.active), self.editing.text_layers(self.active)
        if name in own:
            call = self.editing.with_self(at, call, own[name], self.active)
        if name in text:
            call = self.editing.with_text(at, call, text[name], self.active)
        return call
