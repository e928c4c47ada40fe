"""The scorer: from an image of the bundled model's world to what stands in it.

A *mixture* is a thing that shows two subjects at once: an average of two, one half of each, or
the shape of one with the colours of the other. It counts as neither subject's presence: who
asked for a cat and a frog and got a frog-coloured cat got neither. What cannot be recognised
(a blob of the right colour, a ghost) is not found at all.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from adhere.mini.detector import GRID, SIZE, STRIDE, Detector, Prediction
from adhere.mini.vocabulary import COLOURS, OBJECTS, PAIRINGS, SUBJECTS

SHIPPED = Path(__file__).parent / "data" / "scorer.safetensors"
FORMAT = "adhere scorer 1"
# Candidates below this are never looked at; thresholds lie above it.
FLOOR = 0.1
# Two boxes that share more than this part of their union hold the same thing, unless one of the
# two can be joined to the other, as glasses to a face.
SAME_THING = 0.5
_CAN_BE_JOINED = frozenset(
    frozenset((SUBJECTS.index(thing), SUBJECTS.index(base)))
    for pairing in PAIRINGS.values()
    for thing in pairing.things
    for base in pairing.bases
)

AnyImage = Image.Image | NDArray
Box = tuple[float, float, float, float]
_COLOURS = tuple(COLOURS)


@dataclass(frozen=True)
class Finding:
    """One thing found in an image.

    Attributes:
        subject: one of `SUBJECTS`; of a mixture the one that shows most.
        colour: one of `COLOURS` for objects, the nearest one where the artwork's own colours are
            none of them; None for animals.
        box: (left, top, right, bottom) in pixels of the image that was given.
        confidence: 0…1, of the subject.
        mixed_with: the other subject of a mixture; None for a thing that is one subject.
    """

    subject: str
    colour: str | None
    box: Box
    confidence: float
    mixed_with: str | None = None

    @property
    def is_mixture(self) -> bool:
        """Whether this shows two subjects at once, and so counts as neither."""
        return self.mixed_with is not None


def _check(subject: str) -> None:
    if subject not in SUBJECTS:
        raise ValueError(
            f"The scorer does not know {subject!r}; ask for one of {', '.join(SUBJECTS)}."
        )


@dataclass(frozen=True)
class Sighting:
    """All that was found in one image, the most certain first.

    Attributes:
        findings: the things, mixtures included.
    """

    findings: tuple[Finding, ...] = ()

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects that are present; a mixture makes neither of its two present."""
        return frozenset(f.subject for f in self.findings if not f.is_mixture)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each subject that is present."""
        return dict(Counter(f.subject for f in self.findings if not f.is_mixture))

    @property
    def mixtures(self) -> tuple[Finding, ...]:
        """The things that are two subjects at once."""
        return tuple(f for f in self.findings if f.is_mixture)

    def is_present(self, subject: str) -> bool:
        """Whether at least one thing is this subject.

        Raises:
            ValueError: the scorer does not know the subject.
        """
        _check(subject)
        return subject in self.subjects

    def count(self, subject: str) -> int:
        """How many things are this subject.

        Raises:
            ValueError: the scorer does not know the subject.
        """
        _check(subject)
        return self.counts.get(subject, 0)

    def colours(self, subject: str) -> tuple[str, ...]:
        """The colour of each thing that is this subject; empty for animals.

        Raises:
            ValueError: the scorer does not know the subject.
        """
        return tuple(f.colour for f in self.of(subject) if f.colour is not None)

    def of(self, subject: str) -> tuple[Finding, ...]:
        """The things that are this subject, mixtures left out.

        Raises:
            ValueError: the scorer does not know the subject.
        """
        _check(subject)
        return tuple(f for f in self.findings if f.subject == subject and not f.is_mixture)


class Candidate(NamedTuple):
    """A thing before thresholds; the box in pixels of an image of side 128."""

    confidence: float
    mixture: float
    subject: int
    other: int
    colour: int
    box: Box


def shared(a: Box, b: Box) -> float:
    """The part of two boxes' union that lies in both."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def candidates(prediction: Prediction) -> list[list[Candidate]]:
    """The peaks of each image, the most certain first, one for each thing.

    A peak is a cell that no neighbour exceeds. Of peaks whose boxes hold the same thing the
    strongest stays, whatever their subjects, but for two of which one can be joined to the other.
    """
    probabilities = prediction.centres.sigmoid()
    around = F.max_pool2d(probabilities, 3, stride=1, padding=1)
    is_peak = (probabilities == around) & (probabilities >= FLOOR)
    cells = torch.arange(GRID) + 0.5
    across = (cells + prediction.boxes[:, 0]) * STRIDE
    down = (cells[:, None] + prediction.boxes[:, 1]) * STRIDE
    width, height = (prediction.boxes[:, 2:].clamp(-2, 3).exp() * STRIDE / 2).unbind(1)
    edges = torch.stack([across - width, down - height, across + width, down + height], -1)
    edges = edges.clamp(0, SIZE)
    colour, mixture = prediction.colours.argmax(1), prediction.mixtures.sigmoid()
    found: list[list[Candidate]] = [[] for _ in probabilities]
    index = is_peak.nonzero()
    index = index[probabilities[tuple(index.T)].argsort(descending=True, stable=True)]
    for b, subject, row, column in index.tolist():
        left, top, right, bottom = edges[b, row, column].tolist()
        box = (left, top, right, bottom)
        if any(
            shared(box, kept.box) > SAME_THING
            and frozenset((subject, kept.subject)) not in _CAN_BE_JOINED
            for kept in found[b]
        ):
            continue
        others = around[b, :, row, column].clone()
        others[subject] = -1
        found[b].append(
            Candidate(
                probabilities[b, subject, row, column].item(),
                mixture[b, row, column].item(),
                subject,
                int(others.argmax()),
                int(colour[b, row, column]),
                box,
            )
        )
    return found


