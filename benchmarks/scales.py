"""What well-drawn scenes look like to the losses: the scale on which to choose thresholds.

Usage:
    python benchmarks/scales.py [--count 48] [--temperatures 0.01 0.1]

Held-out scenes of two subjects are noised, the bundled model reads them once, and the weaker
subject's peak and total variation are taken as the methods take them. Printed are quartiles.
"""

import argparse

import torch
from tqdm import tqdm
from training.gates.localisation import reading_of_scene, two_subject_scenes

from adhere import mini
from adhere.methods import losses

TIMESTEPS = (961, 801, 601)
NOUNS = [2, 5]
READINGS = {
    "peak": lambda maps: maps.amax((-2, -1)),
    "total variation": losses.total_variation,
    "total variation, last row": losses.total_variation_to_last_row,
}


@torch.no_grad()
def readings(count: int, temperatures: list[float]) -> dict[tuple[str, float, int], list[float]]:
    """Of each reading, temperature and timestep, the weaker subject's number in every scene."""
    pipe = mini.load()
    found: dict[tuple[str, float, int], list[float]] = {}
    scenes = two_subject_scenes(count)
    for number, (scene, prompt, names) in enumerate(tqdm(scenes, "scenes", disable=None)):
        for timestep in TIMESTEPS:
            for temperature in temperatures:
                maps = reading_of_scene(
                    pipe, scene, prompt, number, timestep / 1000, names
                ).smoothed(temperature)[0]
                nouns = maps[..., NOUNS].movedim(-1, 0)
                for name, read in READINGS.items():
                    found.setdefault((name, temperature, timestep), []).append(
                        read(nouns).min().item()
                    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.01, 0.1])
    given = parser.parse_args()
    print(f"{'':28}{'temperature':>12}{'t':>6}   quarter  median  three quarters")
    for (name, temperature, timestep), values in sorted(
        readings(given.count, given.temperatures).items()
    ):
        quarters = torch.tensor(values).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        figures = "".join(f"{value:9.4f}" for value in quarters)
        print(f"{name:28}{temperature:12.3g}{timestep:6} {figures}")


if __name__ == "__main__":
    main()
