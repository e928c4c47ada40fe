"""A recipe: everything that an image was made from, as data that can be read without trust."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, TypeAdapter, ValidationError

from adhere.drawing.request import LARGEST_BATCH, LONGEST_TEXT, Seed
from adhere.methods.registry import MethodRecipe
from adhere.subjects import Subject
from adhere.typed import (
    LARGEST_COUNT,
    MOST_ITEMS,
    Line,
    Name,
    NonNegative,
    Stored,
    message,
    typed,
)

SCHEMA = 1
LONGEST_RECIPE = 200_000
LARGEST_SIDE = 16_384

_SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DDPMScheduler": "DDPM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "LCMScheduler": "LCM",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}


def _bounded(subject: Subject) -> Subject:
    """The subject, if its numbers are those of a prompt."""
    for part in subject.words:
        indices = part.token_indices
        if not 0 < len(indices) <= MOST_ITEMS or not all(0 <= i < LONGEST_TEXT for i in indices):
            raise ValueError(
                "`token_indices` of a subject must be 1 or more numbers of 0 to "
                f"{LONGEST_TEXT - 1}."
            )
        if len(part.text) > LONGEST_TEXT:
            raise ValueError(f"`text` of a subject must be at most {LONGEST_TEXT} characters.")
    if not 1 <= subject.count <= LARGEST_COUNT:
        raise ValueError(f"`count` of a subject must be 1 to {LARGEST_COUNT}.")
    left, top, right, bottom = subject.box or (0, 0, 1, 1)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(
            "`box` must be left, top, right and bottom in fractions of the image, got "
            f"{subject.box}."
        )
    return subject


Side = Annotated[int, Ge(1), Le(LARGEST_SIDE)]
ShortName = Annotated[Line, MaxLen(20)]
Subjects = Annotated[tuple[Annotated[Subject, AfterValidator(_bounded)], ...], MaxLen(MOST_ITEMS)]


@typed
class SchedulerRecipe:
    """A scheduler's class in diffusers and its configuration."""

    name: Name
    config: Stored = field(default_factory=dict)


@typed
class ModelRecipe:
    """A model, and how to tell whether it is the same one.

    Attributes:
        name: "mini", a folder or a hub id, as the user gave it; empty for a pipeline object
            that has no name.
        revision: the commit of a hub id.
        weights: SHA-256 over the weight files; None where they were not read from files by us.
    """

    name: Annotated[Line, MaxLen(1_000)]
    revision: Annotated[Line, MaxLen(64)] | None
    weights: Annotated[Line, MaxLen(64)] | None


@typed
class Recipe:
    """What one image was made from.

    Attributes:
        prompt: the prompt.
        negative_prompt: what guidance leads away from.
        subjects: what was nursed, with boxes where they were given; empty for a baseline image.
        methods: what nursed; empty for a baseline image.
        seed: of this image's own random generator.
        batch: seeds of the images sampled together with it, itself included. An image does
            not depend on them, but on some hardware its last bits do.
        steps: as the pipeline counts them.
        guidance_scale: of classifier-free guidance.
        width: in pixels.
        height: in pixels.
        scheduler: the scheduler.
        model: the model.
        dtype: name of the weights' type, such as "float32".
        device: "cpu", "cuda" or "mps".
        environment: versions, and on a CPU threads and what it can do; others may change the
            last bits.
    """

    prompt: Annotated[str, MaxLen(LONGEST_TEXT)]
    negative_prompt: Annotated[str, MaxLen(LONGEST_TEXT)]
    subjects: Subjects
    methods: Annotated[tuple[MethodRecipe, ...], MaxLen(MOST_ITEMS)]
    seed: Seed
    batch: Annotated[tuple[Seed, ...], MinLen(1), MaxLen(LARGEST_BATCH)]
    steps: Annotated[int, Ge(1), Le(1_000)]
    guidance_scale: NonNegative
    width: Side
    height: Side
    scheduler: SchedulerRecipe
    model: ModelRecipe
    dtype: ShortName
    device: ShortName
    environment: Annotated[
        Mapping[Annotated[Line, MaxLen(40)], Annotated[Line, MaxLen(100)]], MaxLen(MOST_ITEMS)
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seed not in self.batch:
            raise ValueError("`batch` of a recipe must include its `seed`.")

    def to_json(self) -> str:
        """The recipe as one line of JSON; the same recipe gives the same line."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, allow_nan=False)

    def parameters_text(self) -> str:
        """The recipe as the text that image tools of the field look for under `parameters`.

        The prompt, the negative prompt, and one line of `name: value` pairs.
        """
        scheduler = self.scheduler.name
        is_sde = str(self.scheduler.config.get("algorithm_type", "")).startswith("sde")
        sampler = _SAMPLERS.get(scheduler, scheduler.removesuffix("Scheduler"))
        pairs: dict[str, object] = {
            "Steps": self.steps,
            "Sampler": f"{sampler} SDE" if is_sde else sampler,
            "CFG scale": f"{self.guidance_scale:g}",
            "Seed": self.seed,
            "Size": f"{self.width}x{self.height}",
        }
        if self.model.weights:
            pairs["Model hash"] = self.model.weights[:10]
        if self.model.name:
            pairs["Model"] = re.split(r"[/\\]", self.model.name.rstrip("/\\"))[-1]
        if self.methods:
            pairs["Method"] = " and ".join(method.name for method in self.methods)
            pairs["Subjects"] = ", ".join(subject.text for subject in self.subjects)
        for method in self.methods:
            for name, value in method.parameters.items():
                label = name.replace("_", " ").capitalize()
                pairs[label if label not in pairs else f"{method.name} {name}"] = value
        pairs["Version"] = f"adhere {self.environment.get('adhere', '')}".strip()
        lines = [self.prompt]
        if self.negative_prompt:
            lines.append(f"Negative prompt: {self.negative_prompt}")
        lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in pairs.items()))
        return "\n".join(lines).replace("\0", " ")


def from_json(text: str) -> Recipe:
    """Reads a recipe that anyone may have written, and believes nothing.

    Raises:
        ValueError: it is too long, no JSON, or not of the schema: a key missing or unknown, a
            value of another type or beyond its limits.
    """
    if len(text) > LONGEST_RECIPE:
        raise ValueError(f"The recipe is {len(text)} characters, more than {LONGEST_RECIPE}.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ValueError("The recipe is not valid JSON of one object.")
    schema = data.pop("schema", None)
    if schema != SCHEMA or isinstance(schema, bool):
        raise ValueError(
            f"The recipe has schema {str(schema)[:20]!r}; this version reads {SCHEMA}."
        )
    try:
        return TypeAdapter(Recipe).validate_json(json.dumps(data))
    except ValidationError as error:
        raise ValueError(
            f"The recipe was not written by adhere: {message(error, Recipe)}"
        ) from None


def _quoted(value: object) -> str:
    """A value of the parameters line; what would break the line stands in JSON quotes."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else text
