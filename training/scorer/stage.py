"""Last stage: the scorer, trained apart from the generator on specimens of what it may draw."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from adhere.mini.detector import SIZE, WIDTHS, Detector, Prediction
from adhere.mini.scorer import FORMAT, Candidate, Scorer, candidates, sighting, to_network
from adhere.mini.vocabulary import COLOURS, SUBJECTS
from training import checkpoint, loop
from training.dial import TrainingRecipe
from training.precision import autocast
from training.scorer import degrade
from training.scorer.sets import as_set, decoded, hard, joined, scenes
from training.scorer.specimens import (
    JOINED,
    Label,
    Labels,
    pack,
    specimen,
)
from training.scorer.targets import Targets, detection_loss

# How many specimens go through the autoencoder, and how often one of these is shown.
DECODED = 6144
DECODED_SHARE = 0.45
HELD_OUT = 512
# How far from the best a pair of thresholds may be, in the harmonic mean of precision and recall.
NEAR_BEST = 0.004
# The purpose of fresh specimens in the random generator's key; `sets` has the others.
DRAWN = 11


class Specimens(Dataset):
    """Specimens by number, with their labels: freshly drawn ones and decoded ones."""

    def __init__(self, seed: int, pool: dict[str, Tensor] | None) -> None:
        self.seed, self.pool = seed, pool

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        random = np.random.default_rng((self.seed, DRAWN, index))
        if self.pool is not None and random.random() < DECODED_SHARE:
            row = int(random.integers(len(self.pool["pictures"])))
            return tuple(self.pool[name][row] for name in ("pictures", *Labels._fields))
        picture, labels = specimen(random)
        return torch.from_numpy(picture), *pack(labels)


class ScorerStage(loop.Stage):
    """The detector on warped and weathered specimens."""

    name = "scorer"
    report_every = 500
    ema_decay = 0.997

    def __init__(
        self,
        recipe: TrainingRecipe,
        pool: dict[str, Tensor],
        held_out: dict[str, Tensor],
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`pool` holds decoded specimens to learn from, `held_out` some to report on.

        With the weights of a trained detector as `start`, at half the learning rate.
        """
        torch.manual_seed(recipe.seed + 2)
        self.model = Detector(WIDTHS)
        if start is not None:
            self.model.load_state_dict(start)
        self.modules = {"detector": self.model}
        self.steps, self.batch_size = recipe.steps(4000), 32
        self.lr = 3e-3 if start is None else 1.5e-3
        self.settings = recipe.settings() | {
            "stage": self.name,
            "steps": self.steps,
            "decoded": len(pool["pictures"]),
            "joined": JOINED,
        }
        self.seed, self.pool, self.held_out = recipe.seed, pool, held_out

    def dataset(self) -> Dataset:
        """Specimens by number."""
        return Specimens(self.seed, self.pool)

    def loss(self, batch: list[Tensor], step: int, device: torch.device) -> Tensor:
        """The detection loss of warped and weathered specimens."""
        pictures, labels = batch[0], Labels(*batch[1:])
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        images, boxes = degrade.warp(to_network(pictures.to(device)), labels.box, random)
        images = degrade.weather(images, random)
        moved = _cut(labels, boxes)
        with autocast(device):
            said = self.model(images)
        return detection_loss(said, Targets(Labels(*(part.to(device) for part in moved))))

    def report(self, device: torch.device) -> tuple[dict[str, float], np.ndarray]:
        """Presence on four held-out sets, and a sheet of what is found in two of them."""
        self.model.eval()
        sets = {
            "scenes": scenes(self.seed, 256),
            "joined": joined(self.seed, 256),
            "hard": hard(self.seed, 256),
            "decoded": as_set(self.held_out),
        }
        figures = {}
        for name, (pictures, labels) in sets.items():
            found = look(self.model, pictures, device)
            precision, recall = presence(found, labels, 0.4, 0.5)
            figures |= {f"{name}_precision": precision, f"{name}_recall": recall}
        shown = np.concatenate([sets["hard"][0][:16], sets["decoded"][0][:16]])
        sheet = overlay(shown, look(self.model, shown, device))
        self.model.train()
        return {k: round(v, 4) for k, v in figures.items()}, sheet


def _cut(labels: Labels, boxes: Tensor) -> Labels:
    """Labels with boxes cut at the picture's edge; things half outside are uncertain."""
    inside = boxes.clamp(0, SIZE)

    def area(box: Tensor) -> Tensor:
        return (box[..., 2:] - box[..., :2]).clamp_min(0).prod(-1)

    seen = area(inside) / area(boxes).clamp_min(1e-3)
    return labels._replace(box=inside, certain=labels.certain * (seen > 0.6))


def look(detector: Detector, pictures: np.ndarray, device: torch.device) -> list[list[Candidate]]:
    """Candidates in pictures (N, 128, 128, 3) uint8."""
    found = []
    with torch.no_grad():
        for start in range(0, len(pictures), 64):
            part = torch.from_numpy(pictures[start : start + 64]).to(device)
            said = detector(to_network(part))
            found += candidates(Prediction(*(field.cpu() for field in said)))
    return found


