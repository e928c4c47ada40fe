"""What the scorer learns from: scenes with things gone wrong on purpose, and what they count as.

The rules, by which a picture is also labelled by eye:

* A thing whose subject is told at a glance is present, however bent, blurred or discoloured.
* A thing that shows two subjects (an average, a half of each, patches of both, an animal's shape
  in another's colours) is a mixture of both. One subject in two styles is not.
* A ghost (under a quarter of its opacity), a remnant (under a quarter of it seen), a blob,
  a molten thing and a jumble of tiles are nothing. What lies between these and the plainly
  seen is not learnt from.
* What wears, carries or contains another thing is present also where half of it is covered.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from adhere.mini.vocabulary import ANIMALS, COLOURS, OBJECTS, PAIRINGS, SUBJECTS
from training.scorer import degrade
from training.world.backgrounds import background
from training.world.mix import BACKGROUND_KINDS, PAINTED, RELATION_KINDS, place, random_scene
from training.world.scene import Relation, Thing, below_rim, paste, placed
from training.world.sprites import STYLES
from training.world.vocabulary import SCENES

SIZE = 128
# The most things in a specimen.
MOST = 4
COUNTS = (0.06, 0.32, 0.38, 0.18, 0.06)
# Chance of two things being joined as in the world's scenes, and of a third beside them.
JOINED, BESIDE = 0.5, 0.3
SIZES = {1: (0.32, 0.95), 2: (0.30, 0.60), 3: (0.27, 0.45), 4: (0.26, 0.40)}
KINDS = {
    "plain": 0.58, "mixture": 0.15, "two styles": 0.04, "two colours": 0.03,
    "ghost": 0.05, "remnant": 0.05, "blob": 0.03, "jumble": 0.02, "melted": 0.05,
}  # fmt: skip
_COLOURS = tuple(COLOURS)


@dataclass(frozen=True)
class Label:
    """What one thing counts as.

    Attributes:
        subject: its number in `SUBJECTS`.
        other: the number of the other subject of a mixture, else `subject`.
        box: (left, top, right, bottom) in pixels.
        colours: chance of each of `COLOURS`; all zero where none is asked.
        certain: False where it is neither plainly there nor plainly not.
    """

    subject: int
    other: int
    box: tuple[float, float, float, float]
    colours: tuple[float, ...]
    certain: bool = True


class Labels(NamedTuple):
    """The labels of a picture, or of a batch, as tensors of K = 4 rows.

    Attributes:
        subject: (..., K) int64, -1 in unused rows.
        other: (..., K) int64.
        box: (..., K, 4).
        colours: (..., K, 11).
        certain: (..., K), 1 or 0.
    """

    subject: Tensor
    other: Tensor
    box: Tensor
    colours: Tensor
    certain: Tensor


def pack(labels: list[Label]) -> Labels:
    """A picture's labels as tensors."""
    packed = Labels(
        torch.full((MOST,), -1),
        torch.full((MOST,), -1),
        torch.zeros(MOST, 4),
        torch.zeros(MOST, len(_COLOURS)),
        torch.zeros(MOST),
    )
    for row, label in enumerate(labels):
        packed.subject[row], packed.other[row] = label.subject, label.other
        packed.box[row] = torch.tensor(label.box)
        packed.colours[row] = torch.tensor(label.colours)
        packed.certain[row] = float(label.certain)
    return packed


def unpack(packed: Labels) -> list[Label]:
    """What `pack` was given, of one picture."""
    subject, other, box, colours, certain = (part.tolist() for part in packed)
    return [
        Label(subject[k], other[k], tuple(box[k]), tuple(colours[k]), certain[k] > 0.5)
        for k in range(MOST)
        if subject[k] >= 0
    ]


