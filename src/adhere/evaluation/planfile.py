"""Plans as TOML files: what a user writes to begin a run, and what a run writes to be repeated.

    model = "mini"
    sets = ["attend-and-excite-animals", "prompts.csv"]
    seeds = [0, 1, 2, 3]
    steps = 25

    [[conditions]]
    name = "strong"

    [[conditions.methods]]
    name = "attend-and-excite"
    parameters = { step_size = 40, stop = 0.6 }

Only `sets` is needed. Several methods of a condition work together: the losses of those that move
latents are summed, each times its `weight`, with the schedule of the first, and edits of attention
run beside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from adhere.drawing.loading import MINI
from adhere.drawing.schedulers import short_name
from adhere.drawing.stated import stated_numbers
from adhere.evaluation.plan import BASELINE, Condition, Plan
from adhere.evaluation.prompts import PROMPT_SETS, PromptSet, prompt_set
from adhere.evaluation.sets.prompt import plain_set, set_of
from adhere.methods import METHODS, LatentMethod, Method, make, with_parameters
from adhere.methods.registry import WEIGHT
from adhere.methods.schedule import Schedule
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum
from adhere.typed import NonNegative, PositiveCount, Threads, message, plain, typed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

_LONGEST_FILE = 10_000_000
_SETTINGS = (
    "seeds", "steps", "guidance_scale", "negative_prompt", "size", "scheduler", "batch_size",
    "baseline_only",
)  # fmt: skip


@typed
class MethodEntry:
    """A method of a condition.

    Attributes:
        name: one of `adhere.methods.METHODS`, or "watch", which changes nothing and keeps the
            attention of each subject.
        weight: factor of its loss in a sum; None for 1. The name "weighted-sum" stands for the
            sum's own schedule, and its parameters are those of a `Schedule`.
        numbers: what its parameters are before `parameters` changes some: those of the paper, of
            the authors' code where it differs, or those that the model states for itself.
        parameters: names to values.
    """

    name: str
    weight: float | None = None
    numbers: Literal["paper", "official", "stated"] = "paper"
    parameters: dict[str, Any] | None = None

    def made(self, model: str) -> Method:
        """The method.

        Args:
            model: whose stated numbers are meant.

        Raises:
            ValueError: an unknown method or parameter, a model that states no numbers for the
                method, or a weight of a method that has no loss.
        """
        stated = stated_numbers(model).get(self.name, {}) if self.numbers == "stated" else {}
        if self.numbers == "stated" and not stated:
            raise ValueError(
                f"The model {model!r} states no numbers for {self.name!r} (a file methods.json in "
                "its folder would); give them as parameters."
            )
        own = {key: plain(value) for key, value in (self.parameters or {}).items()}
        if self.name == WeightedSum.name:
            return WeightedSum((), Schedule(**own))
        if self.name == Watch.name:
            method = with_parameters(Watch(), own)
        else:
            method = make(self.name, {**stated, **own}, official=self.numbers == "official")
        if self.weight is None:
            return method
        if not isinstance(method, LatentMethod):
            raise ValueError(
                f"{self.name!r} has the weight {self.weight:g} and no loss that it could be a "
                "factor of; leave the weight out."
            )
        return self.weight * method


@typed
class ConditionEntry:
    """What nurses in one column of the comparison.

    Attributes:
        name: a-z, 0-9 and hyphens.
        methods: at least one; the baseline is added to every run.
    """

    name: str
    methods: tuple[MethodEntry, ...]

    def __post_init__(self) -> None:
        if not self.methods:
            raise ValueError(
                f"Condition {self.name!r} has no methods; give it some, or leave it out: the "
                "baseline is added to every run."
            )


@typed
class PlanFile:
    """A plan as its file has it. What is None is the model's own.

    Attributes:
        sets: names of prompt sets, of those in `prompts` too, or files, relative to the plan's
            folder.
        prompts: prompt sets written out, those that `sets` does not name behind all others.
        conditions: what is compared; None for every method at the numbers of its paper but for
            those that need boxes or joint attention.
        model: "mini", a folder or a hub id.
        seeds: the same ones for every condition and prompt.
        steps: of sampling.
        guidance_scale: of classifier-free guidance.
        negative_prompt: what guidance leads away from.
        size: width and height in pixels.
        scheduler: a short name, see `adhere.drawing.schedulers.SCHEDULERS`.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda" or "mps".
        batch_size: how many seeds are sampled together.
        threads: of PyTorch, on a CPU.
        baseline_only: names of the sets of which the baseline alone is drawn, such as "singles",
            which image quality is measured against; they are drawn whole.
        every: draws every n-th prompt of each other set, its first one among them.
        made_with: of the run that the file repeats: weights and versions.
    """

    sets: tuple[str, ...] = ()
    prompts: tuple[dict[str, Any], ...] = ()
    conditions: tuple[ConditionEntry, ...] | None = None
    model: str = MINI
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    steps: PositiveCount = 50
    guidance_scale: NonNegative | None = None
    negative_prompt: str = ""
    size: tuple[PositiveCount, PositiveCount] | None = None
    scheduler: str | None = None
    dtype: str | None = None
    device: str | None = None
    batch_size: PositiveCount = 4
    threads: Threads | None = None
    baseline_only: tuple[str, ...] = ()
    every: PositiveCount = 1
    made_with: dict[str, str] | None = None

    def prompt_sets(self, folder: Path) -> tuple[PromptSet, ...]:
        """The sets of prompts.

        Args:
            folder: of the plan.

        Raises:
            ValueError: none, an unknown set, or a file that cannot be read, with the line.
        """
        try:
            written = [set_of(one) for one in self.prompts]
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"`prompts` holds what is no prompt set: {error}.") from None

        own = {one.name: one for one in written}
        if len(own) < len(written):
            raise ValueError("`prompts` has two sets of one name; give each a name of its own.")

        def named(name: str) -> PromptSet:
            if name in own:
                return own.pop(name)
            is_name = name in PROMPT_SETS or not Path(name).suffix
            return prompt_set(name if is_name else str(folder / name))

        found = [*map(named, self.sets)]
        found += own.values()
        if not found:
            raise ValueError('`sets` is empty; name a set, as in sets = ["dvmp"].')
        return tuple(
            one
            if one.name in self.baseline_only
            else replace(one, prompts=one.prompts[:: self.every])
            for one in found
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `plan_run` that are neither the model, conditions nor prompt sets."""
        return {name: getattr(self, name) for name in _SETTINGS}

    def built(self) -> tuple[Condition, ...]:
        """The conditions, the baseline first.

        Raises:
            ValueError: see `MethodEntry.made`, or a name that two conditions have.
        """
        if self.conditions is None:
            return conditions_named(tuple(name for name in METHODS if not needs(name)))
        found = [
            Condition.of(one.name, *(method.made(self.model) for method in one.methods))
            for one in self.conditions
        ]
        return (Condition(BASELINE), *found)


