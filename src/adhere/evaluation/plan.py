"""What a run is: every setting that decides an image, and the order in which they are drawn."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from adhere.drawing.recipe import (
    MethodRecipe,
    ModelRecipe,
    Recipe,
    SchedulerRecipe,
    from_json,
)
from adhere.drawing.request import LARGEST_SEED, MOST_SEEDS
from adhere.errors import unknown
from adhere.evaluation.sets.prompt import Prompt, PromptSet
from adhere.methods import METHODS, Method
from adhere.methods.registry import methods_of, recipes_of
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum
from adhere.subjects import Subject
from adhere.typed import MOST_THREADS, PositiveCount, message, typed

SCHEMA = 1
BASELINE = "none"
# Folders of a run that hold something else than images.
RESERVED = ("scores", "report", "exports")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_COUNT = re.compile(r"[1-9][0-9]{0,3}")


class Unit(NamedTuple):
    """One image of a run; prompt is the id of the prompt within its set."""

    condition: str
    set: str
    prompt: str
    seed: int


@typed
class Condition:
    """What nurses in one column of the comparison.

    Attributes:
        name: a-z, 0-9 and hyphens; a folder of the run. "none" is the baseline.
        methods: with all their numbers; none for the baseline.
    """

    name: str
    methods: tuple[MethodRecipe, ...] = ()

    @classmethod
    def of(cls, name: str, *methods: Method) -> Condition:
        """A condition of methods as they are; several that move latents are summed.

        Raises:
            ValueError: a method that is not one of `METHODS`, or the same one twice, which the
                command that repeats the run could not say.
        """
        names = [recipe.name for recipe in recipes_of(methods)]
        for method in names:
            if method not in (*METHODS, Watch.name, WeightedSum.name):
                raise unknown("method of a run", method, METHODS)
            if names.count(method) > 1:
                raise ValueError(f"Condition {name!r} has {method!r} twice; give it once.")
        return cls(name, recipes_of(methods_of(recipes_of(methods))))

    @property
    def changes(self) -> bool:
        """Whether its images differ from the baseline's, as they do not where all only watch."""
        return any(method.name != Watch.name for method in self.methods)

    def built(self) -> tuple[Method, ...]:
        """The methods themselves.

        Raises:
            ValueError: an unknown method or parameter.
        """
        return tuple(methods_of(self.methods))


