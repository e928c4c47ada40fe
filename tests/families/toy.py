"""What a toy is: a tiny pipeline of real classes, and how to call it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

NEGATIVE = "a bowl"

# name -> (class, what its configuration needs beside the one that it replaces).
SCHEDULERS = {
    "ddim": (DDIMScheduler, {}),
    "sigmas": (EulerDiscreteScheduler, {}),
    "euler": (FlowMatchEulerDiscreteScheduler, {}),
    "heun": (FlowMatchHeunDiscreteScheduler, {}),
    "lcm": (FlowMatchLCMScheduler, {}),
    "dpm++": (
        DPMSolverMultistepScheduler,
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ),
    "unipc": (
        UniPCMultistepScheduler,
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ),
}


def nothing(height: int, width: int, count: int) -> dict[str, Any]:
    """A pipeline that needs no image."""
    return {}


@dataclass(frozen=True)
class Toy:
    """A tiny pipeline and how it is called.

    Attributes:
        build: Makes a fresh, quiet pipeline; always the same weights.
        guidance: "two calls" or "batch" where guidance by a negative prompt can be switched on,
            "one call" where it cannot, "always two calls" where it cannot be switched off.
        guided: Arguments that switch it on.
        plain: Arguments that switch it off.
        extra: Height, width, number of prompts -> what a run needs besides, such as an image to
            begin from.
        lists: Whether the pipeline takes a list of prompts.
        schedulers: Names in `SCHEDULERS` that the pipeline takes.
        square: Height, width in pixels of a run.
        wide: The same for a run that is not square.
        sized: Whether the pipeline takes height and width.
    """

    build: Callable[[], Any]
    guidance: str
    guided: dict[str, Any] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    extra: Callable[[int, int, int], dict[str, Any]] = nothing
    lists: bool = True
    schedulers: tuple[str, ...] = ("euler",)
    square: tuple[int, int] = (32, 32)
    wide: tuple[int, int] = (32, 48)
    sized: bool = True

    def call(
        self,
        prompt="a cat and a frog",
        *,
        guided=False,
        wide=False,
        seeds=(0,),
        steps=3,
        **others,
    ):
        """The arguments of a run, with new generators."""
        height, width = self.wide if wide else self.square
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        arguments = {
            "prompt": prompt,
            "num_inference_steps": steps,
            "generator": generators if len(generators) > 1 else generators[0],
            "output_type": "latent",
        }
        if self.sized:
            arguments |= {"height": height, "width": width}
        arguments |= self.extra(height, width, len(prompt) if isinstance(prompt, list) else 1)
        arguments |= self.guided if guided else self.plain
        negative = arguments.get("negative_prompt")
        if isinstance(negative, str) and isinstance(prompt, list):
            arguments["negative_prompt"] = [negative] * len(prompt)
        return arguments | others

    def run(self, pipe, prompt="a cat and a frog", **others):
        """The final latents."""
        result = pipe(**self.call(prompt, **others))
        return getattr(result, "images", result)


def with_scheduler(pipe, name):
    """The same pipeline with another scheduler."""
    kind, changes = SCHEDULERS[name]
    known = signature(kind.__init__).parameters
    kept = {key: value for key, value in pipe.scheduler.config.items() if key in known}
    pipe.scheduler = kind.from_config(kept, **changes)
    return pipe


def quiet(pipe):
    """Without a progress bar."""
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sharpened(model, factor=4.0, gain=1.0):
    """The model in evaluation mode, with attention sharp enough to have peaks.

    Scores grow by `factor`, what attention brings grows by `gain` squared.
    """
    norms = ("norm_q", "norm_k", "norm_added_q", "norm_added_k", "q_norm", "k_norm")
    with torch.no_grad():
        for module in model.modules():
            found = [getattr(module, name, None) for name in norms]
            weights = [norm.weight for norm in found if getattr(norm, "weight", None) is not None]
            if not weights and hasattr(module, "to_q") and hasattr(module, "to_k"):
                names = ("to_q", "to_k", "add_q_proj", "add_k_proj")
                found = [getattr(module, name, None) for name in names]
                weights = [each.weight for each in found if each is not None]
            for weight in weights:
                weight.mul_(factor**0.5)
            for name in ("to_v", "add_v_proj", "to_add_out"):
                if getattr(module, name, None) is not None:
                    getattr(module, name).weight.mul_(gain)
            if isinstance(getattr(module, "to_out", None), torch.nn.ModuleList):
                module.to_out[0].weight.mul_(gain)
    return model.eval()


def image(height, width):
    """An image to begin from: a ramp along each side."""
    down = torch.linspace(0, 255, height).byte()[:, None].expand(height, width)
    along = torch.linspace(0, 255, width).byte()[None].expand(height, width)
    pixels = torch.stack([down, along, 255 - along], dim=-1)
    return Image.fromarray(pixels.contiguous().numpy())


def mask(height, width):
    """The right half is to be painted."""
    drawn = Image.new("L", (width, height))
    drawn.paste(255, (width // 2, 0, width, height))
    return drawn


def from_image(height, width, count):
    """Image to image: one image for each prompt."""
    return {"image": [image(height, width)] * count, "strength": 0.75}


def from_mask(height, width, count):
    """Inpainting of one image."""
    return {"image": image(height, width), "mask_image": mask(height, width), "strength": 1.0}
