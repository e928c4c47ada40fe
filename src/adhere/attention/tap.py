"""A tap on attention: sees the real `scaled_dot_product_attention` call of chosen layers.

Nothing of the model is replaced. Around each chosen attention module a function mode is open, so
that the processor's own call passes by, whatever the processor is (LoRA, fused projections,
IP-Adapter). The mode lives inside the module's call, so that it is there again when gradient
checkpointing runs a block a second time.

Shapes: B samples, N pixels, T tokens.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from adhere.errors import NoAttentionRecorded

# Takes the layer's name and the arguments of the attention call; gives its result.
Handler = Callable[[str, "AttentionCall"], Tensor]


class AttentionCall:
    """One call of `scaled_dot_product_attention` with its arguments by name.

    Attributes:
        query: (B, heads, N, channels).
        key: (B, heads, T, channels).
        value: (B, heads, T, channels).
    """

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **others: object,
    ) -> None:
        self.query, self.key, self.value = query, key, value
        self.attn_mask, self.dropout_p, self.is_causal = attn_mask, dropout_p, is_causal
        self.scale, self.others = scale, others

    @property
    def heads(self) -> int:
        """How many heads the layer has."""
        return self.query.shape[1]

    @property
    def factor(self) -> float:
        """What scores are multiplied by."""
        return 1 / math.sqrt(self.query.shape[-1]) if self.scale is None else self.scale

    def mask(self, start: int = 0) -> Tensor | None:
        """What is added to the scores of the samples from `start` on, or None."""
        mask = self.attn_mask
        if mask is None:
            return None
        mask = mask[start:] if mask.shape[0] == len(self.query) else mask
        if mask.dtype is torch.bool:
            return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -math.inf)
        return mask

    def scores(self, start: int = 0) -> Tensor:
        """Scaled scores before the softmax of the samples from `start` on, float32."""
        return _scores(self.query[start:], self.key[start:], self.mask(start), self.factor)

    def mean_probabilities(self, start: int = 0) -> Tensor:
        """Probabilities of the samples from `start` on, mean over heads, (B, N, T), float32."""
        query, key = self.query[start:], self.key[start:]
        result = _MeanProbabilities.apply(query, key, self.mask(start), self.factor)
        assert isinstance(result, Tensor)
        return result

    def proceed(self, attn_mask: Tensor | None = None, stop: int | None = None) -> Tensor:
        """The call as it was made, or with another mask, or of the samples before `stop` alone."""
        mask = self.attn_mask if attn_mask is None else attn_mask
        if mask is not None and mask.shape[0] == len(self.query):
            mask = mask[:stop]
        return F.scaled_dot_product_attention(
            self.query[:stop],
            self.key[:stop],
            self.value[:stop],
            attn_mask=mask,
            dropout_p=self.dropout_p,
            is_causal=self.is_causal,
            scale=self.scale,
            **self.others,  # type: ignore[arg-type]
        )


def uncast(device: torch.device) -> AbstractContextManager:
    """Inside the block tensors keep their precision, also where `torch.autocast` is on."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, factor: float) -> Tensor:
    """Scaled scores, (B, heads, N, T), in at least single precision."""
    precision = torch.promote_types(query.dtype, torch.float32)
    with uncast(query.device):
        scores = (query.to(precision) * factor) @ key.to(precision).transpose(-1, -2)
        return scores if mask is None else scores + mask.to(precision)


