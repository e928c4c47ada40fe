"""What a scorer is: images and prompts in, one number for each metric out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from PIL import Image

from adhere.evaluation.sets.prompt import Prompt

Group = Literal["presence", "binding", "relation", "count", "mixing", "alignment", "preservation"]
Values = dict[str, float | None]
Images = Sequence[Image.Image]
Prompts = Sequence[Prompt]
Baselines = Sequence[Image.Image | None]


@dataclass(frozen=True)
class Metric:
    """One number that a scorer gives an image.

    Attributes:
        name: such as "all-present"; unique in its scorer.
        group: what kind of thing it tells.
        higher_is_better: whether it is.
        description: one sentence for a report.
        when_failed: value of an image that could not be drawn, so that failing flatters no
            method; None where no number is honest, as for a cosine.
    """

    name: str
    group: Group
    higher_is_better: bool
    description: str
    when_failed: float | None = None


@dataclass(frozen=True)
class Judgement:
    """What a scorer says of one image.

    Attributes:
        values: one for each metric; 0…1 for a yes or no; None where the metric does not apply.
        details: what the numbers were made from, such as a caption or boxes; JSON.
    """

    values: Values
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Thing:
    """One thing that a scorer found in an image.

    Attributes:
        subject: what it is; of a mixture what shows most.
        confidence: 0…1.
        box: left, top, right and bottom in fractions of the image.
        colour: None where the scorer names none.
        mixed_with: the other subject of a mixture, or None.
    """

    subject: str
    confidence: float
    box: tuple[float, float, float, float]
    colour: str | None = None
    mixed_with: str | None = None

    @classmethod
    def seen(
        cls,
        subject: str,
        confidence: float,
        box: Sequence[float],
        size: tuple[int, int],
        **others: str | None,
    ) -> Thing:
        """A thing whose box is in pixels of an image of a size (width, height)."""
        left, top, right, bottom = (
            round(edge / side, 4) for edge, side in zip(box, (*size, *size), strict=True)
        )
        return cls(subject, round(confidence, 4), (left, top, right, bottom), **others)


def details_of(things: Sequence[Thing], features: Sequence[float] = ()) -> dict[str, Any]:
    """Things, and features of the whole image, as a judgement's details have them."""
    found = [{key: v for key, v in asdict(one).items() if v is not None} for one in things]
    rounded = [round(value, 4) for value in features]
    return {"found": found} | ({"features": rounded} if rounded else {})


def things_in(details: Mapping[str, Any]) -> tuple[Thing, ...] | None:
    """The things of a judgement's details; None of a scorer that finds none."""
    if "found" not in details:
        return None
    return tuple(Thing(**{**one, "box": tuple(one["box"])}) for one in details["found"])


class Scorer(ABC):
    """Gives images numbers.

    Attributes:
        name: in commands and file names.
        metrics: what it measures.
        identity: all that its numbers depend on: model, revision or hash, precision, templates,
            scale. Numbers of two identities are never mixed.
        compares_to_baseline: whether a value depends on the baseline image of the same seed.
    """

    name: ClassVar[str]
    metrics: tuple[Metric, ...]
    identity: Mapping[str, str]
    compares_to_baseline: ClassVar[bool] = False

    @abstractmethod
    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """What to say of each image.

        Args:
            images: RGB, of any size.
            prompts: what each was drawn from.
            baseline: the image of the same prompt and seed without a method; None where there is
                none.
        """

    def score(
        self, images: Images, prompts: Prompts, baseline: Baselines | None = None
    ) -> list[Values]:
        """The numbers alone, one dictionary an image; the arguments are those of `judge`."""
        baseline = [None] * len(images) if baseline is None else baseline
        return [judgement.values for judgement in self.judge(images, prompts, baseline)]

    def judge_failed(self, prompt: Prompt) -> Judgement:
        """What to say of an image that could not be drawn."""
        return Judgement({metric.name: metric.when_failed for metric in self.metrics})
