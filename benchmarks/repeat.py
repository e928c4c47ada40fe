"""Draws a part of a published run again from its plan.toml, and compares the scores.

    python benchmarks/repeat.py docs/results/mini --prompts 2

Each score is the mean over the seeds of one prompt. Numbers of a scorer that has changed since are
left out, and the command says which.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from adhere.drawing.loading import load
from adhere.evaluation.planfile import read_plan
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.scorers import scorer
from adhere.evaluation.scorers.cache import read, score
from adhere.evaluation.store import Store


class Score(NamedTuple):
    """One number of a published run, and what it is now."""

    prompt: str
    condition: str
    metric: str
    published: float
    now: float


def repeated(results: Path, prompts: int, folder: Path) -> tuple[list[Score], list[str]]:
    """The scores of the first prompts of a run's first set of which methods draw.

    Args:
        results: the published folder, with plan.toml, prompts.csv and results.csv.
        prompts: how many.
        folder: where it is drawn.

    Returns:
        The scores, and the scorers that have changed since.
    """
    file = read_plan(results / "plan.toml")
    sets = file.prompt_sets(results)
    first = next(one for one in sets if one.name not in file.baseline_only)
    if file.threads:
        torch.set_num_threads(file.threads)
    loaded = load(file.model, dtype=file.dtype, device=file.device)
    few = replace(first, prompts=first.prompts[:prompts])
    settings = file.settings | {"baseline_only": ()}
    plan = plan_run(loaded, file.built(), (few,), **settings)
    store = Store.create(folder, plan)
    draw_run(store, loaded)
    stated = pd.read_csv(results / "results.csv").groupby("scorer")["scorer_identity"].first()
    changed = []
    for name, identity in stated.items():
        own = scorer(str(name))
        if json.loads(identity) != dict(own.identity):
            changed.append(str(name))
            continue
        score(store, own)
    published = pd.read_csv(results / "prompts.csv").set_index(["set", *_KEYS])["value"]
    return list(_compared(store, published.xs(first.name))), changed


_KEYS = ["prompt", "condition", "scorer", "metric"]


def _compared(store: Store, published: pd.Series) -> Iterator[Score]:
    means = read(store).groupby(_KEYS)["value"].mean()
    for (prompt, condition, name, metric), value in means.items():  # type: ignore[misc]
        before = published.get((prompt, condition, name, metric))
        if before is not None and before == before:
            yield Score(prompt, condition, metric, float(before), float(value))


def main() -> None:
    """Prints each score, and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--prompts", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scores, changed = repeated(arguments.results, arguments.prompts, Path(folder) / "run")
    for one in scores:
        print(f"{one.prompt:16} {one.condition:24} {one.metric:24}", end=" ")
        print(f"{one.published:.4f} published, {one.now:.4f} now")
    for name in changed:
        print(f"left out: the scorer {name!r} has changed since")
    print(f"largest difference: {max(abs(one.published - one.now) for one in scores):.5f}")


if __name__ == "__main__":
    main()
