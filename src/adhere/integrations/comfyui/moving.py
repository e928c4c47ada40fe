"""Methods that move latents, inside ComfyUI's sampling.

At a nursed step the denoiser's first call is caught. Passes of nursing say how the latents move,
the sampler's own latents are moved, and the step begins again from there.

Shapes: B images, R rows of a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adhere.errors import UnsupportedPipeline
from adhere.families import Opened, Placed, batched
from adhere.families.call import DenoiserCall
from adhere.families.encoder import CLIP_COLUMNS
from adhere.integrations.comfyui.calls import check_columns, conditional, step_of, unet_of
from adhere.integrations.comfyui.unet import ComfyUNet, thaw
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing.context import Context
from adhere.nursing.passes import nurse_latents

_KEY = "adhere"


class _Moved(Exception):
    """Ends a step that begins again, with the shift (B, ...) of the denoiser's input."""

    def __init__(self, mover: Mover, shift: Tensor) -> None:
        super().__init__()
        self.mover, self.shift = mover, shift


@dataclass
class Mover:
    """What one node does to the latents that a model samples.

    Attributes:
        method: that moves them.
        prompt: of the positive conditioning.
        strength: factor of the shift; 0 moves nothing.
        family: of the model's denoiser.
        sampling: ComfyUI's `model_sampling`.
    """

    method: LatentMethod
    prompt: Placed
    strength: float
    family: ComfyUNet
    sampling: Any
    _asked: Step | None = None
    _nursed: int = -1
    _latents: Tensor | None = None
    _previous: Reading | None = None

    @classmethod
    def of(cls, model: Any, method: LatentMethod, prompt: Placed, strength: float) -> Mover:
        """A mover for one of ComfyUI's models.

        Raises:
            UnsupportedPipeline: the model is no U-Net.
        """
        family = ComfyUNet(unet_of(model))
        sampling = model.get_model_object("model_sampling")
        return cls(method, prompt, strength, family, sampling)

    def put_into(self, model: Any) -> Any:
        """A copy of the model whose latents are nursed; at strength 0 the model itself."""
        if not self.strength:
            return model
        changed = model.clone()
        changed.add_wrapper_with_key("sampler_sample", _KEY, self.sample)
        changed.add_wrapper_with_key("predict_noise", _KEY, self.predict)
        changed.add_wrapper_with_key("diffusion_model", _KEY, self.call)
        return changed

    def sample(
        self,
        sampler: Callable,
        guider: Any,
        sigmas: Tensor,
        extra: dict,
        callback: Callable | None,
        *rest: Any,
    ) -> Tensor:
        """One run of a sampler, which must go on from the latents that were moved."""

        def after_step(index: int, denoised: Tensor, latents: Tensor, total: int) -> None:
            self._check(latents)
            if callback is not None:
                callback(index, denoised, latents, total)

        self._nursed, self._latents, self._previous = -1, None, None
        try:
            result = sampler(guider, sigmas, extra, after_step, *rest)
            self._check(None)
            return result
        finally:
            self._asked = self._latents = self._previous = None

    def _check(self, latents: Tensor | None) -> None:
        """Make sure that a sampler's latents after a step are those that were moved."""
        if self._latents is not None and latents is not self._latents:
            raise UnsupportedPipeline(
                "The sampler does not go on from the latents that the model is given, so that "
                "they cannot be moved. Use one with one call of the model a step, such as euler, "
                "ddim or dpmpp_2m, and no mask of the latents."
            )
        self._latents = None

    def predict(
        self, predict: Callable, latents: Tensor, sigma: Tensor, options: dict, seed: int | None
    ) -> Tensor:
        """One evaluation of the model by the sampler, whose latents are moved first."""
        sigmas = options["transformer_options"]["sample_sigmas"]
        step = step_of(sigmas, sigma[0], self.sampling.timestep)
        if step.index == self._nursed or not (
            self.method.schedule.step_size_at(step) or self.method.searches_at(step)
        ):
            return predict(latents, sigma, options, seed)
        self._asked = step
        try:
            return predict(latents, sigma, options, seed)
        except _Moved as moved:
            if moved.mover is not self:
                raise
            shift = moved.shift
        finally:
            self._asked = None
        if shift.shape != latents.shape:
            raise UnsupportedPipeline(
                f"The model draws {tuple(latents.shape)}, and its positive conditioning "
                f"{tuple(shift.shape)} of it. Use the node's own conditioning for the whole image."
            )
        scale = self.sampling.calculate_input(sigma[:1], torch.ones_like(latents[:1]))
        latents += (self.strength * shift / scale).to(latents)
        self._nursed, self._latents = step.index, latents
        return predict(latents, sigma, options, seed)

    def call(
        self,
        denoiser: Callable,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: dict | None = None,
        **keywords: Any,
    ) -> Tensor:
        """One call of the denoiser; the first with the positive conditioning tells the shift."""
        args = x, timesteps, context, y, control, transformer_options
        if self._asked is not None:
            rows = conditional(transformer_options or {}, len(x))
            if rows.stop > rows.start:
                check_columns(context.shape[1])
                raise _Moved(self, self._shift(args, keywords, rows, self._asked))
        return denoiser(*args, **keywords)

    def _shift(self, args: tuple, keywords: dict, rows: slice, step: Step) -> Tensor:
        """How the method moves the denoiser's input, (B, ...)."""
        unet = self.family.denoiser
        thaw(unet)
        call = DenoiserCall.of(unet, args, keywords)
        x, samples = args[0], rows.stop - rows.start
        latents = x[rows][self.family.place_of(call)]
        opened = Opened(call, len(x), rows.start, samples, latents, self.family.size(call))
        prompts = (self.prompt,) * samples
        context = Context(self.family, prompts, batched(prompts, CLIP_COLUMNS).to(x.device))
        shift, _, self._previous = nurse_latents(
            context,
            context.reader(self.method),
            self.method,
            opened,
            step,
            self._previous,
            searches=self.method.searches_at(step),
        )
        return shift
