"""Measure what a bundled model must be able to do, and print each figure beside its threshold.

python -m training gates                             # the bundled model, 4 seeds a prompt
python -m training gates --model DIR --seeds 1       # a pipeline of either kind, fewer seeds
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adhere import METHODS
from adhere.drawing.loading import load
from adhere.mini.scorer import Scorer
from adhere.mini.scorer import load as scorer
from training.gates import presence
from training.gates.localisation import autoencoder_psnr, is_joint, localisation
from training.gates.verdicts import table

PARTS = ("localisation", "singles", "animals", "objects", "autoencoder", "seconds")


def measure(
    pipe: Any,
    scorer: Scorer,
    seeds: int,
    steps: int,
    names: Sequence[str],
    parts: Sequence[str] = PARTS,
    first: int = 0,
) -> dict[str, Any]:
    """The figures of gates, and those of the named methods on the animal pairs.

    Args:
        pipe: the pipeline.
        scorer: what looks at its pictures.
        seeds: how many a prompt; twice as many for single subjects without a colour.
        steps: of sampling.
        names: methods to measure as their papers have them.
        parts: which gates.
        first: the first seed.
    """
    # Flow matching is noisier than diffusion at the same place of its schedule.
    noise = 0.6 if is_joint(pipe) else 0.5
    some, twice = range(first, first + seeds), range(first, first + 2 * seeds)
    ways: dict[str, Callable[[], Any]] = {
        "localisation": lambda: localisation(pipe, noise=noise),
        "singles": lambda: presence.singles(pipe, scorer, twice, steps),
        "animals": lambda: presence.animals(pipe, scorer, some, steps, names),
        "objects": lambda: presence.objects(pipe, scorer, some, steps),
        "autoencoder": lambda: {"psnr": autoencoder_psnr(pipe)},
        "seconds": lambda: presence.speed(pipe),
    }
    figures: dict[str, Any] = {
        "protocol": f"{steps} steps, the pipeline's own guidance; "
        f"seeds {some[0]} to {some[-1]} for pairs and colours, "
        f"{twice[0]} to {twice[-1]} for singles",
    }
    figures |= {part: ways[part]() for part in parts}
    return json.loads(json.dumps(figures, default=float))


def main(argv: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m training gates")
    parser.add_argument(
        "--model", default="mini", help="a bundled model or a pipeline's folder (default mini)"
    )
    parser.add_argument("--seeds", type=int, default=4, help="seeds a prompt (default 4)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--steps", type=int, default=50, help="steps a picture (default 50)")
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=list(METHODS),
        default=list(METHODS),
        help="which to measure as their papers have them (default all)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="which gates (default all)"
    )
    parser.add_argument("--device", default="cpu", help="where (default cpu)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(argv)
    try:
        pipe = load(options.model, dtype="float32", device=options.device).pipe
    except ValueError as error:
        parser.error(str(error))
    figures = measure(
        pipe,
        scorer(),
        options.seeds,
        options.steps,
        options.methods,
        options.only,
        options.first_seed,
    )
    print(table(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
