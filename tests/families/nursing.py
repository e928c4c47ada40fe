"""What the tests of nursing the families share."""

import torch

from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.nursing import nurse

from . import FAMILIES

PROMPT = "a red car and a blue bowl"
# So small that latents do not move, though every pass is run.
NOTHING = 1e-30
KINDS = sorted(FAMILIES)


def always(kind=AttendAndExcite, **changes):
    """A method at every step, without thresholds, on raw probabilities."""
    return kind(**{"stop": 1.0, "refine_at": (), "temperature": None, **changes})


def state(pipe):
    """Everything of a pipeline that nursing could leave behind."""
    denoiser = getattr(pipe, "transformer", None) or pipe.unet
    modules = {
        name: (
            sorted(set(vars(m)) - {"_is_full_backward_hook"}),
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            vars(m.processor).get("_attention_backend") if hasattr(m, "processor") else None,
        )
        for name, m in denoiser.named_modules()
    }
    shadows = {"step", "set_timesteps", "disable_corrector"} & set(vars(pipe.scheduler))
    asking = [p.requires_grad for p in denoiser.parameters()]
    return modules, shadows, "encode_prompt" in vars(pipe), asking


def nursed(toy, pipe, method, prompt=PROMPT, **others):
    """Latents and trace of a nursed run."""
    # A modular pipeline encodes its prompt in a block, where it cannot be overheard.
    told = {} if hasattr(pipe, "encode_prompt") else {"prompt": prompt}
    with nurse(pipe, method, **told) as trace:
        latents = plain(toy, pipe, prompt, **others)
    return latents, trace


def plain(toy, pipe, prompt=PROMPT, **others):
    """Latents as the pipeline gives them."""
    # Some schedulers draw from the global generator; Z-Image writes into a list of prompts.
    torch.manual_seed(0)
    prompt = prompt if isinstance(prompt, str) else list(prompt)
    return torch.as_tensor(toy.run(pipe, prompt, **others))
