"""A tap on attention: sees the real `scaled_dot_product_attention` call of chosen layers.

Nothing of the model is replaced. Around each chosen attention module a function mode is open, so
that the processor's own call passes by, whatever the processor is (LoRA, fused projections,
IP-Adapter). The mode lives inside the module's call, so that it is there again when gradient
checkpointing runs a block a second time.

Shapes: B samples, N image queries, T text columns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from adhere.attention.call import AttentionCall
from adhere.errors import NoAttentionRecorded

# Takes the layer's name and the arguments of the attention call; gives its result.
Handler = Callable[[str, AttentionCall], Tensor]
# Takes the layer's name and the call; gives what is kept of it.
Reader = Callable[[str, AttentionCall], Any]
# Takes the layer's name and the call; gives the call to be made instead.
Editor = Callable[[str, AttentionCall], AttentionCall]


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
    Processors that are set to another attention backend use PyTorch's inside the block.

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
    with _native(layers.values()):
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


@contextmanager
def _native(modules: Collection[nn.Module]) -> Iterator[None]:
    """Inside the block the modules' processors call PyTorch's own attention."""
    former = []
    for module in modules:
        processor = getattr(module, "processor", None)
        if processor is not None and hasattr(type(processor), "_attention_backend"):
            former.append((processor, vars(processor).get("_attention_backend", _UNSET)))
    try:
        for processor, backend in former:
            if not _is_native(processor, backend):
                processor._attention_backend = "native"
        yield
    finally:
        for processor, backend in former:
            if backend is _UNSET:
                vars(processor).pop("_attention_backend", None)
            else:
                processor._attention_backend = backend


_UNSET = object()


def _is_native(processor: Any, backend: object) -> bool:
    """Whether a processor would call PyTorch's attention by itself."""
    if backend is _UNSET:
        backend = processor._attention_backend
    if backend is None:
        from diffusers.models.attention_dispatch import _AttentionBackendRegistry

        backend = _AttentionBackendRegistry.get_active_backend()[0]
    name = str(getattr(backend, "value", backend))
    return name == "native" or name.startswith("_native_")


def check_read(layers: Collection[str], read: Collection[str]) -> None:
    """Refuse a pass in which attention was out of the taps' sight.

    Raises:
        NoAttentionRecorded: one of the layers is not among those read.
    """
    missing = [layer for layer in layers if layer not in read]
    if missing:
        raise NoAttentionRecorded(
            f"{len(missing)} of {len(layers)} layers never called scaled_dot_product_attention "
            f"(first: {missing[0]}). Undo what replaces that call: "
            "pipe.disable_attention_slicing(), pipe.disable_xformers_memory_efficient_attention(),"
            " the denoiser's reset_attention_backend(), or set_attn_processor(AttnProcessor2_0())."
        )


class _LastLayerRead(Exception):
    """Raised to stop a pass after the last layer that is read."""


Record = Callable[[Callable[[], object]], dict[str, Any]]


@contextmanager
def recording(
    layers: Mapping[str, nn.Module], read: Reader, edit: Editor | None = None
) -> Iterator[Record]:
    """Read the attention of layers in passes that stop after the last of them.

    Gradients are to be taken inside the block too: gradient checkpointing runs parts of the pass
    once more, and must find the same taps.

    Args:
        layers: attention modules by name, in the order in which a pass meets them.
        read: gives what is kept of a layer's call.
        edit: gives the call that a layer makes instead of its own; it is that one that is read.

    Yields:
        A function that takes a function running the pass, and gives what `read` gave for each
        layer. It raises `NoAttentionRecorded` when a layer never called
        `scaled_dot_product_attention`.
    """
    found: dict[str, Any] = {}
    last = list(layers)[-1]

    def keep(layer: str, call: AttentionCall) -> Tensor:
        call = call if edit is None else edit(layer, call)
        kept = read(layer, call)
        if layer not in found:
            found[layer] = kept
            if layer == last:
                raise _LastLayerRead
        return call.proceed()

    def record(run: Callable[[], object]) -> dict[str, Any]:
        found.clear()
        try:
            run()
        except _LastLayerRead:
            pass
        check_read(layers, found)
        return dict(found)

    with tapped(layers, keep):
        yield record
