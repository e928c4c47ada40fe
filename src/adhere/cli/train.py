"""`adhere train`: the bundled model from nothing, stage after stage, going on where it was."""

from __future__ import annotations

import argparse
from pathlib import Path

from adhere.loading import device_named


def run(arguments: argparse.Namespace) -> None:
    """Runs the recipe's stages."""
    from adhere.mini.train.dial import TrainingRecipe
    from adhere.mini.train.recipe import STAGES, train

    recipe = TrainingRecipe(arguments.dial, arguments.length, arguments.seed)
    device = device_named(arguments.device)
    stages = tuple(arguments.stages.split(",")) if arguments.stages else tuple(STAGES)
    train(recipe, Path(arguments.folder), device, stages, arguments.workers)