@typed
class Batch:
    """Images that are sampled together; it is drawn whole or not at all.

    Attributes:
        condition: its name.
        set: name of the prompt set.
        prompt: id of the prompt.
        seeds: one an image.
    """

    condition: str
    set: str
    prompt: str
    seeds: tuple[int, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Its images."""
        return tuple(Unit(self.condition, self.set, self.prompt, seed) for seed in self.seeds)


@typed
class Plan:
    """A run with every setting spelled out, so that equal plans give equal images.

    Attributes:
        model: "mini", a folder or a hub id.
        conditions: the baseline first.
        sets: what is drawn.
        seeds: the same ones for every condition and prompt.
        steps: of sampling.
        guidance_scale: of classifier-free guidance.
        negative_prompt: what guidance leads away from.
        size: width and height in pixels.
        scheduler: the scheduler.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda" or "mps".
        batch_size: how many seeds are sampled together; on some hardware the last bits of a
            image depend on it.
        revision: the commit of a hub id.
        weights: SHA-256 over the model's weights.
        environment: what `adhere.drawing.environment` gives.
        platform: what else the bytes of a file depend on.
        baseline_only: names of the sets of which no method draws, such as single subjects, which
            image quality is measured against.
    """

    model: str
    conditions: tuple[Condition, ...]
    sets: tuple[PromptSet, ...]
    seeds: tuple[int, ...]
    steps: int = 50
    guidance_scale: float = 7.5
    negative_prompt: str = ""
    size: tuple[int, int] = (128, 128)
    scheduler: SchedulerRecipe = field(default_factory=lambda: SchedulerRecipe("DDIMScheduler"))
    dtype: str = "float32"
    device: str = "cpu"
    batch_size: PositiveCount = 4
    revision: str | None = None
    weights: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)
    baseline_only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(c.name == BASELINE for c in self.conditions):
            object.__setattr__(self, "conditions", (Condition(BASELINE), *self.conditions))
        _check_names([c.name for c in self.conditions], "condition")
        for condition in self.conditions:
            if (condition.name == BASELINE) != (not condition.methods):
                raise ValueError(
                    f"Condition {condition.name!r} has {len(condition.methods)} methods; "
                    f"{BASELINE!r} is the baseline, and every other one has methods."
                )
            if condition.name in RESERVED:
                raise ValueError(
                    f"A condition cannot be called {condition.name!r}, which is a folder that "
                    "every run has for something else; choose another name."
                )
        _check_names([s.name for s in self.sets], "prompt set")
        for prompts in self.sets:
            _check_names([p.id for p in prompts.prompts], f"prompt of {prompts.name!r}")
        for name in self.baseline_only:
            if name not in (known := [s.name for s in self.sets]):
                raise unknown("set of the baseline only", name, known)
        _check_seeds(self.seeds)
        said = self.environment.get("threads", "1")
        if not _COUNT.fullmatch(said) or int(said) > MOST_THREADS:
            raise ValueError(
                f"Got {said[:20]!r} threads; give a whole number from 1 to {MOST_THREADS}."
            )

    @property
    def threads(self) -> int | None:
        """How many PyTorch draws with on a CPU; None on another device."""
        said = self.environment.get("threads")
        return None if said is None else int(said)

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """All batches, in an order in which a run that is stopped can be compared already.

        All conditions of a prompt come before the next prompt, prompts of the sets alternate by
        share, and all prompts have their first seeds before any has its next ones.
        """
        places = [
            ((place + 0.5) / len(prompts.prompts), number, prompts.name, prompt.id)
            for number, prompts in enumerate(self.sets)
            for place, prompt in enumerate(prompts.prompts)
        ]
        return tuple(
            Batch(condition.name, name, prompt, self.seeds[first : first + self.batch_size])
            for first in range(0, len(self.seeds), self.batch_size)
            for _, _, name, prompt in sorted(places, key=lambda one: one[:2])
            for condition in self.conditions
            if condition.name == BASELINE or name not in self.baseline_only
        )

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """All images, in the same order."""
        return tuple(unit for batch in self.batches for unit in batch.units)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(_canonical(self._settings()).encode()).hexdigest()

    @cached_property
    def _conditions(self) -> dict[str, Condition]:
        return {condition.name: condition for condition in self.conditions}

    @cached_property
    def _prompts(self) -> dict[tuple[str, str], Prompt]:
        return {(s.name, prompt.id): prompt for s in self.sets for prompt in s.prompts}

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {s.name: s.sha256 for s in self.sets}

    def condition(self, name: str) -> Condition:
        """The condition of a name, one of `conditions`."""
        return self._conditions[name]

    def prompt(self, of: Unit | Batch) -> Prompt:
        """The prompt of an image or a batch."""
        return self._prompts[of.set, of.prompt]

    def set_sha256(self, name: str) -> str:
        """The hash of a prompt set, one of `sets`."""
        return self._hashes[name]

    def recipe(
        self, unit: Unit, subjects: tuple[Subject, ...] = (), batch: tuple[int, ...] | None = None
    ) -> Recipe:
        """The recipe of an image.

        Args:
            unit: which one.
            subjects: what is nursed.
            batch: the seeds that are sampled together, this one among them; None for it alone.
        """
        return Recipe(
            prompt=self.prompt(unit).text,
            negative_prompt=self.negative_prompt,
            subjects=subjects,
            methods=self.condition(unit.condition).methods,
            seed=unit.seed,
            batch=(unit.seed,) if batch is None else batch,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            width=self.size[0],
            height=self.size[1],
            scheduler=self.scheduler,
            model=ModelRecipe(self.model, self.revision, self.weights),
            dtype=self.dtype,
            device=self.device,
            environment=self.environment,
        )

    def to_json(self) -> str:
        """The plan as JSON for a file; the same plan gives the same text."""
        head = {"schema": SCHEMA, "fingerprint": self.fingerprint}
        return json.dumps({**head, **self._settings()}, indent=1, allow_nan=False) + "\n"

    def _settings(self) -> dict[str, Any]:
        data = asdict(self)
        if not self.baseline_only:
            del data["baseline_only"]
        for stored, prompts in zip(data["sets"], self.sets, strict=True):
            stored["sha256"] = prompts.sha256
            for prompt in stored["prompts"]:
                # Runs of other prompts keep the fingerprint that they have.
                if prompt["geneval"] is None:
                    del prompt["geneval"]
                if not prompt["relations"]:
                    del prompt["relations"]
        return json.loads(json.dumps(data, allow_nan=False))

    def differences(self, other: Plan) -> list[str]:
        """What another plan has otherwise, a line each; empty where there is nothing."""
        found = []
        own, others = ({"baseline_only": [], **plan._settings()} for plan in (self, other))
        for name in own:
            before, after = own[name], others[name]
            if before == after:
                continue
            if name in ("conditions", "sets"):
                found += _changed_entries(name, before, after)
            elif isinstance(before, dict):
                found += [
                    f"{name} {key}: {before.get(key)}, now {after.get(key)}"
                    for key in sorted({*before, *after})
                    if before.get(key) != after.get(key)
                ]
            else:
                found.append(f"{name}: {_said(before)}, now {_said(after)}")
        return found


def plan_from_json(text: str) -> Plan:
    """Reads a plan that anyone may have written.

    Raises:
        ValueError: it is no plan, not of this schema, or was changed by hand.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        got = data.get("schema") if isinstance(data, dict) else None
        raise ValueError(f"it has schema {got!r:.20}, and this version of adhere reads {SCHEMA}")
    rest = {k: v for k, v in data.items() if k not in ("schema", "fingerprint")}
    try:
        for prompts in rest["sets"]:
            prompts.pop("sha256", None)
        plan = TypeAdapter(Plan).validate_json(json.dumps(rest))
        # Reading recipes checks the range of every setting.
        for condition in plan.conditions:
            unit = plan.units[0]._replace(condition=condition.name)
            from_json(plan.recipe(unit).to_json())
        is_same = plan.fingerprint == data.get("fingerprint")
    except ValidationError as error:
        raise ValueError(f"it is no plan of a run ({message(error, Plan)})") from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no plan of a run ({error})") from None
    if not is_same:
        raise ValueError("its content does not fit its fingerprint, so it was changed by hand")
    return plan


def _check_names(names: Sequence[str], what: str) -> None:
    if not names:
        raise ValueError(f"There is no {what}; give at least one.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a {what}, as it becomes a folder; use a-z, 0-9 and "
                "hyphens, at most 100 of them."
            )
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"There are two of {what} {twice[0]!r}; give each a name of its own.")


