"""Train the scorer further from the weights that ship, on the specimens of today.

Usage:
    python recipes/continue_scorer.py FOLDER [--length 0.3]

FOLDER holds the checkpoint, from which a stopped run goes on, and at the end
`scorer-weights.safetensors`. The length is a share of the recipe's 4,000 steps and 6,144 decoded
specimens.
"""

import argparse
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from training.dial import TrainingRecipe
from training.scorer import stage

from adhere import mini
from adhere.mini import scorer


def main() -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description="Train the scorer further.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--length", type=float, default=0.3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    autoencoder = AutoencoderKL.from_pretrained(Path(mini.__file__).parent / "weights" / "vae")
    recipe = TrainingRecipe(length=given.length)
    start = scorer.load().detector.state_dict()
    stage.train(
        recipe, autoencoder.eval(), given.folder, torch.device("cpu"), bar=False, start=start
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
