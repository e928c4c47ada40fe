"""What a denoiser may have switched on, refused by name where it cannot be nursed."""

from __future__ import annotations

from typing import Any

from torch import nn

from adhere.errors import UnsupportedPipeline

_HARMLESS_HOOKS = frozenset({"layerwise_casting", "peft_input_autocast"})
_OFFLOADING = {"group_offloading", "lazy_prefetch_group_offloading", "layer_execution_tracker"}


def refuse_switches(pipe: Any, denoiser: nn.Module) -> None:
    """Refuse what no denoiser can have on while it is nursed.

    Args:
        pipe: the pipeline.
        denoiser: the model inside it.

    Raises:
        UnsupportedPipeline: by the name of the switch.
    """
    if any(parameter.is_inference() for parameter in denoiser.parameters()):
        raise UnsupportedPipeline(
            "The denoiser was loaded under torch.inference_mode(), so that no gradient can "
            "pass through it. Load it outside; it may run inside."
        )
    if hasattr(type(pipe), "image_guidance_scale") or hasattr(pipe, "pag_applied_layers"):
        raise UnsupportedPipeline(
            f"{type(pipe).__name__} denoises three branches at once (it guides by something "
            "besides the prompt), and nursing knows two. Use the text-to-image pipeline of the "
            "same model."
        )
    if getattr(denoiser, "_parallel_config", None) is not None:
        raise UnsupportedPipeline(
            "The denoiser runs context-parallel, where no process sees a whole attention "
            "map. Load it without enable_parallelism."
        )
    for name, module in denoiser.named_modules():
        hook = getattr(module, "_hf_hook", None)
        if name and hook is not None and getattr(hook, "offload", False):
            raise UnsupportedPipeline(
                f"Sequential CPU offload is on (module {name}), and a backward pass cannot "
                "run through it. Use pipe.enable_model_cpu_offload() instead."
            )
        registry = getattr(module, "_diffusers_hook", None)
        for hook_name in getattr(registry, "hooks", {}):
            if hook_name in _HARMLESS_HOOKS:
                continue
            what = "a cache that keeps state between passes"
            cure = "the denoiser's disable_cache()"
            if hook_name in _OFFLOADING:
                what = "group offloading moves weights away after each layer"
                cure = "load the pipeline without enable_group_offload"
            raise UnsupportedPipeline(
                f"The denoiser has the hook {hook_name!r} ({what}), which nursing passes "
                f"would disturb. Turn it off first: {cure}."
            )
    if type(pipe.scheduler).__name__ == "SASolverScheduler":
        raise UnsupportedPipeline(
            "SASolverScheduler rebuilds the sample from an earlier one, so that nursing "
            "would be lost. Use another scheduler, such as DPMSolverMultistepScheduler."
        )
