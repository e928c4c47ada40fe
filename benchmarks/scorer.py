"""The scorer's figures, and its agreement with labels made by eye.

Usage:
    python benchmarks/scorer.py figures [--weights FILE] [--trained runs/mini] [--count 2000]
    python benchmarks/scorer.py sheet PICTURES SHEETS
    python benchmarks/scorer.py agreement PICTURES LABELS
"""

import argparse
import time
from pathlib import Path

import torch

from adhere.mini import scorer
from adhere.mini.train import judging
from adhere.mini.train import scorer as stage

# Apart from every seed of the recipe, whose own numbers train and calibrate.
HELD_OUT_SEED = 20_261_121


def _line(figures: dict) -> str:
    return "  ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )


def figures(weights: Path | None, trained: Path | None, count: int) -> None:
    judge = scorer.load(weights)
    sets = {
        "drawn scenes": stage.scenes(HELD_OUT_SEED, count),
        "degraded specimens": stage.hard(HELD_OUT_SEED, count),
    }
    if trained is not None:
        from adhere.mini.train.dial import TrainingRecipe
        from adhere.mini.train.recipe import trained_autoencoder

        pool = stage.decoded(
            trained / "scorer-held-out",
            trained_autoencoder(TrainingRecipe(), trained),
            min(count, 1000),
            HELD_OUT_SEED,
            {"purpose": "figures"},
            torch.device("cpu"),
            bar=False,
        )
        sets["decoded specimens"] = stage.as_set(pool)
    print(f"thresholds: finding {judge.threshold}, mixture {judge.mixture_threshold}")
    for name, (pictures, labels) in sets.items():
        start = time.perf_counter()
        judged = judging.figures(judge, pictures, labels)
        rate = len(pictures) / (time.perf_counter() - start)
        print(f"{name} ({len(pictures)}, {rate:.0f} a second): {_line(judged)}")


def agreement(pictures: Path, labels: Path, weights: Path | None) -> None:
    judged, differing = judging.agreement(
        scorer.load(weights), pictures, judging.read_labels(labels)
    )
    print(_line(judged))
    for label, sighting in differing:
        eye = ", ".join(sorted(label.subjects)) or "nothing"
        machine = ", ".join(
            f.subject + (f"+{f.mixed_with}" if f.mixed_with else "") + f" {f.confidence:.2f}"
            for f in sighting.findings
        )
        print(f"{label.picture}: eye {eye}; scorer {machine or 'nothing'}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge the scorer.")
    parser.add_argument("--weights", type=Path, help="instead of those that ship")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("figures")
    verb.add_argument("--trained", type=Path, help="folder of the trained autoencoder")
    verb.add_argument("--count", type=int, default=2000)
    for name in ("sheet", "agreement"):
        verb = verbs.add_parser(name)
        verb.add_argument("pictures", type=Path)
        verb.add_argument("sheets" if name == "sheet" else "labels", type=Path)
    given = parser.parse_args()
    if given.verb == "figures":
        figures(given.weights, given.trained, given.count)
    elif given.verb == "sheet":
        print(judging.labelling_sheet(given.pictures, given.sheets))
    else:
        agreement(given.pictures, given.labels, given.weights)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