def sighting(
    found: Sequence[Candidate],
    threshold: float,
    mixture_threshold: float,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Sighting:
    """An image's candidates judged by thresholds; `scale` is (width, height) over 128."""
    findings = []
    for one in found:
        if one.confidence < threshold:
            continue
        subject = SUBJECTS[one.subject]
        left, top, right, bottom = one.box
        findings.append(
            Finding(
                subject,
                _COLOURS[one.colour] if subject in OBJECTS else None,
                (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]),
                one.confidence,
                SUBJECTS[one.other] if one.mixture >= mixture_threshold else None,
            )
        )
    return Sighting(tuple(findings))


def _as_image(image: AnyImage) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"The scorer got a {type(image).__name__}; give images as PIL images (of a file: "
            "Image.open(path)) or RGB arrays (of a tensor: tensor.permute(1, 2, 0).numpy())."
        )
    array = image
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(
            f"The scorer got an array of shape {array.shape}; give a list of PIL images or of "
            "RGB arrays of shape (height, width, 3)."
        )
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ValueError(
                "The scorer got a float array with values outside 0…1; scale it to 0…1 or "
                "give uint8."
            )
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(
            f"The scorer got an array of {array.dtype}; give uint8, or floats in 0…1."
        )
    return Image.fromarray(array)


def _resized(image: Image.Image) -> NDArray:
    """The image's pixels (128, 128, 3), without keeping its aspect."""
    is_fitting = image.size == (SIZE, SIZE)
    fitting = image if is_fitting else image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(fitting)


class Scorer:
    """Looks at images and says what stands in them.

    Args:
        detector: the trained network.
        threshold: the least confidence of a finding.
        mixture_threshold: the least probability at which a finding is a mixture.
    """

    batch_size = 64

    def __init__(self, detector: Detector, threshold: float, mixture_threshold: float) -> None:
        self.detector = detector.float().eval().requires_grad_(False)
        self.threshold, self.mixture_threshold = threshold, mixture_threshold

    def look(self, images: Sequence[AnyImage]) -> list[Sighting]:
        """What stands in each of several images.

        Args:
            images: PIL images or RGB arrays (height, width, 3), uint8 or floats in 0…1, of any
                sizes. Those of other sizes are resized to 128×128, without keeping their aspect.

        Raises:
            ValueError: no image, or an array of another shape, type or range.
        """
        given = [_as_image(one) for one in images]
        resized = [_resized(image) for image in given]
        found = [
            one
            for start in range(0, len(resized), self.batch_size)
            for one in self.candidates(np.stack(resized[start : start + self.batch_size]))
        ]
        return [
            sighting(
                one,
                self.threshold,
                self.mixture_threshold,
                (image.width / SIZE, image.height / SIZE),
            )
            for one, image in zip(found, given, strict=True)
        ]

    @torch.no_grad()
    def features(self, images: Sequence[AnyImage]) -> list[list[float]]:
        """What the detector reads of each image, averaged over it: 64 numbers from 0 on."""
        weight = self.detector.head.weight
        tensor = torch.from_numpy(np.stack([_resized(_as_image(one)) for one in images]))
        found = self.detector.features(to_network(tensor.to(weight.device)))
        return found.mean((2, 3)).tolist()

    @torch.no_grad()
    def candidates(self, images: NDArray) -> list[list[Candidate]]:
        """What may stand in images (B, 128, 128, 3) uint8, before thresholds."""
        weight = self.detector.head.weight
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(weight.device)
        prediction = self.detector(to_network(tensor))
        return candidates(Prediction(*(part.cpu() for part in prediction)))


def to_network(images: Tensor) -> Tensor:
    """Images (B, H, W, 3) in 0…255 as the network takes them: (B, 3, H, W) in -1…1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def load(path: Path | str | None = None) -> Scorer:
    """The scorer with the weights of a file, by default those that ship with the package.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    path = SHIPPED if path is None else Path(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"The scorer's weights in {path} cannot be read ({error}); install adhere again for "
            "the ones that ship with it, or name a file made by the recipe's scorer stage."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds no scorer (format {metadata.get('format')!r}, expected {FORMAT!r}); "
            "name a file made by the recipe's scorer stage."
        )
    try:
        settings = json.loads(metadata["settings"])
        known = (tuple(settings["subjects"]), tuple(settings["colours"]))
        if known != (SUBJECTS, _COLOURS):
            raise KeyError("other subjects or colours than this version's world")
        detector = Detector(tuple(settings["widths"]))
        detector.load_state_dict({key: value.float() for key, value in tensors.items()})
        return Scorer(detector, float(settings["threshold"]), float(settings["mixture_threshold"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"The scorer in {path} does not fit this version of adhere ({error}); "
            "install adhere again, or train the scorer again."
        ) from error
