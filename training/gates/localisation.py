"""Where the attention of nouns peaks on drawn scenes, and how well the autoencoder keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from adhere import find_subjects
from adhere.attention.call import AttentionCall
from adhere.attention.tap import recording
from adhere.families import Opened, batched, family_of, place
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.methods.watch import Watch
from adhere.nursing.context import Context, Reader
from training import world

# Scenes of the gates are numbered far from those of the training.
HELD_OUT = 77_000_000
SIDE = 128


def two_subject_scenes(count: int) -> list[tuple[world.Scene, str, tuple[str, str]]]:
    """Held-out scenes of two different subjects, "a X and a Y" in random order."""
    scenes = []
    for number in range(count):
        random = np.random.default_rng((HELD_OUT, number))
        names = [str(s) for s in random.choice(world.SUBJECTS, 2, replace=False)]
        scene = world.random_scene(random, names)
        order = [names[i] for i in random.permutation(2)]
        scenes.append((scene, f"a {order[0]} and a {order[1]}", (order[0], order[1])))
    return scenes


def is_joint(pipe: Any) -> bool:
    """Whether a pipeline has joint attention, with image and text in one row."""
    return hasattr(pipe, "transformer")


@torch.no_grad()
def localisation(pipe: Any, count: int = 256, noise: float = 0.5) -> dict[str, float]:
    """Where the attention of each noun peaks on real scenes with noise.

    Cross-attention is read as Attend-and-Excite does, normalised and smoothed. Joint attention is
    read raw: the probability of the noun's columns among all keys.

    Args:
        pipe: reads the scenes.
        count: how many scenes.
        noise: where on the schedule, 0 to 1.

    Returns:
        For the first- and the second-named subject the share of scenes in which its peak falls
        inside its own box, and inside the other's alone.
    """
    hits = np.zeros((2, 2))
    raw = is_joint(pipe)
    for number, (scene, prompt, names) in enumerate(
        tqdm(two_subject_scenes(count), "localisation", disable=None)
    ):
        reading = reading_of_scene(pipe, scene, prompt, number, noise, names)
        boxes = {t.subject: b for t, b in zip(scene.things, world.boxes(scene), strict=True)}
        for order, subject in enumerate(reading.subjects[0]):
            own_map = reading.word(
                0, subject.token_indices, temperature=None if raw else 0.01, smoothed=not raw
            )
            height, width = own_map.shape
            row, column = divmod(int(own_map.argmax()), width)
            x, y = (column + 0.5) * SIDE / width, (row + 0.5) * SIDE / height
            own, other = boxes[names[order]], boxes[names[1 - order]]
            inside = [x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in (own, other)]
            hits[order] += [inside[0], inside[1] and not inside[0]]
    shares = hits / count
    return {
        "first_own": shares[0, 0],
        "first_other": shares[0, 1],
        "second_own": shares[1, 0],
        "second_other": shares[1, 1],
    }


@torch.no_grad()
def reading_of_scene(
    pipe: Any, scene: world.Scene, prompt: str, number: int, noise: float, names: tuple[str, str]
) -> Reading:
    """The attention of one pass over a drawn and noised scene, with the subjects in order.

    Args:
        pipe: reads it.
        scene: what is drawn.
        prompt: what the pass is told.
        number: seed of the noise.
        noise: where on the schedule, 0 to 1.
        names: the subjects.
    """
    family, device = family_of(pipe), pipe.device
    image = torch.from_numpy(world.draw(scene, SIDE)).permute(2, 0, 1)[None].to(device)
    latents = pipe.vae.encode(image.float() / 127.5 - 1).latent_dist.mean
    latents = latents * pipe.vae.config.scaling_factor
    drawn = torch.randn(latents.shape, generator=torch.Generator().manual_seed(number)).to(device)
    arguments = _call(pipe, latents, drawn, noise, prompt)
    opened = family.open((), arguments, 1, 1)
    columns = family.columns_of(opened.call)
    subjects = find_subjects(pipe, prompt, list(names))
    placed = place(family.encoders(), {"prompt": prompt}, subjects, columns)
    context = Context(family, (placed,), batched([placed], columns).to(device))
    denoiser = pipe.transformer if is_joint(pipe) else pipe.unet
    return look(context, context.reader(Watch()), opened, lambda: denoiser(**arguments))


def _call(
    pipe: Any, latents: torch.Tensor, drawn: torch.Tensor, noise: float, prompt: str
) -> dict[str, Any]:
    """The denoiser's arguments for noised latents."""
    times = torch.tensor([round(1000 * noise)], device=latents.device)
    if not is_joint(pipe):
        text, _ = pipe.encode_prompt(prompt, latents.device, 1, False)
        noisy = pipe.scheduler.add_noise(latents, drawn, times)
        return {"sample": noisy, "timestep": times, "encoder_hidden_states": text}
    text, _, pooled, _ = pipe.encode_prompt(
        prompt, prompt, prompt, device=latents.device, do_classifier_free_guidance=False
    )
    return {
        "hidden_states": latents.lerp(drawn, noise),
        "timestep": times.to(latents.dtype),
        "encoder_hidden_states": text,
        "pooled_projections": pooled,
    }


def look(context: Context, reader: Reader, opened: Opened, run: Callable[[], object]) -> Reading:
    """The attention of a pass that somebody else runs, cut short after the last layer read.

    Args:
        context: what is drawn.
        reader: which layers.
        opened: the call that `run` makes.
        run: calls the denoiser.
    """
    heads: dict[str, int] = {}

    def read(name: str, call: AttentionCall) -> Tensor:
        heads[name] = call.heads
        return call.mean_probabilities(context.family.region(opened, call))

    with recording({layer.name: layer.module for layer in reader.layers}, read) as record:
        rows = record(run)
    return context.reading(reader, rows, heads, opened.size, Step(0, 1, 0.0))


def autoencoder_psnr(pipe: Any, count: int = 256) -> float:
    """Mean PSNR in dB of held-out scenes after the autoencoder."""
    total = 0.0
    with torch.no_grad():
        for number in range(count):
            random = np.random.default_rng((HELD_OUT, 1, number))
            picture = world.draw(world.random_scene(random), 128)
            images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
            images = images.to(pipe.device)
            decoded = pipe.vae.decode(pipe.vae.encode(images).latent_dist.mean).sample
            error = (decoded.clamp(-1, 1) - images).square().mean().item() / 4
            total += -10 * np.log10(error)
    return total / count
