"""The command that makes a run again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from adhere.drawing.loading import SCHEDULERS
from adhere.drawing.recipe import MethodRecipe
from adhere.evaluation.plan import PLAIN, Condition, Plan
from adhere.evaluation.prompts import PROMPT_SETS, PromptSet
from adhere.methods.registry import WEIGHT, make, parameters_of
from adhere.typed import text_of

# How `adhere.evaluation.sets.own` begins the source of a file.
OWN_SOURCE = "the file "


def command(plan: Plan) -> str:
    """The line of a shell that makes a run of this plan.

    Files of prompts are named without their folder, and a scheduler that has no short name is
    left to the model: the fingerprint tells whether the plan is the same.
    """
    model = plan.model if plan.revision is None else f"{plan.model.split('@')[0]}@{plan.revision}"
    words = ["adhere", "evaluate", "run", "RUN"]
    words += ["--sets", ",".join(_file(prompts) for prompts in plan.sets)]
    words += ["--methods", ",".join(_condition(one) for one in plan.conditions)]
    words += ["--model", model, "--seeds", _seeds(plan.seeds)]
    words += ["--steps", str(plan.steps), "--guidance-scale", repr(plan.guidance_scale)]
    if plan.negative_prompt:
        words += ["--negative-prompt", plan.negative_prompt]
    words += ["--size", f"{plan.size[0]}x{plan.size[1]}"]
    words += _scheduler(plan)
    words += ["--dtype", plan.dtype, "--device", plan.device]
    words += ["--batch-size", str(plan.batch_size)]
    if "threads" in plan.environment:
        words += ["--threads", plan.environment["threads"]]
    return shlex.join(words)


def _file(prompts: PromptSet) -> str:
    """The name of a built-in set, or of the file that a set of the user's says it is from."""
    if prompts.name in PROMPT_SETS:
        return prompts.name
    said = prompts.source.removeprefix(OWN_SOURCE)
    return said if said != prompts.source else f"{prompts.name.removeprefix('own-')}.jsonl"


def _condition(condition: Condition) -> str:
    """As `--methods` reads it: name=method+0.5*method:parameter=value,..."""
    if condition.name == PLAIN:
        return PLAIN
    names = "+".join(_term(method) for method in condition.methods)
    head = names if condition.name == names else f"{condition.name}={names}"
    is_one = len(condition.methods) == 1
    changed = [
        f"{name if is_one else f'{method.name}.{name}'}={text_of(value)}"
        for method in condition.methods
        for name, value in _changed(method)
    ]
    return f"{head}:{','.join(changed)}" if changed else head


def _term(method: MethodRecipe) -> str:
    weight = method.parameters.get(WEIGHT)
    return method.name if weight is None else f"{text_of(weight)}*{method.name}"


def _changed(method: MethodRecipe) -> list[tuple[str, object]]:
    """The parameters that are not at their default; all, where the method is not known here."""
    try:
        usual = parameters_of(make(method.name))
    except ValueError:
        usual = {}
    usual[WEIGHT] = method.parameters.get(WEIGHT)
    return [(name, v) for name, v in method.parameters.items() if usual.get(name, ...) != v]


def _scheduler(plan: Plan) -> list[str]:
    """The short name of the class, where it is the only one of that class and these settings."""
    own = plan.scheduler
    fitting = [
        name
        for name, (kind, needed) in SCHEDULERS.items()
        if kind == own.name and all(own.config.get(k) == v for k, v in needed.items())
    ]
    return ["--scheduler", fitting[0]] if fitting else []


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds as "0-3,7"."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
