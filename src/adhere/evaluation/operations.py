"""Floating-point operations of a denoiser's passes, counted without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adhere.adapters import UNetAdapter
from adhere.adapters.call import DenoiserCall
from adhere.attention.tap import recording
from adhere.methods.base import LatentMethod
from adhere.passes import Reader, frozen
from adhere.subjects import Subject


@dataclass(frozen=True)
class Passes:
    """What one picture took of the denoiser.

    Attributes:
        full: calls by the pipeline, each for all branches.
        nursing: passes for nursing, each of one branch up to the last layer read, with a gradient.
    """

    full: int
    nursing: int = 0


@dataclass
class Operations:
    """Counts operations of one model at one size; each kind of pass is counted once.

    Attributes:
        pipe: the pipeline.
        call: a call of its denoiser by it, with guidance where the run has it.
    """

    pipe: Any
    call: DenoiserCall
    _counts: dict[tuple[str, ...], int] = field(default_factory=dict)

    def of(
        self, passes: Passes, method: LatentMethod | None, subjects: Sequence[Subject] = ()
    ) -> int:
        """Operations of the denoiser for one picture: forward and backward, all branches.

        Args:
            passes: what it took.
            method: what moved latents, if anything did.
            subjects: of the picture.
        """
        total = passes.full * UNetAdapter(self.pipe).branches() * self._count(())
        if method is not None and passes.nursing:
            reader = Reader.of(UNetAdapter(self.pipe), method, [subjects])
            layers = tuple(layer.name for layer in reader.layers)
            total += passes.nursing * self._count(layers)
        return total

    def _count(self, layers: tuple[str, ...]) -> int:
        """Of one row: a whole pass, or one that reads these layers, with the gradient."""
        if layers not in self._counts:
            self._counts[layers] = _counted(self.pipe, self.call, layers)
        return self._counts[layers]


def _counted(pipe: Any, call: DenoiserCall, layers: tuple[str, ...]) -> int:
    adapter = UNetAdapter(pipe)
    with torch.device("meta"):
        denoiser: Any = type(adapter.denoiser).from_config(adapter.denoiser.config)
    denoiser.eval()
    own = call.take(slice(0, 1))
    own = DenoiserCall(_on_meta(own.args), _on_meta(own.keywords))
    modules = {
        layer.name: layer.module
        for layer in UNetAdapter(SimpleNamespace(unet=denoiser)).layers()
        if layer.name in layers
    }
    # Counters know what the plain kernel of attention does, and not every fused one.
    with sdpa_kernel(SDPBackend.MATH):
        return _counted_pass(denoiser, own, modules)


def _counted_pass(denoiser: Any, own: DenoiserCall, modules: Mapping[str, nn.Module]) -> int:
    if not modules:
        with FlopCounterMode(display=False) as whole, torch.no_grad():
            denoiser.forward(*own.args, **own.keywords)
        return whole.get_total_flops()
    latents = own.sample.detach().requires_grad_()
    own = own.with_sample(latents)
    with torch.enable_grad(), frozen(denoiser), recording(modules) as record:
        with FlopCounterMode(display=False) as forward:
            rows, _ = record(lambda: denoiser.forward(*own.args, **own.keywords))
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(torch.stack([one.sum() for one in rows.values()]).sum(), latents)
    return forward.get_total_flops() + backward.get_total_flops()


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        # The timestep is read by its value, and a pass does not depend on it.
        if value.ndim == 0:
            return value
        # The number of operations is the same in every precision.
        return value.detach().to("meta", torch.float32 if value.is_floating_point() else None)
    if isinstance(value, dict):
        return {key: _on_meta(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_meta(part) for part in value)
    return value


class FirstCall:
    """Keeps the first call of a pipeline's denoiser inside a block."""

    def __init__(self, pipe: Any) -> None:
        self.call: DenoiserCall | None = None
        self._pipe = pipe
        self._remove: Callable[[], None] = lambda: None

    def __enter__(self) -> FirstCall:
        def keep(module: object, args: tuple, keywords: dict) -> None:
            if self.call is None:
                self.call = DenoiserCall(args, dict(keywords))

        handle = self._pipe.unet.register_forward_pre_hook(keep, with_kwargs=True)
        self._remove = handle.remove
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()
