"""What the tests of the engine share: schedulers, methods, and all that nursing could leave."""

from dataclasses import dataclass, field

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

import toys
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.subjects import Subject

PROMPT = "a cat and a frog"
CAT, FROG = Subject("cat", (2,)), Subject("frog", (5,))

SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**toys.BETAS, clip_sample=False, steps_offset=1),
    "ddpm": lambda: DDPMScheduler(**toys.BETAS, clip_sample=False),
    "pndm": lambda: PNDMScheduler(**toys.BETAS, skip_prk_steps=True, steps_offset=1),
    "euler": lambda: EulerDiscreteScheduler(**toys.BETAS, steps_offset=1),
    "euler-ancestral": lambda: EulerAncestralDiscreteScheduler(**toys.BETAS, steps_offset=1),
    "dpm++": lambda: DPMSolverMultistepScheduler(**toys.BETAS),
    "dpm++-sde": lambda: DPMSolverMultistepScheduler(
        **toys.BETAS, algorithm_type="sde-dpmsolver++"
    ),
    "dpm-single": lambda: DPMSolverSinglestepScheduler(**toys.BETAS),
    "heun": lambda: HeunDiscreteScheduler(**toys.BETAS),
    "unipc": lambda: UniPCMultistepScheduler(**toys.BETAS),
    "lcm": lambda: LCMScheduler(**toys.BETAS),
}


@dataclass(frozen=True)
class Noting(AttendAndExcite):
    """Attend-and-Excite that notes what every reading has attained."""

    seen: list = field(default_factory=list)

    def loss(self, reading):
        """As ever, and noted."""
        loss = super().loss(reading)
        self.seen.append(1 - loss.detach())
        return loss


def always(**changes):
    """Attend-and-Excite at every step, without thresholds."""
    return AttendAndExcite(**{"stop": 1.0, "refine_at": (), **changes})


def scheduled(name, make=toys.sd):
    """A toy pipeline with a scheduler by name."""
    pipe = make()
    pipe.scheduler = SCHEDULERS[name]()
    return pipe


def taking_turns(places, names):
    """Pairs without the whole product.

    Every name meets the first place, and every place meets two of the names, in turn.
    """
    places, names = list(places), list(names)
    pairs = [(places[0], name) for name in names]
    for index, place in enumerate(places):
        pairs += [(place, names[(2 * index + each) % len(names)]) for each in (0, 1)]
    return list(dict.fromkeys(pairs))


def state(pipe):
    """Everything of a pipeline that nursing could leave behind."""
    module = getattr(pipe.unet, "_orig_mod", pipe.unet)
    modules = {
        name: (
            sorted(set(vars(m)) - {"_is_full_backward_hook"}),
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            m.training,
            m._compiled_call_impl,
        )
        for name, m in module.named_modules()
    }
    return {
        "modules": modules,
        "processors": {k: id(v) for k, v in module.attn_processors.items()},
        "asking": [p.requires_grad for p in module.parameters()],
        "grads": [p.grad is None for p in module.parameters()],
        "scheduler": sorted(
            set(vars(pipe.scheduler)) & {"step", "set_timesteps", "disable_corrector"}
        ),
        "correctors": list(getattr(pipe.scheduler, "disable_corrector", [])),
        "pipeline": "encode_prompt" in vars(pipe),
        "modes": torch._C._len_torch_function_stack(),
        "grad": torch.is_grad_enabled(),
    }
