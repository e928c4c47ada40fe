"""`adhere calibrate`: numbers of the latent methods for a model, from single subjects."""

from __future__ import annotations

import argparse

from adhere.cli.choosing import hush
from adhere.cli.progress import bar
from adhere.drawing.loading import MINI, load
from adhere.typed import text_of


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = verb.add_argument
    add("model", nargs="?", default=MINI, metavar="MODEL", help="mini, a folder or a hub id")
    add("--seed", type=int, default=0, help="of the first of 24 images (0)")
    add("--steps", type=int, default=25, help="of sampling (25)")
    add("--scorer", help="what tells whether a subject is present, such as owlv2 (for mini: mini)")
    add("--device", help="cpu or cuda (a GPU where there is one)")


def run(arguments: argparse.Namespace) -> None:
    """Calibrates, keeps the numbers, and prints them as options of `adhere draw`."""
    from adhere.tuning.calibration import calibrate, calibration_file

    hush(arguments.debug)
    with bar("single subjects") as on_image:
        found = calibrate(
            load(arguments.model, device=arguments.device),
            seed=arguments.seed,
            steps=arguments.steps,
            scorer=arguments.scorer,
            on_image=on_image,
        )
    path = calibration_file(found.model, found.weights)
    found.save(path)
    print(f"{found.drawn} of {found.asked} single subjects drawn (scorer: {found.scorer})")
    for name, numbers in found.numbers.items():
        said = " ".join(f"--{k.replace('_', '-')} {text_of(v)}" for k, v in numbers.items())
        print(f"{name}  {said}")
    print(f"Kept in {path}, for `adhere.calibrated(name, {found.model!r})`.")
