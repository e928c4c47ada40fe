"""Edits of attention inside ComfyUI's models, by the override that they all call.

Shapes: R rows of a call, B of them conditional, A heads, N image queries, T text columns, C
channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from adhere.attention.call import AttentionCall, Region
from adhere.attention.edits import LayerEdit, attend
from adhere.errors import UnsupportedPipeline
from adhere.families import Placed, batched
from adhere.families.encoder import CLIP_COLUMNS
from adhere.integrations.comfyui.calls import (
    check_columns,
    conditional,
    objective_factor,
    step_of,
    unet_of,
)
from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.schedule import Step

OVERRIDE = "optimized_attention_override"


@dataclass
class Editor:
    """What one node does to the attention of a model.

    Attributes:
        method: that edits.
        prompt: of the positive conditioning.
        strength: 0 leaves attention as it is, 1 edits it as the method says.
        objective: the resolution that objectives read.
        timestep: from a sigma to the timestep.
        former: the override that was there before, which is called in turn.
    """

    method: AttentionMethod
    prompt: Placed
    strength: float
    objective: int
    timestep: Callable[[Tensor], Tensor]
    former: Callable | None = None
    _next: tuple | None = None
    _sigmas: Tensor | None = None
    _index: int = 0
    _memories: dict[str, dict] = field(default_factory=dict)
    _shared: dict = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any, method: AttentionMethod, prompt: Placed, strength: float) -> Editor:
        """An editor for one of ComfyUI's models.

        Raises:
            UnsupportedPipeline: the model is no U-Net, or the method reads a pass of its own.
        """
        denoiser = unet_of(model)
        if type(method).reads is not AttentionMethod.reads:
            raise UnsupportedPipeline(
                f"{method.name} reads the model's attention before it edits, which this node does "
                "not give. Choose another method."
            )
        sampling = model.get_model_object("model_sampling")
        return cls(method, prompt, strength, objective_factor(denoiser), sampling.timestep)

    def put_into(self, model: Any) -> Any:
        """A copy of the model whose attention is edited; at strength 0 the model itself."""
        if not self.strength or not self.method.edits([self.prompt.placed]):
            return model
        changed = model.clone()
        options = changed.model_options["transformer_options"]
        self.former = options.get(OVERRIDE)
        options[OVERRIDE] = self
        changed.set_model_attn2_patch(self.before_text)
        return changed

    def before_text(self, query: Tensor, key: Tensor, value: Tensor, options: dict) -> tuple:
        """Called before each cross-attention, which is the next attention call of its block."""
        self._next = _place(options)
        return query, key, value

    def __call__(self, func: Callable, *args: Any, **keywords: Any) -> Tensor:
        """One attention call, of which the conditional rows are edited.

        Args:
            func: ComfyUI's own attention.
            args: query (R, N, A * C) or (R, A, N, C), key, value, heads, and perhaps a mask.
            keywords: further arguments.
        """
        options = keywords.get("transformer_options") or {}
        is_text = self._next is not None and self._next == _place(options)
        self._next = None
        if is_text:
            return self._edited(func, options, *args, **keywords)
        return self._proceed(func, *args, **keywords)

    def _proceed(self, func: Callable, *args: Any, **keywords: Any) -> Tensor:
        if self.former is not None:
            return self.former(func, *args, **keywords)
        return func(*args, **keywords)

    def _edited(
        self,
        func: Callable,
        options: dict,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        heads: int,
        mask: Tensor | None = None,
        **keywords: Any,
    ) -> Tensor:
        step = self._step(options)
        rows = conditional(options, len(query))
        is_split = keywords.get("skip_reshape", False)
        pixels = query.shape[2 if is_split else 1]
        context = self._context(options, step, rows, pixels, heads, query.device)
        acts = context is not None and (self.method.all_layers or context.is_objective)
        if context is None or not acts or not self.method.is_active(step):
            return self._proceed(func, query, key, value, heads, mask=mask, **keywords)
        check_columns(key.shape[2 if is_split else 1])
        bias = self.method.bias(context)
        if bias is not None:
            added = bias.new_zeros((len(query), *bias.shape[1:]))
            added[rows] = self.strength * bias
            added = added.expand(-1, -1, pixels, -1).to(query)
            added = added[:, 0] if added.shape[1] == 1 else added
            whole = added if mask is None else mask + added
            return self._proceed(func, query, key, value, heads, mask=whole, **keywords)
        result = self._proceed(func, query, key, value, heads, mask=mask, **keywords)

        def by_head(part: Tensor) -> Tensor:
            own = part[rows]
            return own if is_split else own.unflatten(-1, (heads, -1)).transpose(1, 2)

        def weights(scores: Tensor) -> Tensor:
            return torch.lerp(
                scores.softmax(-1), self.method.probabilities(scores, context), self.strength
            )

        call = AttentionCall(by_head(query), by_head(key), by_head(value))
        region = Region.of(0, len(call.query), slice(None), slice(None))
        edited = attend(call, region, [LayerEdit(weights=weights)]).result
        if not keywords.get("skip_output_reshape", False):
            edited = edited.transpose(1, 2).flatten(2)
        result = result.clone()
        result[rows] = edited.to(result)
        return result

    def _context(
        self,
        options: dict,
        step: Step,
        rows: slice,
        pixels: int,
        heads: int,
        device: torch.device,
    ) -> LayerContext | None:
        """What a method is told, or None where the call has no conditional rows."""
        samples = rows.stop - rows.start
        if not samples:
            return None
        height, width = options["original_shape"][-2:]
        for factor in (1, 2, 4, 8, 16):
            size = -(-height // factor), -(-width // factor)
            if size[0] * size[1] == pixels:
                break
        else:
            raise UnsupportedPipeline(
                f"A layer attends from {pixels} places, which is no resolution of the latents "
                f"({height} x {width}). Take away nodes that merge tokens or scale layers."
            )
        name = "/".join(map(str, _place(options)))
        return LayerContext(
            layer=name,
            step=step,
            size=size,
            subjects=[self.prompt.placed] * samples,
            columns=batched([self.prompt] * samples, CLIP_COLUMNS).to(device),
            heads=heads,
            device=device,
            memory=self._memories.setdefault(name, {}),
            shared=self._shared,
            relations=[self.prompt.relations] * samples,
            is_objective=factor == self.objective,
        )

    def _step(self, options: dict) -> Step:
        """Where sampling is; what a method remembers ends with its run."""
        sigmas = options["sample_sigmas"]
        step = step_of(sigmas, options["sigmas"][0], self.timestep)
        if sigmas is not self._sigmas or step.index < self._index:
            self._memories, self._shared = {}, {}
        self._sigmas, self._index = sigmas, step.index
        return step


def _place(options: dict) -> tuple:
    """Which layer is running."""
    return (
        *options.get("block", ()),
        options.get("transformer_index"),
        options.get("block_index"),
    )
