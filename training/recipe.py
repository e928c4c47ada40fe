"""Train the bundled U-Net, its autoencoder and its scorer from nothing.

python -m training mini --folder runs/mini                     all stages
python -m training mini --folder runs/mini --stages denoiser   one of them
python -m training mini --folder runs/tiny --dial 1 --length 0.1

Stopped at any moment and started again, it goes on. Each stage leaves a checkpoint, a log of
figures and sheets of images in the folder. The denoiser leaves a pipeline, which `adhere draw
--model` takes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from adhere.drawing.loading import device_named
from training import checkpoint, loop
from training.assemble import assemble
from training.autoencoder import AutoencoderStage
from training.denoiser import DenoiserStage
from training.dial import TrainingRecipe
from training.latents import cached
from training.scorer import stage as scorer

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


def main(argv: Sequence[str]) -> None:
    """Parse, and train."""
    parser = argparse.ArgumentParser(
        prog="python -m training mini",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--folder", type=Path, default=Path("runs/mini"), help="of checkpoints (%(default)s)")
    add("--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="which (all)")
    add("--dial", type=int, default=2, help="size of every network, 1 to 8 (%(default)s)")
    add("--length", type=float, default=1.0, help="factor on all step counts (%(default)s)")
    add("--seed", type=int, default=0, help="of weights, scenes and noise (%(default)s)")
    add("--device", help="cpu or cuda (default a GPU where there is one)")
    add("--workers", type=int, default=0, help="processes that draw scenes (%(default)s)")
    given = parser.parse_args(argv)
    try:
        recipe = TrainingRecipe(given.dial, given.length, given.seed)
        device = device_named(given.device)
        train(recipe, given.folder, device, tuple(given.stages), given.workers)
    except ValueError as error:
        parser.error(str(error))
