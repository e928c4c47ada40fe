"""A tap on attention: sees the real `scaled_dot_product_attention` call of chosen layers.

Nothing of the model is replaced. Around each chosen attention module a function mode is open, so
that the processor's own call passes by, whatever the processor is (LoRA, fused projections,
IP-Adapter). The mode lives inside the module's call, so that it is there again when gradient
checkpointing runs a block a second time.

Shapes: B samples, N pixels, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

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

    def scores(self, start: int = 0) -> Tensor:
        """Scaled scores before the softmax of the samples from `start` on, float32."""
        query, key = self.query[start:].float(), self.key[start:].float()
        scale = 1 / math.sqrt(query.shape[-1]) if self.scale is None else self.scale
        scores = (query * scale) @ key.transpose(-1, -2)
        if self.attn_mask is None:
            return scores
        mask = self.attn_mask
        mask = mask[start:] if mask.shape[0] == len(self.query) else mask
        if mask.dtype is torch.bool:
            return scores.masked_fill(~mask, float("-inf"))
        return scores + mask.float()

    def proceed(self, attn_mask: Tensor | None = None) -> Tensor:
        """The call as it was made, or with another mask."""
        return F.scaled_dot_product_attention(
            self.query,
            self.key,
            self.value,
            attn_mask=self.attn_mask if attn_mask is None else attn_mask,
            dropout_p=self.dropout_p,
            is_causal=self.is_causal,
            scale=self.scale,
            **self.others,  # type: ignore[arg-type]
        )


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

    Args:
        layers: attention modules by name.
        handler: called with the layer's name and its `AttentionCall`; its result is the call's.
    """
    open_modes: list[_Mode] = []

    def enter(layer: str) -> Callable:
        def hook(*_: object) -> None:
            mode = _Mode(layer, handler)
            mode.__enter__()
            open_modes.append(mode)

        return hook

    def leave(*_: object) -> None:
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


class _LastLayerRead(Exception):
    """Ends a forward pass that has given all that was asked of it."""


def record(
    layers: Mapping[str, nn.Module], run: Callable[[], object]
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Cross-attention probabilities of layers in one pass, which ends after the last of them.

    Args:
        layers: attention modules by name, in the order in which the pass meets them.
        run: runs the pass.

    Returns:
        Per layer the probabilities (B, N, T), mean over heads, float32; and its heads.

    Raises:
        NoAttentionRecorded: a layer never called `scaled_dot_product_attention`.
    """
    probabilities: dict[str, Tensor] = {}
    heads: dict[str, int] = {}
    last = list(layers)[-1]

    def read(layer: str, call: AttentionCall) -> Tensor:
        rows = call.scores().softmax(-1).mean(1)
        is_repeated = layer in probabilities
        if not is_repeated:
            probabilities[layer], heads[layer] = rows, call.query.shape[1]
            if layer == last:
                raise _LastLayerRead
        return call.proceed()

    with tapped(layers, read):
        try:
            run()
        except _LastLayerRead:
            pass
    missing = [layer for layer in layers if layer not in probabilities]
    if missing:
        raise NoAttentionRecorded(
            f"{len(missing)} of {len(layers)} layers never called scaled_dot_product_attention "
            f"(first: {missing[0]}); nursing reads that call, so undo what replaces it: "
            "pipe.disable_attention_slicing(), pipe.reset_attention_backend() where it exists, "
            "or pipe.unet.set_default_attn_processor()."
        )
    return probabilities, heads