def needs(name: str) -> str:
    """What a method needs that not every run has; empty for nothing."""
    kind = METHODS[name]
    if kind.needs_boxes:
        return "boxes"
    return "joint attention" if kind.needs_joint_attention else ""


def conditions_named(names: Sequence[str]) -> tuple[Condition, ...]:
    """Conditions of one method each, at the numbers of its paper, and the baseline."""
    chosen = [name for name in names if name != BASELINE]
    return (Condition(BASELINE), *(Condition.of(name, make(name)) for name in chosen))


def read_plan(path: Path) -> PlanFile:
    """Reads a plan that anyone may have written.

    Raises:
        ValueError: it is too large, no TOML, or not of the form; one line that names the place.
        OSError: it cannot be read.
    """
    if path.stat().st_size > _LONGEST_FILE:
        raise ValueError(f"{str(path)!r} is larger than {_LONGEST_FILE:,} bytes; it is no plan.")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no TOML: {error}.") from None
    try:
        # A strict check takes tables and lists for typed classes and tuples from JSON alone.
        return _ADAPTER.validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise ValueError(f"{str(path)!r}: {message(error, PlanFile)}") from None


_ADAPTER = TypeAdapter(PlanFile)


def to_toml(plan: Plan) -> str:
    """The file that repeats a run.

    All prompt sets are named in their order, and those that are not built in are written out.
    """
    import tomli_w

    model = plan.model if plan.revision is None else f"{plan.model.split('@')[0]}@{plan.revision}"
    data: dict[str, Any] = {
        "model": model,
        "sets": [s.name for s in plan.sets],
        "seeds": list(plan.seeds),
        "steps": plan.steps,
        "guidance_scale": plan.guidance_scale,
        "negative_prompt": plan.negative_prompt,
        "size": list(plan.size),
        "dtype": plan.dtype,
        "device": plan.device,
        "batch_size": plan.batch_size,
        "baseline_only": list(plan.baseline_only),
    }
    if scheduler := short_name(plan.scheduler):
        data["scheduler"] = scheduler
    if plan.threads is not None:
        data["threads"] = plan.threads
    made_with = {"fingerprint": plan.fingerprint, "weights": plan.weights or ""}
    data["made_with"] = {**made_with, **plan.environment, **plan.platform}
    data["conditions"] = [
        {"name": one.name, "methods": [_entry(m.name, m.parameters) for m in one.methods]}
        for one in plan.conditions
        if one.name != BASELINE
    ]
    data["prompts"] = [plain_set(s) for s in plan.sets if not _is_built_in(s)]
    # No conditions means the baseline alone; left out, every method.
    kept = {k: v for k, v in data.items() if v not in ([], "") or k == "conditions"}
    return tomli_w.dumps(kept)


def told_apart(file: PlanFile, plan: Plan) -> list[str]:
    """What has changed since the run that a file repeats, a line each."""
    made_with = dict(file.made_with or {})
    if made_with.pop("fingerprint", plan.fingerprint) == plan.fingerprint:
        return []
    now = {"weights": plan.weights or "", **plan.environment, **plan.platform}
    found = [f"{k}: {was}, now {now.get(k)}" for k, was in made_with.items() if now.get(k) != was]
    return found or ["the plan itself: its settings, its prompts, or the name of its model"]


def _is_built_in(prompts: PromptSet) -> bool:
    name = prompts.name
    return name in PROMPT_SETS and prompt_set(name).sha256 == prompts.sha256


def _entry(name: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """A method with all its parameters; TOML has no null, for which methods read "none"."""
    own = {k: "none" if v is None else v for k, v in parameters.items() if k != WEIGHT}
    if name == WeightedSum.name:
        # A schedule's None is its default, and no method reads its parameters.
        own = {k: v for k, v in parameters.items() if v is not None}
    weight = {"weight": parameters[WEIGHT]} if WEIGHT in parameters else {}
    return {"name": name, **weight, "parameters": own}
