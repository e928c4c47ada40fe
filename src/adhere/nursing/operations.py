"""Floating-point operations of a denoiser's passes, counted without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adhere.attention.tap import recording
from adhere.families import Family, Opened, family_of
from adhere.families.call import DenoiserCall
from adhere.methods.base import LatentMethod
from adhere.nursing.context import reader_of
from adhere.nursing.hooks import frozen
from adhere.subjects import Subject


@dataclass(frozen=True)
class Passes:
    """What one image took of the denoiser.

    Attributes:
        full: calls by the pipeline, each for all branches.
        nursing: passes for nursing, each of one branch up to the last layer read.
        gradients: taken of these.
    """

    full: int
    nursing: int = 0
    gradients: int = 0


@dataclass
class Operations:
    """Counts operations of one model at one size; each kind of pass is counted once.

    Attributes:
        family: of the pipeline.
        opened: a call of its denoiser by it, with guidance where the run has it.
    """

    family: Family
    opened: Opened
    _counts: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)

    def of(
        self, passes: Passes, method: LatentMethod | None, subjects: Sequence[Subject] = ()
    ) -> int:
        """Operations of the denoiser for one image: forward and backward, all branches.

        Args:
            passes: what it took.
            method: what moved latents, if anything did.
            subjects: of the image.
        """
        branches = self.opened.rows // self.opened.samples
        total = passes.full * branches * self._count(())[0]
        if method is not None and passes.nursing:
            reader = reader_of(self.family, method, [subjects])
            forward, backward = self._count(tuple(layer.name for layer in reader.layers))
            total += passes.nursing * forward + passes.gradients * backward
        return total

    def _count(self, layers: tuple[str, ...]) -> tuple[int, int]:
        """Of one row: a whole pass, or one that reads these layers, and its gradient."""
        if layers not in self._counts:
            self._counts[layers] = counted_pass(self.family, self.opened, layers)
        return self._counts[layers]


def counted_pass(family: Family, opened: Opened, layers: Sequence[str] = ()) -> tuple[int, int]:
    """Operations of one row's pass, and of its gradient.

    Args:
        family: of the pipeline.
        opened: a call of its denoiser.
        layers: names of the layers that a nursing pass reads; none for a whole pass, which takes
            no gradient.
    """
    with torch.device("meta"):
        denoiser: Any = type(family.denoiser).from_config(family.denoiser.config)  # type: ignore[attr-defined]
    denoiser.eval()
    call = opened.call.take([opened.first], opened.rows, family.whole, family.listed)
    args = tuple(_on_meta(value) for value in call.args)
    call = DenoiserCall(args, _on_meta(dict(call.keywords)), call.names)
    one = replace(opened, call=call, rows=1, first=0, samples=1)
    modules = {name: denoiser.get_submodule(name) for name in layers}
    # Counters know what the plain kernel of attention does, and not every fused one.
    with sdpa_kernel(SDPBackend.MATH):
        if not modules:
            with FlopCounterMode(display=False) as whole, torch.no_grad():
                denoiser.forward(*call.args, **call.keywords)
            return whole.get_total_flops(), 0
        latents = family.samples_of(call).detach().requires_grad_()
        call = family.with_samples(call, latents)

        def read(name: str, attention: Any) -> Tensor:
            return attention.mean_probabilities(family.region(one, attention))

        with torch.enable_grad(), frozen(denoiser), recording(modules, read) as record:
            with FlopCounterMode(display=False) as forward:
                rows = record(lambda: denoiser.forward(*call.args, **call.keywords))
            with FlopCounterMode(display=False) as backward:
                total = torch.stack([found.sum() for found in rows.values()]).sum()
                torch.autograd.grad(total, latents)
        return forward.get_total_flops(), backward.get_total_flops()


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
    """Keeps the first call of a pipeline's denoiser inside a block, and counts all of them."""

    def __init__(self, pipe: Any) -> None:
        self.family = family_of(pipe)
        self.opened: Opened | None = None
        self.calls = 0
        self._remove: Callable[[], None] = lambda: None

    def __enter__(self) -> FirstCall:
        def keep(module: object, args: tuple, keywords: dict) -> None:
            self.calls += 1
            if self.opened is None:
                self.opened = self.family.open(args, keywords, None, 1)

        handle = self.family.called.register_forward_pre_hook(keep, with_kwargs=True)
        self._remove = handle.remove
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()