def presence(
    found: list[list[Candidate]],
    labels: list[list[Label]],
    threshold: float,
    mixture_threshold: float,
) -> tuple[float, float]:
    """Precision and recall of each subject's presence in each picture, all counted together.

    Subjects of uncertain things are left out; a mixture makes neither of its two present.
    """
    right = said = wanted = 0
    for own, truth in zip(found, labels, strict=True):
        sure = {SUBJECTS[t.subject] for t in truth if t.certain and t.subject == t.other}
        unsure = {SUBJECTS[s] for t in truth if not t.certain for s in (t.subject, t.other)} - sure
        seen = sighting(own, threshold, mixture_threshold).subjects - unsure
        right += len(seen & sure)
        said += len(seen)
        wanted += len(sure)
    return right / max(said, 1), right / max(wanted, 1)


def calibrate(found: list[list[Candidate]], labels: list[list[Label]]) -> tuple[float, float]:
    """The two thresholds at which presence is told best.

    Best is the harmonic mean of precision and recall. It hardly changes around its highest
    value, so of all pairs within `NEAR_BEST` of it the strictest is taken: the highest threshold
    of findings, and of those the lowest of mixtures, which keeps most of them out.
    """

    def harmonic(pair: tuple[float, float]) -> float:
        precision, recall = presence(found, labels, *pair)
        return 2 * precision * recall / max(precision + recall, 1e-9)

    grid = {
        pair: harmonic(pair)
        for pair in ((t / 20, m / 20) for t in range(4, 15) for m in range(4, 17))
    }
    near = [pair for pair, value in grid.items() if value >= max(grid.values()) - NEAR_BEST]
    return min(near, key=lambda pair: (-pair[0], pair[1]))


def overlay(pictures: np.ndarray, found: list[list[Candidate]]) -> np.ndarray:
    """A sheet of pictures, 8 a row at twice their size, with what was found written in."""
    tiles = []
    for picture, own in zip(pictures, found, strict=True):
        image = Image.fromarray(picture).resize((2 * SIZE, 2 * SIZE))
        pen = ImageDraw.Draw(image)
        for finding in sighting(own, 0.4, 0.5).findings:
            box = [2 * edge for edge in finding.box]
            pen.rectangle(box, outline=(220, 0, 0) if finding.is_mixture else (0, 140, 0))
            said = [
                finding.colour,
                finding.subject,
                finding.mixed_with and "+" + finding.mixed_with,
            ]
            text = " ".join(part for part in said if part) + f" {finding.confidence:.2f}"
            pen.text(
                (box[0] + 2, box[1] + 1),
                text,
                fill=(0, 0, 0),
                stroke_width=1,
                stroke_fill=(255,) * 3,
            )
        tiles.append(np.asarray(image))
    while len(tiles) % 8:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.concatenate(tiles[i : i + 8], 1) for i in range(0, len(tiles), 8)]
    return np.concatenate(rows, 0)


def export(detector: Detector, thresholds: tuple[float, float], path: Path) -> None:
    """Write the weights, in half precision, with all that `scorer.load` needs.

    The file appears whole or not at all.
    """
    settings = {
        "subjects": SUBJECTS,
        "colours": tuple(COLOURS),
        "widths": WIDTHS,
        "threshold": thresholds[0],
        "mixture_threshold": thresholds[1],
    }
    tensors = {k: v.detach().half().contiguous().cpu() for k, v in detector.state_dict().items()}
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, {"format": FORMAT, "settings": json.dumps(settings)})
    os.replace(unfinished, path)


def train(
    recipe: TrainingRecipe,
    autoencoder: AutoencoderKL,
    folder: Path,
    device: torch.device,
    workers: int = 0,
    bar: bool = True,
    start: Mapping[str, Tensor] | None = None,
) -> Scorer:
    """Train the scorer, set its thresholds, and write `folder/scorer-weights.safetensors`.

    Args:
        recipe: its length scales the number of steps and of decoded specimens.
        autoencoder: the trained one, through which specimens go.
        folder: holds the checkpoint, the log, the sheets, and the decoded specimens.
        device: where.
        workers: processes that draw specimens.
        bar: whether to show progress bars.
        start: weights of a trained detector to go on from; None begins anew.
    """
    settings = recipe.settings() | {"joined": JOINED, "purpose": "decoded specimens"}
    count = recipe.steps(DECODED)
    wanted = count + recipe.steps(HELD_OUT)
    made = decoded(folder, autoencoder, wanted, recipe.seed, settings, device, bar)
    pool = {name: part[:count] for name, part in made.items()}
    held_out = {name: part[count:] for name, part in made.items()}
    stage = ScorerStage(recipe, pool, held_out, start)
    stage.settings |= {"autoencoder_sha256": checkpoint.digest(autoencoder)}
    loop.run(stage, folder, device, workers, bar=bar)
    stage.model.to("cpu").eval()
    found, labels = [], []
    size = recipe.steps(1000)
    sets = (
        scenes(recipe.seed, size),
        joined(recipe.seed, size),
        hard(recipe.seed, size),
        as_set(held_out),
    )
    for pictures, own in sets:
        found += look(stage.model, pictures, torch.device("cpu"))
        labels += own
    thresholds = calibrate(found, labels)
    export(stage.model, thresholds, folder / "scorer-weights.safetensors")
    return Scorer(stage.model, *thresholds)
