"""What `nurse` does to an unmodified pipeline is what a loop written by hand does."""

import functools
import math

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.nn import functional as F

import toys
from adhere.nursing import nurse
from engine import CAT, FROG, PROMPT, SCHEDULERS, always, scheduled

STEPS, GUIDANCE, STEP_SIZE = 4, 5.0, 8.0


class Explicit:
    """An attention processor that writes attention out, and keeps that of the text."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        split = (hidden_states.shape[0], -1, attn.heads, attn.inner_dim // attn.heads)
        query, key, value = (
            project(x).view(split).transpose(1, 2)
            for project, x in (
                (attn.to_q, hidden_states), (attn.to_k, text), (attn.to_v, text)
            )
        )  # fmt: skip
        rows = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        if encoder_hidden_states is not None:
            self.kept.append(rows)
        mixed = (rows @ value).transpose(1, 2).flatten(2)
        return attn.to_out[0](mixed)


def loss_of(kept, last=76):
    """One minus the weakest of the peaks of cat and frog, from the maps of 8 x 8.

    Tokens before `last` compete: padding too in Stable Diffusion 1, words alone in others.
    """
    maps = torch.cat([rows[0] for rows in kept if rows.shape[2] == 64]).mean(0).view(8, 8, 77)
    words = (100 * maps[..., 1:last]).softmax(-1)
    side = torch.tensor([math.exp(-1), 1, math.exp(-1)], dtype=maps.dtype)
    kernel = torch.outer(side, side) / side.sum() ** 2
    peaks = []
    for token in (2, 5):
        padded = F.pad(words[None, None, ..., token - 1], (1, 1, 1, 1), mode="reflect")
        peaks.append(F.conv2d(padded, kernel[None, None]).max())
    return 1 - torch.stack(peaks).min()


def by_hand(pipe, seed):
    """Latents after a plain loop with one gradient step before each step of the scheduler.

    Where the scheduler begins a step from a sample that it kept itself, nothing is moved.
    """
    scheduler, unet = pipe.scheduler, pipe.unet
    positive, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True)
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn((1, 4, 8, 8), generator=generator, dtype=positive.dtype)
    latents = latents * scheduler.init_noise_sigma
    extra = pipe.prepare_extra_step_kwargs(generator, 0.0)
    kept: list = []
    repeats = {"PNDMScheduler": [1]}.get(type(scheduler).__name__, [])
    has_two = scheduler.order == 2
    total = math.ceil(len(scheduler.timesteps) / (2 if has_two else 1))
    for call, timestep in enumerate(scheduler.timesteps):
        turn = call // 2 if has_two else call
        if call not in repeats and not (has_two and call % 2):
            unet.set_attn_processor(Explicit(kept))
            kept.clear()
            seen = scheduler.scale_model_input(latents, timestep).detach().requires_grad_()
            unet(seen, timestep, encoder_hidden_states=positive)
            (slope,) = torch.autograd.grad(loss_of(kept), seen)
            unet.set_attn_processor(AttnProcessor2_0())
            # One step size for all schedulers: it is that of latents as the denoiser sees them.
            scale = scheduler.scale_model_input(torch.ones((), dtype=torch.float64), timestep)
            decay = math.sqrt(1 - 0.5 * turn / (total - 1))
            latents = latents - STEP_SIZE * decay * slope / scale
            if hasattr(scheduler, "disable_corrector"):
                scheduler.disable_corrector = [call - 1]
        with torch.no_grad():
            seen = scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
            noise = unet(seen, timestep, encoder_hidden_states=torch.cat([negative, positive]))[0]
            without, within = noise.chunk(2)
            noise = without + GUIDANCE * (within - without)
            latents = scheduler.step(noise, timestep, latents, **extra).prev_sample
    return latents


@pytest.mark.parametrize("name", sorted(set(SCHEDULERS) - {"dpm-single"}))
def test_nursed_equals_a_loop_written_by_hand(name):
    pipe = scheduled(name).to(torch.float64)
    with nurse(pipe, always(step_size=STEP_SIZE), prompt=PROMPT, subjects=[CAT, FROG]):
        latents = toys.run(pipe, steps=STEPS, guidance_scale=GUIDANCE, seeds=[3])
    expected = by_hand(scheduled(name).to(torch.float64), 3)
    torch.testing.assert_close(latents, expected, atol=1e-6, rtol=1e-6)


def conditional(given, rows):
    """The second half of everything that has so many rows."""
    if isinstance(given, torch.Tensor):
        return given[rows // 2 :] if given.ndim and len(given) == rows else given
    if isinstance(given, dict):
        return {name: conditional(value, rows) for name, value in given.items()}
    is_several = isinstance(given, list | tuple)
    return type(given)(conditional(value, rows) for value in given) if is_several else given


def moved_by_hand(pipe, last, monkeypatch):
    """Has a pipeline's own loop move its latents before each step, attention written out."""
    denoise, step, kept, shifts = pipe.unet.forward, pipe.scheduler.step, [], []

    def forward(sample, timestep, *args, **others):
        rows, turn = len(sample), len(shifts)
        seen = sample[rows // 2 :, :4].detach().requires_grad_()
        own = pipe.unet.attn_processors
        pipe.unet.set_attn_processor(Explicit(kept))
        kept.clear()
        with torch.enable_grad():
            whole = torch.cat([seen, sample[rows // 2 :, 4:]], 1)
            denoise(whole, timestep, *conditional(args, rows), **conditional(others, rows))
            (slope,) = torch.autograd.grad(loss_of(kept, last), seen)
        pipe.unet.set_attn_processor(own)
        total = getattr(pipe, "num_timesteps", len(pipe.scheduler.timesteps))
        shift = STEP_SIZE * math.sqrt(1 - 0.5 * turn / (total - 1)) * slope
        shifts.append(shift)
        sample = sample.clone()
        sample[:, :4] -= shift
        return denoise(sample, timestep, *args, **others)

    def stepped(noise, timestep, sample, *args, **others):
        one = torch.ones((), dtype=torch.float64)
        scaled = getattr(pipe.scheduler, "scale_model_input", lambda x, _: x)
        scale = float(scaled(one, timestep))
        return step(noise, timestep, sample - shifts[-1] / scale, *args, **others)

    monkeypatch.setattr(pipe.unet, "forward", forward)
    monkeypatch.setattr(pipe.scheduler, "step", functools.wraps(step)(stepped))


@pytest.mark.parametrize("kind", sorted({*toys.calls()} - {"sdxl-refiner"}))
def test_every_pipeline_nursed_equals_its_own_loop_moved_by_hand(kind, monkeypatch):
    make, others = toys.calls()[kind]
    pipe = make().to(torch.float64)
    with nurse(pipe, always(step_size=STEP_SIZE), prompt=PROMPT, subjects=[CAT, FROG]):
        latents = toys.run(pipe, **others)
    pipe = make().to(torch.float64)
    moved_by_hand(pipe, 76 if kind.startswith("sd-") or kind == "sd" else 6, monkeypatch)
    expected = toys.run(pipe, **others)
    torch.testing.assert_close(latents, expected, atol=1e-6, rtol=1e-6)
