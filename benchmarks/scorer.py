"""The scorer's figures, and its agreement with labels made by eye.

Usage:
    python benchmarks/scorer.py figures [--weights FILE] [--trained runs/mini] [--count 2000]
    python benchmarks/scorer.py draw PICTURES     200 of the bundled model, to label
    python benchmarks/scorer.py sheet PICTURES SHEETS
    python benchmarks/scorer.py agreement PICTURES LABELS
"""

import argparse
import time
from pathlib import Path

import torch
from tqdm import tqdm
from training.scorer import judging, sets

import adhere
from adhere.drawing.loading import load
from adhere.evaluation.prompts import prompt_set
from adhere.mini import scorer

# Apart from every seed of the recipe, whose own numbers train and calibrate.
HELD_OUT_SEED = 20_261_121


def _line(figures: dict) -> str:
    return "  ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )


def figures(weights: Path | None, trained: Path | None, count: int) -> None:
    judge = scorer.load(weights)
    examples = {
        "drawn scenes": sets.scenes(HELD_OUT_SEED, count),
        "joined scenes": sets.joined(HELD_OUT_SEED, count),
        "degraded specimens": sets.hard(HELD_OUT_SEED, count),
    }
    if trained is not None:
        from training.dial import TrainingRecipe
        from training.recipe import trained_autoencoder

        pool = sets.decoded(
            trained / "scorer-held-out",
            trained_autoencoder(TrainingRecipe(), trained),
            min(count, 1000),
            HELD_OUT_SEED,
            {"purpose": "figures"},
            torch.device("cpu"),
            bar=False,
        )
        examples["decoded specimens"] = sets.as_set(pool)
    print(f"thresholds: finding {judge.threshold}, mixture {judge.mixture_threshold}")
    for name, (pictures, labels) in examples.items():
        start = time.perf_counter()
        judged = judging.figures(judge, pictures, labels)
        rate = len(pictures) / (time.perf_counter() - start)
        print(f"{name} ({len(pictures)}, {rate:.0f} a second): {_line(judged)}")


def to_label() -> list[tuple[str, int, str | None, tuple[str, ...]]]:
    """Prompt, seed, method and subjects of 200 pictures; seeds that no tuning has used."""
    animals, mixed, objects = (
        prompt_set(f"attend-and-excite-{subset}").prompts
        for subset in ("animals", "animals-objects", "objects")
    )
    chosen = [
        *((prompt, 901, None) for prompt in animals),
        *((prompt, 902, "attend-and-excite") for prompt in animals[::2]),
        *((prompt, 903, None) for prompt in mixed[::3]),
        *((prompt, 904, None) for prompt in objects[::2]),
        *((prompt, 905, "attend-and-excite") for prompt in objects[1::3][:20]),
    ]
    return [
        (prompt.text, seed, method, tuple(wanted.subject for wanted in prompt.wanted))
        for prompt, seed, method in chosen
    ]


def draw(folder: Path) -> None:
    """Draw the pictures to be labelled: number, nothing else, is their name."""
    folder.mkdir(parents=True)
    model = load("mini")
    for number, (prompt, seed, method, _) in enumerate(tqdm(to_label())):
        [picture] = adhere.draw(prompt, model=model, method=method, seeds=[seed], steps=25).images
        picture.save(folder / f"{number:03d}.png", optimize=True)


def sheet(pictures: Path, sheets: Path) -> None:
    """Sheets to look at, and a file of labels to fill in."""
    asked = {f"{number:03d}.png": job[3] for number, job in enumerate(to_label())}
    print(judging.labelling_sheet(pictures, sheets, asked=asked))


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
    verb = verbs.add_parser("draw")
    verb.add_argument("pictures", type=Path)
    for name in ("sheet", "agreement"):
        verb = verbs.add_parser(name)
        verb.add_argument("pictures", type=Path)
        verb.add_argument("sheets" if name == "sheet" else "labels", type=Path)
    given = parser.parse_args()
    if given.verb == "figures":
        figures(given.weights, given.trained, given.count)
    elif given.verb == "draw":
        draw(given.pictures)
    elif given.verb == "sheet":
        sheet(given.pictures, given.sheets)
    else:
        agreement(given.pictures, given.labels, given.weights)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
