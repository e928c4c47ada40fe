"""Last stage: the scorer, trained apart from the generator on specimens of what it may draw."""

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from tqdm import tqdm

from adhere.mini.detector import GRID, SIZE, STRIDE, WIDTHS, Detector, Prediction
from adhere.mini.scorer import FORMAT, Candidate, Scorer, candidates, sighting, to_network
from adhere.mini.train import checkpoint, degrade, loop
from adhere.mini.train.autoencoder import to_picture
from adhere.mini.train.dial import TrainingRecipe
from adhere.mini.train.precision import autocast
from adhere.mini.train.specimens import (
    JOINED,
    Label,
    Labels,
    pack,
    relation_of_any,
    specimen,
    unpack,
)
from adhere.mini.world.mix import random_scene
from adhere.mini.world.scene import Scene, boxes, draw
from adhere.mini.world.vocabulary import COLOURS, SUBJECTS

# How many specimens go through the autoencoder, and how often one of these is shown.
DECODED = 6144
DECODED_SHARE = 0.45
SHARD = 1024
HELD_OUT = 512
# How far from the best a pair of thresholds may be, in the harmonic mean of precision and recall.
NEAR_BEST = 0.004
# Purposes, kept apart by the random generator's key.
_DRAWN, _DECODED, _SCENES, _HARD, _JOINED = 11, 12, 13, 14, 15

Set = tuple[np.ndarray, list[list[Label]]]


@torch.no_grad()
def decoded(
    folder: Path,
    autoencoder: AutoencoderKL,
    count: int,
    seed: int,
    settings: dict,
    device: torch.device,
    bar: bool = True,
) -> dict[str, Tensor]:
    """Specimens as the autoencoder gives them back from spoilt latents, kept on disk.

    Latents get noise, fine and coarse, of up to a third of their deviation.

    Returns:
        `pictures` (count, 128, 128, 3) uint8 and the fields of `Labels` by name.

    Raises:
        ValueError: a shard is damaged, or made with other settings or another autoencoder.
    """
    shards = []
    settings = settings | {"autoencoder_sha256": checkpoint.digest(autoencoder)}
    for start in tqdm(range(0, count, SHARD), "decoded", disable=not bar):
        path = folder / f"decoded-{start // SHARD:03d}.safetensors"
        wanted = settings | {"start": start, "count": min(SHARD, count - start)}
        if path.exists():
            shards.append(checkpoint.load(path, wanted)[0])
            continue
        pictures, labels = [], []
        for first in range(start, start + wanted["count"], 32):
            numbers = range(first, min(first + 32, start + wanted["count"]))
            drawn = [specimen(np.random.default_rng((seed, _DECODED, i))) for i in numbers]
            labels += [pack(own) for _, own in drawn]
            images = to_network(torch.from_numpy(np.stack([p for p, _ in drawn]))).to(device)
            with autocast(device):
                means = autoencoder.encode(images, return_dict=False)[0].mean.float()
                noise = torch.Generator().manual_seed(seed * 1_000_003 + first)
                means = _spoil(means, noise)
                images = autoencoder.decode(means, return_dict=False)[0]  # type: ignore[arg-type]
                pictures.append(to_picture(images))
        shard = {"pictures": torch.from_numpy(np.concatenate(pictures))}
        for name in Labels._fields:
            shard[name] = torch.stack([getattr(own, name) for own in labels])
        checkpoint.save(path, shard, 0, wanted)
        shards.append(shard)
    return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}


def _spoil(latents: Tensor, random: torch.Generator) -> Tensor:
    batch, _, side, _ = latents.shape
    strength = 0.3 * torch.rand(2, batch, 1, 1, 1, generator=random) ** 2 * latents.std().cpu()
    fine = torch.randn(latents.shape, generator=random)
    coarse = torch.randn(batch, 4, side // 4, side // 4, generator=random)
    coarse = F.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)
    return latents + (strength[0] * fine + strength[1] * coarse).to(latents.device)


class Specimens(Dataset):
    """Specimens by number, with their labels: freshly drawn ones and decoded ones."""

    def __init__(self, seed: int, pool: dict[str, Tensor] | None) -> None:
        self.seed, self.pool = seed, pool

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        random = np.random.default_rng((self.seed, _DRAWN, index))
        if self.pool is not None and random.random() < DECODED_SHARE:
            row = int(random.integers(len(self.pool["pictures"])))
            return tuple(self.pool[name][row] for name in ("pictures", *Labels._fields))
        picture, labels = specimen(random)
        return torch.from_numpy(picture), *pack(labels)


