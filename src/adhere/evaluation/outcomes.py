"""What came of one image of a run: its row, its file, and what drawing it took."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from adhere import Trace
from adhere.drawing.png import image_png
from adhere.drawing.recipe import Recipe
from adhere.evaluation.plan import Plan, Unit
from adhere.subjects import Subject

SubjectsFrom = Literal["prompt set", "found", "none"]
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Row:
    """What the database says of one image.

    Attributes:
        unit: which one.
        recipe: everything it was made from: prompt, methods with all numbers, subjects with their
            token indices, model, revision and hash of its weights, scheduler, steps, guidance,
            precision, device, versions. The same stands in the image.
        set_sha256: hash of its prompt set.
        subjects_from: whether the prompt set stated the subjects, or they were found in the
            prompt; "none" for a baseline image, or where there are none.
        sha256: of the file; None where there is no image.
        error: why there is none, in a line; None where there is one.
    """

    unit: Unit
    recipe: Recipe
    set_sha256: str
    subjects_from: SubjectsFrom
    sha256: str | None
    error: str | None

    @property
    def text(self) -> str:
        """The prompt, letter for letter."""
        return self.recipe.prompt

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return {
            **self.unit._asdict(),
            "text": self.text,
            "sha256": self.sha256,
            "error": self.error,
            "set_sha256": self.set_sha256,
            "subjects_from": self.subjects_from,
            "recipe": json.loads(self.recipe.to_json()),
        }


@dataclass(frozen=True)
class Measurement:
    """What drawing one image took, which is never the same twice.

    Attributes:
        unit: which image.
        seconds: of its batch, divided by the images in it.
        peak_bytes: most memory of the GPU during its batch; None elsewhere.
        full_forwards: calls of the denoiser by the pipeline.
        truncated_forwards: passes for nursing, which end after the last layer read.
        backwards: gradients for nursing.
        flops: floating-point operations of the denoiser for this image, all branches; None
            where they could not be counted.
        worker: who drew it: its name on a cluster, and the kind of its processor or GPU.
    """

    unit: Unit
    seconds: float
    peak_bytes: int | None = None
    full_forwards: int = 0
    truncated_forwards: int = 0
    backwards: int = 0
    flops: int | None = None
    worker: str = ""


@dataclass(frozen=True)
class Attention:
    """How much attention an image paid to each subject, at each step at which maps were read.

    Attributes:
        subjects: their words.
        steps: numbers of the steps, from 0.
        means: (steps, subjects), raw mean attention over the image, before anything moved.
        peaks: (steps, subjects), the highest attention, as the method sees it.
    """

    subjects: tuple[str, ...]
    steps: tuple[int, ...]
    means: tuple[tuple[float, ...], ...]
    peaks: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, trace: Trace, sample: int) -> Attention | None:
        """That of one sample of a trace; None where no maps were read or it has no subject."""
        subjects = trace.subjects[sample] if trace.steps else ()
        if not subjects:
            return None
        rows = [(record.means[sample], record.peaks[sample]) for record in trace.steps]
        means, peaks = (
            tuple(tuple(float(f"{value:.4g}") for value in row) for row in part)
            for part in zip(*rows, strict=True)
        )
        steps = tuple(record.step.index for record in trace.steps)
        return cls(tuple(one.text for one in subjects), steps, means, peaks)


@dataclass(frozen=True)
class Outcome:
    """What came of one unit: a row, and for an image its file, what it took, and its attention."""

    row: Row
    data: bytes | None = None
    measurement: Measurement | None = None
    attention: Attention | None = None


def drawn(
    plan: Plan,
    unit: Unit,
    image: Image.Image,
    *,
    batch: tuple[int, ...] | None = None,
    subjects: tuple[Subject, ...] = (),
    subjects_from: SubjectsFrom = "none",
    measurement: Measurement | None = None,
    attention: Attention | None = None,
) -> Outcome:
    """The outcome of a unit that became an image.

    Args:
        plan: of the run.
        unit: which image.
        image: as drawn.
        batch: seeds sampled together, this one among them; None for it alone.
        subjects: what was nursed.
        subjects_from: where they came from.
        measurement: what it took.
        attention: what was read of it.
    """
    recipe = plan.recipe(unit, subjects, batch)
    data = image_png(image, recipe)
    digest = hashlib.sha256(data).hexdigest()
    row = Row(unit, recipe, plan.set_sha256(unit.set), subjects_from, digest, None)
    return Outcome(row, data, measurement, attention)


def failed(
    plan: Plan,
    unit: Unit,
    error: str,
    *,
    batch: tuple[int, ...] | None = None,
    subjects: tuple[Subject, ...] = (),
    subjects_from: SubjectsFrom = "none",
) -> Outcome:
    """The outcome of a unit that became no image; the arguments are those of `drawn`.

    Args:
        plan: of the run.
        unit: which image.
        error: why; its first line is kept.
        batch: seeds sampled together.
        subjects: what was nursed.
        subjects_from: where they came from.
    """
    line = next(iter(error.strip().splitlines()), "")[:_LONGEST_ERROR] or "unknown error"
    recipe = plan.recipe(unit, subjects, batch)
    return Outcome(Row(unit, recipe, plan.set_sha256(unit.set), subjects_from, None, line))