def _check_seeds(seeds: tuple[int, ...]) -> None:
    if not 0 < len(seeds) <= MOST_SEEDS or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"Got seeds {list(seeds)[:10]}; give from 1 to {MOST_SEEDS} whole numbers, none twice."
        )
    if not 0 <= min(seeds) <= max(seeds) <= LARGEST_SEED:
        raise ValueError("A seed is out of range; give whole numbers from 0 to 2**63 - 1.")


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _changed_entries(what: str, before: list[dict], after: list[dict]) -> list[str]:
    was, now = ({entry["name"]: entry for entry in entries} for entries in (before, after))
    found = [f"{what}: without {name!r} now" for name in was if name not in now]
    found += [f"{what}: {name!r} is new" for name in now if name not in was]
    for name in was:
        if name in now and was[name] != now[name]:
            found.append(f"{what}: {name!r} is not what it was{_detail(was[name], now[name])}")
    if not found:
        found.append(f"{what}: in another order")
    return found


def _detail(before: dict, after: dict) -> str:
    """Which numbers of a condition's methods are others."""
    changed = []
    for was, now in zip(before.get("methods", ()), after.get("methods", ()), strict=False):
        for name in was["parameters"]:
            value, other = was["parameters"][name], now["parameters"].get(name)
            if value != other:
                changed.append(f"{name} {_said(value)}, now {_said(other)}")
    return f" ({'; '.join(changed)})" if changed else ""


def _said(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
