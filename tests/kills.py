"""Runs of the bundled model that are killed again and again: python kills.py FOLDER KILLS SEED.

The heavy imports happen once; each run is a fork of this process. FOLDER/calm is drawn without a
disturbance, FOLDER/killed-0 with so many SIGKILLs at random moments, FOLDER/killed-1 with those
that are left where it was done before, and so on. A kill comes a random moment after a random
number of rows.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from adhere.drawing.loading import load
from adhere.evaluation.plan import Condition
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.store import Store
from adhere.methods import AttendAndExcite, TokenReweighting

PROMPTS = PromptSet(
    "pairs",
    "these tests",
    (
        Prompt("cat-frog", "a cat and a frog", (Wanted("cat"), Wanted("frog"))),
        Prompt("car-bench", "a red car and a bench", (Wanted("car", "red"), Wanted("bench"))),
        Prompt("nothing", "and", ()),
    ),
)
CONDITIONS = (
    Condition("none"),
    Condition.of("nursed", AttendAndExcite(max_refinements=1)),
    Condition.of("words", TokenReweighting()),
)


def draw(loaded, folder):
    """What `adhere evaluate run` does between loading the model and scoring."""
    plan = plan_run(loaded, CONDITIONS, (PROMPTS,), seeds=range(2), steps=1, batch_size=2)
    draw_run(Store.create(folder, plan), loaded)


def begun(loaded, folder):
    """The id of a process that draws."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        draw(loaded, folder)
        code = 0
    finally:
        os._exit(code)


def count_rows(folder):
    """How many rows of a run are on disk."""
    return len(Store.open(folder).rows()) if (folder / "run.sqlite").exists() else 0


def main():
    """Prints for each killed run how many rows each kill left."""
    # Forks share no pool of threads.
    torch.set_num_threads(1)
    home, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    loaded = load("mini")
    calm = begun(loaded, home / "calm")
    while not count_rows(home / "calm"):
        time.sleep(0.01)
    started = time.monotonic()
    assert os.waitpid(calm, 0)[1] == 0
    total = count_rows(home / "calm")
    seconds = (time.monotonic() - started) / total
    # A run that is done before all kills are spent is followed by another one.
    runs: list[list[int]] = [[]]
    while sum(map(len, runs)) < kills:
        folder = home / f"killed-{len(runs) - 1}"
        rows = min(count_rows(folder) + chance.randint(0, 2), total - 1)
        child = begun(loaded, folder)
        while count_rows(folder) < rows:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 2 * seconds))
        os.kill(child, signal.SIGKILL)
        if os.waitpid(child, 0)[1] != signal.SIGKILL:
            runs.append([])
            continue
        runs[-1].append(count_rows(folder))
    assert os.waitpid(begun(loaded, folder), 0)[1] == 0
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
