"""How far the joint miniature is: errors, where its words look, and what it draws."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from adhere.mini.scorer import load as scorer
from training import world
from training.autoencoder import SIZE, to_model
from training.gates.localisation import HELD_OUT, two_subject_scenes

if TYPE_CHECKING:
    from training.joint_stage import JointStage

LEVEL = 0.6
LONGER = (
    "a cat and a frog", "a dog and a bird", "a lion and a mouse", "a bear and a yellow balloon",
    "a red apple and a blue clock", "a purple backpack and a white bench",
    "a horse in the forest", "two rabbits",
    "a cat wearing a crown", "a dog with glasses", "a bird on a bench", "a frog on a red chair",
    "a rabbit in a bowl", "an apple inside a suitcase", "a monkey holding a balloon",
    "a lion wearing a blue bow",
)  # fmt: skip


@torch.no_grad()
def latents_of(stage: "JointStage", scenes: list[world.Scene]) -> Tensor:
    """The scaled latents (N, 4, 16, 16) of drawn scenes."""
    pictures = torch.from_numpy(np.stack([world.draw(scene, SIZE) for scene in scenes]))
    return stage.vae.encode(to_model(pictures)).latent_dist.mean * stage.scale


def _ids(stage: "JointStage", texts: list[str]) -> Tensor:
    settings = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    return stage.tokenizer(texts, **settings).input_ids


def _noisy(latents: Tensor, level: float) -> tuple[Tensor, Tensor]:
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    return latents.lerp(noise, level), noise - latents


@torch.no_grad()
def velocity_errors(stage: "JointStage", count: int = 128) -> dict[str, float]:
    """Mean squared error of the velocity at 0.6 on held-out scenes, and with wrong captions."""
    scenes, texts = [], []
    for number in range(count):
        random = np.random.default_rng((HELD_OUT, 2, number))
        scenes.append(world.random_scene(random))
        texts.append(world.caption(scenes[-1], random))
    noisy, wanted = _noisy(latents_of(stage, scenes), LEVEL)
    device = next(stage.transformer.parameters()).device
    levels, zeros = torch.full((count,), LEVEL), torch.full((count,), 256)
    errors = []
    for said in (texts, texts[1:] + texts[:1]):
        parts = (noisy, levels, _ids(stage, said), zeros)
        found = stage.velocity(*(part.to(device) for part in parts)).cpu()
        errors.append((found - wanted).square().mean().item())
    return {"error": errors[0], "error_wrong": errors[1]}


@torch.no_grad()
def localisation(
    stage: "JointStage", count: int = 64, levels: tuple[float, ...] = (0.6, 0.8)
) -> dict[str, float]:
    """Where the nouns' columns peak on held-out scenes of two subjects.

    The map is the probability of a noun's column over all keys, mean over heads and layers.

    Returns:
        For each noise level and noun the share of scenes with the peak in its own box, and
        in the other's alone; and the share of the image's attention that the text has.
    """
    examples = two_subject_scenes(count)
    latents = latents_of(stage, [scene for scene, _, _ in examples])
    ids = _ids(stage, [prompt for _, prompt, _ in examples])
    device = next(stage.transformer.parameters()).device
    layers = [block.attn.processor for block in stage.transformer.transformer_blocks]
    figures = {}
    for level in levels:
        for layer in layers:
            layer.record = True
        noisy, _ = _noisy(latents, level)
        many = (torch.full((count,), level), ids, torch.full((count,), 256))
        stage.velocity(noisy.to(device), *(part.to(device) for part in many))
        rows = torch.stack([layer.rows for layer in layers]).mean(0).cpu()
        for layer in layers:
            layer.record, layer.rows = False, None
        image = rows.shape[1]
        side = int(image**0.5)
        cell = SIZE // side
        hits = np.zeros((2, 2))
        for (scene, _, names), maps in zip(examples, rows, strict=True):
            boxes = {t.subject: b for t, b in zip(scene.things, world.boxes(scene), strict=True)}
            for place, column in enumerate((2, 5)):
                row, left = divmod(int(maps[:, image + column].argmax()), side)
                x, y = cell * left + cell // 2, cell * row + cell // 2
                own, other = (boxes[names[i]] for i in (place, 1 - place))
                inside = [x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in (own, other)]
                hits[place] += [inside[0], inside[1] and not inside[0]]
        shares = hits / count
        for place, noun in enumerate(("first", "second")):
            figures[f"{noun}_own_{level}"], figures[f"{noun}_other_{level}"] = shares[place]
        figures[f"text_share_{level}"] = float(rows[:, :, image:].sum(-1).mean())
    return {name: float(value) for name, value in figures.items()}


def sheet(
    pipe: object, steps: int = 16, **arguments: object
) -> tuple[dict[str, float], np.ndarray]:
    """Draw every subject alone and sixteen longer prompts, one seed each.

    Args:
        pipe: draws them.
        steps: of sampling.
        arguments: further ones of the pipeline's call.

    Returns:
        The share of singles that the shipped scorer finds, and the sheet, eight a row.
    """
    singles = [f"a {subject}" for subject in world.SUBJECTS]
    prompts = [*singles, *LONGER]
    pipe.set_progress_bar_config(disable=True)
    pictures = pipe(
        prompts,
        num_inference_steps=steps,
        generator=[torch.Generator().manual_seed(i) for i in range(len(prompts))],
        output_type="np",
        **arguments,
    ).images
    tiles = (np.asarray(pictures) * 255).round().astype(np.uint8)
    seen = scorer().look(list(tiles[: len(singles)]))
    present = [s.is_present(w) for s, w in zip(seen, world.SUBJECTS, strict=True)]
    rows = [np.concatenate(list(tiles[i : i + 8]), 1) for i in range(0, len(tiles), 8)]
    return {"singles": float(np.mean(present))}, np.concatenate(rows, 0)