class _MeanProbabilities(torch.autograd.Function):
    """The mean over heads of the softmax of the scores.

    Heads' probabilities are made a second time for the gradient, so that between the passes
    nothing is held but query and key, which attention holds anyway.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, query: Tensor, key: Tensor, mask: Tensor | None, factor: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, mask)
        ctx.factor = factor
        return _scores(query, key, mask, factor).softmax(-1).mean(1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: D102
        query, key, mask = ctx.saved_tensors
        probabilities = _scores(query, key, mask, ctx.factor).softmax(-1)
        of_rows = probabilities * (slope / query.shape[1]).unsqueeze(1)
        of_scores = of_rows - probabilities * of_rows.sum(-1, keepdim=True)
        of_scores *= ctx.factor
        of_query = of_key = None
        if ctx.needs_input_grad[0]:
            of_query = (of_scores @ key.to(of_scores.dtype)).to(query.dtype)
        if ctx.needs_input_grad[1]:
            of_key = (of_scores.transpose(-1, -2) @ query.to(of_scores.dtype)).to(key.dtype)
        return of_query, of_key, None, None


class _Mode(TorchFunctionMode):
    """Hands the first attention call inside a module to a handler; later ones pass.

    A second call in one module is that of an adapter beside the text (IP-Adapter).
    """

    def __init__(self, layer: str, handler: Handler) -> None:
        super().__init__()
        self.layer, self.handler, self.is_spent = layer, handler, False

    def __torch_function__(
        self,
        func: Callable,
        types: object,
        args: tuple = (),
        kwargs: Mapping | None = None,
    ) -> object:
        if func is F.scaled_dot_product_attention and not self.is_spent:
            self.is_spent = True
            return self.handler(self.layer, AttentionCall(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


@contextmanager
def tapped(layers: Mapping[str, nn.Module], handler: Handler) -> Iterator[None]:
    """Give each layer's attention call to a handler for the length of the block.

    Only calls of the thread that opens the block are handed over, and what gradient checkpointing
    runs again for its gradients: another pipeline may use the same layers in a thread of its own.

    Args:
        layers: attention modules by name.
        handler: called with the layer's name and its `AttentionCall`; its result is the call's.
    """
    open_modes: list[_Mode] = []
    owner = threading.get_ident()

    def enter(layer: str) -> Callable:
        def hook(*_: object) -> None:
            if _runs_for(owner):
                mode = _Mode(layer, handler)
                mode.__enter__()
                open_modes.append(mode)

        return hook

    def leave(*_: object) -> None:
        if _runs_for(owner) and open_modes:
            open_modes.pop().__exit__(None, None, None)

    handles = []
    try:
        for name, module in layers.items():
            handles.append(module.register_forward_pre_hook(enter(name)))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
        # An interrupt inside attention leaves its module without running the hooks.
        while open_modes:
            leave()


def _runs_for(owner: int) -> bool:
    """Whether this thread is the owner, or computes gradients, as a device's thread does."""
    return threading.get_ident() == owner or torch._C._current_graph_task_id() != -1


def check_read(layers: Collection[str], read: Collection[str]) -> None:
    """Refuse a pass in which attention was out of the taps' sight.

    Raises:
        NoAttentionRecorded: one of the layers is not among those read.
    """
    missing = [layer for layer in layers if layer not in read]
    if missing:
        raise NoAttentionRecorded(
            f"{len(missing)} of {len(layers)} layers never called scaled_dot_product_attention "
            f"(first: {missing[0]}); nursing sees that call, so undo what replaces it: "
            "pipe.disable_attention_slicing(), pipe.disable_xformers_memory_efficient_attention()"
            ", or pipe.unet.set_attn_processor(AttnProcessor2_0())."
        )


class _LastLayerRead(Exception):
    """Ends a forward pass that has given all that was asked of it."""


Record = Callable[[Callable[[], object]], tuple[dict[str, Tensor], dict[str, int]]]


@contextmanager
def recording(layers: Mapping[str, nn.Module]) -> Iterator[Record]:
    """Read the cross-attention of layers in passes that end after the last of them.

    Gradients are to be taken inside the block too: gradient checkpointing runs parts of the pass
    once more, and must find the same taps.

    Args:
        layers: attention modules by name, in the order in which a pass meets them.

    Yields:
        A function that takes a function running the pass, and gives for each layer the
        probabilities (B, N, T), mean over heads, float32; and its heads. It raises
        `NoAttentionRecorded` when a layer never called `scaled_dot_product_attention`.
    """
    probabilities: dict[str, Tensor] = {}
    heads: dict[str, int] = {}
    last = list(layers)[-1]

    def read(layer: str, call: AttentionCall) -> Tensor:
        rows = call.mean_probabilities()
        is_repeated = layer in probabilities
        if not is_repeated:
            probabilities[layer], heads[layer] = rows, call.heads
            if layer == last:
                raise _LastLayerRead
        return call.proceed()

    def record(run: Callable[[], object]) -> tuple[dict[str, Tensor], dict[str, int]]:
        probabilities.clear()
        try:
            run()
        except _LastLayerRead:
            pass
        check_read(layers, probabilities)
        return dict(probabilities), dict(heads)

    with tapped(layers, read):
        yield record