def _spots(random: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """(x, y, size) of each thing, mostly with little overlap, now and then as it comes."""
    tries = 1 if random.random() < 0.12 else 25
    return place(random, [SIZES[count]] * count, tries)


def _things(random: np.random.Generator) -> list[Thing]:
    """Things of any subjects: every pair is as likely as every other, twins are common."""
    count = int(random.choice(len(COUNTS), p=COUNTS))
    kinds = count if random.random() < 0.7 else int(random.integers(1, max(count, 1) + 1))
    kinds = max(1, kinds)
    pool = [str(s) for s in random.choice(SUBJECTS, kinds, replace=False)]
    # As many of a kind as there are places left over.
    subjects = [*pool, *(str(random.choice(pool)) for _ in range(count - kinds))][:count]
    style, one_style = str(random.choice(STYLES)), random.random() < 0.7
    painted = {s: _paint(random, s) for s in pool}
    one_paint = random.random() < 0.7
    return [
        Thing(
            subject,
            painted[subject] if one_paint else _paint(random, subject),
            style if one_style else str(random.choice(STYLES)),
            *spot,
            bool(random.random() < 0.5),
        )
        for subject, spot in zip(subjects, _spots(random, count) if count else (), strict=True)
    ]


def relation_of_any(random: np.random.Generator) -> tuple[str, str, str]:
    """A (relation, thing, base), those that are held out of the mix too."""
    kind = str(random.choice(list(RELATION_KINDS), p=list(RELATION_KINDS.values())))
    pairing = PAIRINGS[kind]
    return kind, str(random.choice(pairing.things)), str(random.choice(pairing.bases))


def _joined(random: np.random.Generator) -> tuple[list[Thing], tuple[Relation, ...]]:
    """Two joined things of any subjects, now and then with another beside them."""
    relation = relation_of_any(random)
    others = [str(random.choice([s for s in SUBJECTS if s not in relation]))]
    scene = random_scene(random, others if random.random() < BESIDE else [], relation)
    return list(scene.things), scene.relations


def _paint(random: np.random.Generator, subject: str) -> str | None:
    if subject not in OBJECTS or random.random() > PAINTED:
        return None
    return str(random.choice(_COLOURS))


def _rival(random: np.random.Generator, thing: Thing) -> Thing:
    """Another subject in the same place, in most cases of the same kind."""
    kind = ANIMALS if thing.subject in ANIMALS else OBJECTS
    pool = kind if random.random() < 0.8 else SUBJECTS
    subject = str(random.choice([s for s in pool if s != thing.subject]))
    colour = _paint(random, subject)
    if subject in OBJECTS and thing.colour and random.random() < 0.4:
        colour = thing.colour
    return replace(thing, subject=subject, colour=colour, flip=bool(random.random() < 0.5))


def _share(random: np.random.Generator, side: int) -> np.ndarray | float:
    """How two things are put into one."""
    kind = random.random()
    if kind < 0.35:
        return random.uniform(0.35, 0.65)
    return degrade.halves(random, side) if kind < 0.75 else degrade.patches(random, side)


def _layer(thing: Thing) -> tuple[np.ndarray, int, int]:
    layer, left, top = placed(thing, SIZE)
    return layer.astype(np.float32), left, top


def _mixture(
    random: np.random.Generator, thing: Thing, layer: np.ndarray
) -> tuple[np.ndarray, Thing]:
    for _ in range(8):
        rival = _rival(random, thing)
        other = _layer(rival)[0]
        both_animals = thing.subject in ANIMALS and rival.subject in ANIMALS
        if both_animals and random.random() < 0.3:
            if degrade.colours_apart(layer, other) < 60:
                continue
            return degrade.in_colours_of(layer, other), rival
        share = _share(random, len(layer))
        # Both must be seen: neither with less than a quarter of its own surface.
        shares = np.broadcast_to(share, (*layer.shape[:2], 1))[..., 0]
        parts = [
            (weight * one[..., 3]).sum() / max(one[..., 3].sum(), 1.0)
            for weight, one in ((shares, layer), (1 - shares, other))
        ]
        if min(parts) > 0.3:
            return degrade.mix(layer, other, share), rival
    return degrade.mix(layer, other, 0.5), rival


def _clutter(random: np.random.Generator, canvas: np.ndarray) -> None:
    """One or two plain shapes that are nothing, in place."""
    for _ in range(int(random.integers(1, 3))):
        side = int(random.integers(20, 70))
        image = Image.new("RGBA", (2 * side, 2 * side))
        colour = (*(int(c) for c in random.integers(20, 250, 3)), 255)
        pen = ImageDraw.Draw(image)
        if random.random() < 0.5:
            pen.ellipse((0, int(random.integers(side)), 2 * side - 1, 2 * side - 1), fill=colour)
        else:
            points = random.uniform(0, 2 * side, (int(random.integers(3, 6)), 2))
            pen.polygon([(float(x), float(y)) for x, y in points], fill=colour)
        layer = np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32)
        if random.random() < 0.5:
            layer = degrade.smear(layer, random.uniform(1, 6))
        left, top = random.integers(-20, SIZE - 20, 2)
        paste(canvas, layer, int(left), int(top))


@dataclass
class _Standing:
    """A thing pasted into the picture, and what of it is not covered by later ones."""

    label: Label
    cover: np.ndarray
    whole: float


def _one_hot(colour: str | None) -> np.ndarray:
    return np.array([name == colour for name in _COLOURS], np.float32)


