"""Runs of the bundled model that are killed again and again: python kills.py FOLDER KILLS SEED.

The heavy imports happen once; each run is a fork of this process. FOLDER/calm is drawn without a
disturbance, FOLDER/killed with so many SIGKILLs at random moments.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from adhere.evaluation.plan import Condition
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.run import draw_run, plan_run
from adhere.evaluation.store import Store
from adhere.loading import load
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
    Condition.of("attend-and-excite", AttendAndExcite(refine_at=())),
    Condition.of("words", TokenReweighting()),
)


def draw(loaded, folder):
    """What `adhere evaluate run` does between loading the model and scoring."""
    plan = plan_run(loaded, CONDITIONS, (PROMPTS,), seeds=range(4), steps=1, batch_size=2)
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


def main():
    """Prints how many kills met a run that was alive, and how many rows each left."""
    # Forks share no pool of threads.
    torch.set_num_threads(1)
    home, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    loaded = load("mini")
    started = time.monotonic()
    assert os.waitpid(begun(loaded, home / "calm"), 0)[1] == 0
    whole = time.monotonic() - started
    rows = []
    while len(rows) < kills:
        child = begun(loaded, home / "killed")
        time.sleep(chance.uniform(0, whole / 5))
        os.kill(child, signal.SIGKILL)
        if os.waitpid(child, 0)[1] != signal.SIGKILL:
            break
        manifest = home / "killed" / "manifest.jsonl"
        rows.append(manifest.read_bytes().count(b"\n") if manifest.exists() else 0)
    assert os.waitpid(begun(loaded, home / "killed"), 0)[1] == 0
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
