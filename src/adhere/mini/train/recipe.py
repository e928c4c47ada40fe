"""The whole recipe, stage after stage, each going on where it was stopped."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from adhere.mini.train import checkpoint, loop, scorer
from adhere.mini.train.assemble import assemble
from adhere.mini.train.autoencoder import AutoencoderStage
from adhere.mini.train.denoiser import DenoiserStage
from adhere.mini.train.dial import TrainingRecipe
from adhere.mini.train.latents import cached

SCENES = 49_152


def trained_autoencoder(recipe: TrainingRecipe, folder: Path) -> AutoencoderKL:
    """The autoencoder with the averaged weights of its checkpoint.

    Raises:
        ValueError: there is no checkpoint, an unfinished one, or one of other settings or
            networks.
    """
    stage = AutoencoderStage(recipe)
    path = folder / "autoencoder.safetensors"
    if not path.exists():
        raise ValueError(
            f"There is no autoencoder in {folder}; run the stage 'autoencoder' first "
            "(or all of them), or name the folder that holds its checkpoint."
        )
    tensors, step, _ = checkpoint.load(path, stage.settings)
    if step < stage.steps:
        raise ValueError(
            f"The autoencoder in {folder} has {step} of {stage.steps} steps; "
            "run the stage 'autoencoder' to its end first."
        )
    prefix = "average.autoencoder."
    with checkpoint.filling(path):
        stage.model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    return stage.model.eval()


def train_autoencoder(
    recipe: TrainingRecipe, folder: Path, device: torch.device, workers: int
) -> None:
    """Stage 1."""
    loop.run(AutoencoderStage(recipe), folder, device, workers)


def train_denoiser(
    recipe: TrainingRecipe, folder: Path, device: torch.device, workers: int
) -> None:
    """Stage 2, after which the pipeline stands in `folder/pipeline`."""
    autoencoder = trained_autoencoder(recipe, folder).to(device)
    settings = recipe.settings() | {"autoencoder": AutoencoderStage(recipe).steps}
    count = recipe.steps(SCENES)
    means = cached(folder, autoencoder, count, recipe.seed, settings, device, workers)
    stage = DenoiserStage(recipe, means, {"vae": autoencoder})
    loop.run(stage, folder, device, workers)
    assemble(stage.pipeline().to("cpu"), folder / "pipeline")


def train_scorer(recipe: TrainingRecipe, folder: Path, device: torch.device, workers: int) -> None:
    """Stage 3, apart from the denoiser; afterwards the scorer stands in `folder`."""
    autoencoder = trained_autoencoder(recipe, folder).to(device)
    scorer.train(recipe, autoencoder, folder, device, workers)


STAGES = {
    "autoencoder": train_autoencoder,
    "denoiser": train_denoiser,
    "scorer": train_scorer,
}


def train(
    recipe: TrainingRecipe,
    folder: Path,
    device: torch.device,
    stages: tuple[str, ...] = tuple(STAGES),
    workers: int = 0,
) -> None:
    """Run stages in order; each goes on from its checkpoint and is done at once when finished.

    Raises:
        ValueError: an unknown stage, or a checkpoint of other settings.
    """
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise ValueError(f"There is no stage {unknown[0]!r}; there are {', '.join(STAGES)}.")
    for stage in stages:
        STAGES[stage](recipe, folder, device, workers)