def _stand(
    random: np.random.Generator,
    thing: Thing,
    kind: str,
    canvas: np.ndarray,
    container: Thing | None = None,
) -> _Standing:
    """Paste a thing that went wrong in a certain way, without what a container hides of it."""
    layer, left, top = _layer(thing)
    whole, other, colours, certain, seen = layer[..., 3].sum(), thing, thing.colour, True, True
    target = _one_hot(colours)
    if kind == "mixture":
        layer, other = _mixture(random, thing, layer)
        # The colour of half a thing is not asked.
        target = _one_hot(thing.colour if thing.colour == other.colour else None)
        whole = layer[..., 3].sum()
    elif kind == "two styles":
        sibling = replace(thing, style=str(random.choice([s for s in STYLES if s != thing.style])))
        layer = degrade.mix(layer, _layer(sibling)[0], _share(random, len(layer)))
        whole = layer[..., 3].sum()
    elif kind == "two colours" and thing.colour is not None:
        sibling = replace(thing, colour=str(random.choice(_COLOURS)))
        layer = degrade.mix(layer, _layer(sibling)[0], degrade.halves(random, len(layer)))
        target = (target + _one_hot(sibling.colour)) / 2
    elif kind == "ghost":
        opacity = random.uniform(0.05, 0.9)
        layer[..., 3] *= opacity
        whole *= opacity
        seen, certain = opacity > 0.22, opacity > 0.5
    elif kind == "remnant":
        layer = degrade.erase(random, layer, random.uniform(0.05, 0.9))
    elif kind == "blob":
        blur = random.uniform(0.03, 0.22)
        layer = degrade.smear(layer, blur * len(layer))
        seen, certain = blur < 0.13, blur < 0.06
    elif kind == "melted":
        strength = 0.25 * random.random()
        layer = degrade.melt(random, layer, strength)
        whole = layer[..., 3].sum()
        seen, certain = strength < 0.125, strength < 0.05
    elif kind == "jumble":
        layer, seen = degrade.shuffle(random, layer), False
    if kind in ("plain", "mixture", "two styles") and random.random() < 0.3:
        layer = degrade.bend(random, layer)
        whole = layer[..., 3].sum()
    grown = (len(layer) - placed_side(thing)) // 2
    left, top = left - grown, top - grown
    if container is not None:
        before = max(layer[..., 3].sum(), 1.0)
        layer[..., 3][below_rim(container, SIZE, layer.shape[:2], left, top)] = 0
        whole *= layer[..., 3].sum() / before
    paste(canvas, layer, left, top)
    cover = np.zeros((SIZE, SIZE), np.float32)
    x0, y0 = max(left, 0), max(top, 0)
    part = layer[y0 - top :, x0 - left :, 3][: SIZE - y0, : SIZE - x0]
    cover[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part / 255
    rows, columns = np.nonzero(cover > 0.25 * max(float(cover.max()), 1e-3))
    box = (0.0, 0.0, 0.0, 0.0)
    if len(rows):
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        box = tuple(float(edge) for edge in box)
    label = Label(
        SUBJECTS.index(thing.subject),
        SUBJECTS.index(other.subject),
        box,  # type: ignore[arg-type]
        tuple(target.tolist()),
        certain,
    )
    return _Standing(label, cover, float(whole) / 255 if seen else float("inf"))


def placed_side(thing: Thing) -> int:
    """The side in pixels of a thing's layer."""
    return max(1, round(thing.size * SIZE))


def specimen(random: np.random.Generator) -> tuple[np.ndarray, list[Label]]:
    """A picture (128, 128, 3) uint8, and the labels of what it holds."""
    backdrop = str(random.choice(list(BACKGROUND_KINDS), p=list(BACKGROUND_KINDS.values())))
    backdrop = str(random.choice(list(SCENES))) if backdrop == "scene" else backdrop
    canvas = background(backdrop, int(random.integers(2**31)), SIZE).astype(np.float32)
    if random.random() < 0.12:
        _clutter(random, canvas)
    standing: list[_Standing] = []
    things, relations = _joined(random) if random.random() < JOINED else (_things(random), ())
    containers = {r.thing: things[r.base] for r in relations if r.kind == "in"}
    bases = {r.base for r in relations}
    for number, thing in enumerate(things):
        kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
        new = _stand(random, thing, kind, canvas, containers.get(number))
        for before in standing:
            before.cover *= 1 - new.cover
        standing.append(new)
    labels = []
    for number, one in enumerate(standing):
        seen = one.cover.sum() / max(one.whole, 1e-6)
        enough = 0.35 if number in bases else 0.55
        if seen > 0.25:
            labels.append(replace(one.label, certain=one.label.certain and seen > enough))
    return canvas.round().clip(0, 255).astype(np.uint8), labels