class Targets:
    """What the network should say of every cell, from labels (B, K, ...).

    Attributes:
        centres: (B, 24, H, W), 1 at centres and falling off around them.
        asked: (B, 24, H, W), 0 where no answer is learnt from.
        weight: (B, H, W), how much the thing below a cell teaches its box, colour and mixture.
        subjects: (B, 24, H, W), 1 for the subject of that thing, a half for each of a mixture's.
        boxes: (B, 4, H, W), as in `Prediction`.
        colours: (B, 11, H, W), all zero where none is asked.
        mixtures: (B, H, W), 1 on mixtures.
    """

    def __init__(self, labels: Labels) -> None:
        """`labels` are those of a batch."""
        subject, other, box, colours, certain = labels
        batch, device = len(subject), subject.device
        middle = (box[..., :2] + box[..., 2:]) / 2 / STRIDE - 0.5
        size = ((box[..., 2:] - box[..., :2]) / STRIDE).clamp_min(0.5)
        cell = middle.round().clamp(0, GRID - 1)
        cells = torch.arange(GRID, device=device)
        across = cells.view(1, 1, 1, -1) - cell[..., 0, None, None]
        down = cells.view(1, 1, -1, 1) - cell[..., 1, None, None]
        spread = 0.45 + 0.06 * size.prod(-1).sqrt()[..., None, None]
        hill = torch.exp(-0.5 * (across**2 + down**2) / spread**2)
        used = (subject >= 0).float()[..., None, None]
        sure = used * certain[..., None, None]
        inside = (
            (across.abs() <= 0.5 * size[..., 0, None, None])
            & (down.abs() <= 0.5 * size[..., 1, None, None])
        ).float()
        self.centres = torch.zeros(batch, len(SUBJECTS), GRID, GRID, device=device)
        hidden = torch.zeros_like(self.centres)
        for which in (subject, other):
            index = which.clamp_min(0)[..., None, None].expand(-1, -1, GRID, GRID)
            self.centres.scatter_reduce_(1, index, hill * sure, "amax")
            hidden.scatter_reduce_(1, index, torch.maximum(inside, hill) * (used - sure), "amax")
        self.asked = torch.where(self.centres == 1, 1.0, 1 - (hidden > 0.05).float())
        strongest, owner = (hill * sure).max(1)
        self.weight = torch.where(strongest > 0.3, strongest, 0.0)

        def of_owner(values: Tensor) -> Tensor:
            """(B, K, N) values of each cell's thing, (B, N, H, W)."""
            index = owner.view(batch, -1, 1).expand(-1, -1, values.shape[-1])
            return values.gather(1, index).view(batch, GRID, GRID, -1).permute(0, 3, 1, 2)

        place = of_owner(middle)
        offset = torch.stack([place[:, 0] - cells, place[:, 1] - cells[:, None]], 1)
        twice = torch.zeros(batch, GRID, GRID, len(SUBJECTS), device=device)
        for which in (subject, other):
            of_cell = of_owner(which.clamp_min(0)[..., None])[:, 0, :, :, None]
            twice.scatter_add_(-1, of_cell, torch.full_like(of_cell, 0.5, dtype=torch.float32))
        self.subjects = twice.permute(0, 3, 1, 2)
        self.boxes = torch.cat([offset, of_owner(size.log())], 1)
        self.colours = of_owner(colours)
        self.mixtures = of_owner((subject != other).float()[..., None])[:, 0]


def detection_loss(said: Prediction, wanted: Targets) -> Tensor:
    """Focal loss of the centres (arXiv 1904.07850, eq. 1), and the errors of the rest.

    Box, colour and mixture are learnt at and around the centres of things, and so is which
    subject is likelier than another: centres alone say that of too few cells to learn fast.
    """
    log_yes, log_no = F.logsigmoid(said.centres), F.logsigmoid(-said.centres)
    chance = said.centres.sigmoid()
    is_centre = wanted.centres == 1
    hit = (1 - chance) ** 2 * log_yes
    quiet = (1 - wanted.centres) ** 4 * chance**2 * log_no
    things = is_centre.sum().clamp_min(1)
    focal = -(torch.where(is_centre, hit, quiet) * wanted.asked).sum() / things
    total = wanted.weight.sum().clamp_min(1)
    box = F.smooth_l1_loss(said.boxes, wanted.boxes, reduction="none", beta=0.25).sum(1)
    colour = -(said.colours.log_softmax(1) * wanted.colours).sum(1)
    mixture = F.binary_cross_entropy_with_logits(said.mixtures, wanted.mixtures, reduction="none")
    subject = -(said.centres.log_softmax(1) * wanted.subjects).sum(1)
    rest = (0.7 * subject + 0.5 * box + 0.7 * colour + 1.5 * mixture) * wanted.weight
    return focal + rest.sum() / total


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


def scenes(seed: int, count: int) -> Set:
    """Scenes of the world's mix whose things stand apart, by numbers that no training uses."""
    drawn = (random_scene(np.random.default_rng((seed, _SCENES, n))) for n in itertools.count())
    return labelled(itertools.islice((scene for scene in drawn if not scene.relations), count))


def joined(seed: int, count: int) -> Set:
    """Scenes of two joined things, those that are held out of the mix too."""

    def scene(number: int) -> Scene:
        random = np.random.default_rng((seed, _JOINED, number))
        return random_scene(random, relation=relation_of_any(random))

    return labelled(scene(number) for number in range(count))


def labelled(scenes: Iterable[Scene]) -> Set:
    """Scenes drawn, with a label of each thing."""
    pictures, labels = [], []
    for scene in scenes:
        pictures.append(draw(scene, SIZE))
        own = []
        for thing, box in zip(scene.things, boxes(scene, SIZE), strict=True):
            subject = SUBJECTS.index(thing.subject)
            left, top, right, bottom = (float(edge) for edge in box)
            colours = tuple(float(thing.colour == colour) for colour in COLOURS)
            own.append(Label(subject, subject, (left, top, right, bottom), colours))
        labels.append(own)
    return np.stack(pictures), labels


def hard(seed: int, count: int) -> Set:
    """Weathered specimens, by numbers that no training uses."""
    drawn = [specimen(np.random.default_rng((seed, _HARD, index))) for index in range(count)]
    images = to_network(torch.from_numpy(np.stack([picture for picture, _ in drawn])))
    weathered = degrade.weather(images, torch.Generator().manual_seed(seed))
    return to_picture(weathered), [labels for _, labels in drawn]


def as_set(pool: dict[str, Tensor]) -> Set:
    """Decoded specimens as pictures and labels."""
    rows = zip(*(pool[name] for name in Labels._fields), strict=True)
    return pool["pictures"].numpy(), [unpack(Labels(*row)) for row in rows]


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
