"""A recipe: everything that a picture was made from, as data that can be read without trust."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adhere.methods.registry import MethodRecipe
from adhere.subjects import Attribute, Subject

SCHEMA = 1
LONGEST_TEXT = 10_000
LONGEST_RECIPE = 200_000
LARGEST_SEED = 2**63 - 1
LARGEST_SIDE = 16_384
LARGEST_BATCH = 64
_MANY = 1_000

Scalar = str | int | float | bool | None

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


@dataclass(frozen=True)
class SchedulerRecipe:
    """A scheduler's class in diffusers and its configuration."""

    name: str
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRecipe:
    """A model, and how to tell whether it is the same one.

    Attributes:
        name: "mini", a folder or a hub id, as the user gave it; empty for a pipeline object
            that has no name.
        revision: the commit of a hub id.
        weights: SHA-256 over the weight files; None where they were not read from files by us.
    """

    name: str
    revision: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Recipe:
    """What one picture was made from.

    Attributes:
        prompt: the prompt.
        negative_prompt: what guidance leads away from.
        subjects: what was nursed; empty for a plain picture.
        methods: what nursed; empty for a plain picture.
        seed: of this picture's own random generator.
        batch: seeds of the pictures sampled together with it, itself included. A picture does
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

    prompt: str
    negative_prompt: str
    subjects: tuple[Subject, ...]
    methods: tuple[MethodRecipe, ...]
    seed: int
    batch: tuple[int, ...]
    steps: int
    guidance_scale: float
    width: int
    height: int
    scheduler: SchedulerRecipe
    model: ModelRecipe
    dtype: str
    device: str
    environment: Mapping[str, str] = field(default_factory=dict)

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
        raise ValueError("The recipe is no JSON.") from None
    names = ["schema", *Recipe.__dataclass_fields__]
    got = _table(data, "recipe", names)
    if got["schema"] != SCHEMA or isinstance(got["schema"], bool):
        raise ValueError(
            f"The recipe has schema {str(got['schema'])[:20]!r}; this version reads {SCHEMA}."
        )
    seed = _whole(got["seed"], "seed", 0, LARGEST_SEED)
    batch = tuple(_whole(s, "batch", 0, LARGEST_SEED) for s in _list(got["batch"], "batch"))
    if len(batch) > LARGEST_BATCH:
        raise _wrong("batch", f"at most {LARGEST_BATCH} seeds")
    if seed not in batch:
        raise _wrong("batch", "seeds that include the picture's own")
    environment = _table(got["environment"], "environment")
    return Recipe(
        prompt=_text(got["prompt"], "prompt"),
        negative_prompt=_text(got["negative_prompt"], "negative_prompt"),
        subjects=tuple(_subject(s) for s in _list(got["subjects"], "subjects")),
        methods=tuple(_method(m) for m in _list(got["methods"], "methods")),
        seed=seed,
        batch=batch,
        steps=_whole(got["steps"], "steps", 1, _MANY),
        guidance_scale=_number(got["guidance_scale"], "guidance_scale"),
        width=_whole(got["width"], "width", 1, LARGEST_SIDE),
        height=_whole(got["height"], "height", 1, LARGEST_SIDE),
        scheduler=_scheduler(got["scheduler"]),
        model=_model(got["model"]),
        dtype=_text(got["dtype"], "dtype", 20),
        device=_text(got["device"], "device", 20),
        environment={
            _text(name, "environment", 40): _text(value, "environment", 100)
            for name, value in environment.items()
        },
    )


def _subject(value: object) -> Subject:
    # Recipes that were written before subjects could have boxes lack one.
    value = {"box": None, **_table(value, "subject")}
    got = _table(value, "subject", ["text", "token_indices", "attributes", "count", "box"])
    attributes = []
    for one in _list(got["attributes"], "attributes"):
        attribute = _table(one, "attribute", ["text", "token_indices"])
        attributes.append(
            Attribute(_text(attribute["text"], "attribute"), _indices(attribute["token_indices"]))
        )
    return Subject(
        _text(got["text"], "subject"),
        _indices(got["token_indices"]),
        tuple(attributes),
        _whole(got["count"], "count", 1, 1_000_000),
        None if got["box"] is None else _box(got["box"]),
    )


def _box(value: object) -> tuple[float, float, float, float]:
    sides = tuple(_number(side, "box") for side in _list(value, "box"))
    if len(sides) != 4 or max(sides) > 1 or sides[0] >= sides[2] or sides[1] >= sides[3]:
        raise _wrong("box", "left, top, right and bottom in fractions of the image")
    return sides  # type: ignore[return-value]


def _indices(value: object) -> tuple[int, ...]:
    indices = tuple(_whole(i, "token_indices", 0, 511) for i in _list(value, "token_indices"))
    if not indices:
        raise _wrong("token_indices", "at least one")
    return indices


def _method(value: object) -> MethodRecipe:
    got = _table(value, "method", ["name", "parameters"])
    parameters = _table(got["parameters"], "parameters")
    return MethodRecipe(
        _text(got["name"], "method", 100),
        {_text(k, "parameters", 100): _value(v, "parameters") for k, v in parameters.items()},
    )


def _scheduler(value: object) -> SchedulerRecipe:
    got = _table(value, "scheduler", ["name", "config"])
    config = _table(got["config"], "scheduler")
    return SchedulerRecipe(
        _text(got["name"], "scheduler", 100),
        {_text(k, "scheduler", 100): _value(v, "scheduler") for k, v in config.items()},
    )


def _model(value: object) -> ModelRecipe:
    got = _table(value, "model", ["name", "revision", "weights"])
    return ModelRecipe(
        _text(got["name"], "model", 1_000),
        *(None if got[k] is None else _text(got[k], k, 64) for k in ("revision", "weights")),
    )


def _value(value: object, what: str, depth: int = 2) -> object:
    """A scalar, or lists of scalars two deep; whole numbers small enough to be lengths."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, what, 1_000)
    if isinstance(value, int):
        return _whole(value, what, -1_000_000, 1_000_000)
    if isinstance(value, float):
        return _number(value, what, -math.inf)
    if isinstance(value, list) and depth:
        return [_value(part, what, depth - 1) for part in _list(value, what)]
    raise _wrong(what, "numbers, words and short lists of them")


def _table(value: object, what: str, keys: list[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > _MANY:
        raise _wrong(what, "a table")
    if keys is not None and set(value) != set(keys):
        raise _wrong(what, f"exactly {', '.join(keys)}")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MANY:
        raise _wrong(what, f"a list of at most {_MANY}")
    return value


def _text(value: object, what: str, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise _wrong(what, f"text of at most {longest} characters")
    if longest < LONGEST_TEXT and not value.isprintable():
        raise _wrong(what, "text without control characters")
    return value


def _whole(value: object, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _wrong(what, f"whole numbers from {low} to {high}")
    return value


def _number(value: object, what: str, low: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(what, "numbers")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < low:
        raise _wrong(what, "finite numbers in range")
    return number


def _wrong(what: str, expected: str) -> ValueError:
    return ValueError(f"The recipe's {what} should be {expected}; it was not written by adhere.")


def _quoted(value: object) -> str:
    """A value of the parameters line; what would break the line stands in JSON quotes."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else text
