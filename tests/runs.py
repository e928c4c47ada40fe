"""What the tests of evaluation runs share: small plans, images without a model, folders."""

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
from PIL import Image

from adhere.drawing.recipe import SchedulerRecipe
from adhere.evaluation.outcomes import Measurement, drawn
from adhere.evaluation.plan import Condition, Plan
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted
from adhere.evaluation.store import Store
from adhere.methods import AttendAndExcite, TokenReweighting

PAIRS = PromptSet(
    "pairs",
    "these tests",
    (
        Prompt("cat-frog", "a cat and a frog", (Wanted("cat"), Wanted("frog"))),
        Prompt("car-bench", "a red car and a bench", (Wanted("car", "red"), Wanted("bench"))),
    ),
)
CROWD = PromptSet(
    "crowd",
    "these tests",
    tuple(Prompt(f"p-{n}", f"a cat and {n} frogs", (Wanted("cat"),)) for n in range(4)),
)
PLAN = Plan(
    "mini",
    (
        Condition("none"),
        Condition.of("attend-and-excite", AttendAndExcite()),
        Condition.of("words", TokenReweighting()),
    ),
    (PAIRS, CROWD),
    (0, 1, 2, 3, 7),
    batch_size=2,
    scheduler=SchedulerRecipe("DDIMScheduler", {"beta_start": 0.00085}),
    environment={"adhere": "0.1.0", "torch": "2.13.0", "threads": "1"},
    platform={"pillow": "13.0.0"},
    weights="ab" * 32,
)


def small(**changes):
    """A plan of twelve images."""
    return replace(PLAN, sets=(PAIRS,), seeds=(0, 1), **changes)


def outcomes(plan, batch, seconds=1.0):
    """A batch drawn without a model: each image has a colour of its own."""
    made = []
    for unit in batch.units:
        colour = tuple(hashlib.sha256(repr(unit).encode()).digest()[:3])
        image = Image.fromarray(np.full((8, 8, 3), colour, dtype=np.uint8))
        taken = Measurement(unit, seconds, full_forwards=50, flops=10)
        made.append(drawn(plan, unit, image, batch=batch.seeds, measurement=taken))
    return made


def fill(store, most=None):
    """Draws what is missing, or so many batches of it."""
    with store.writing():
        for batch in store.missing()[:most]:
            store.keep(outcomes(store.plan, batch))
    return store


def filled(folder, plan=None):
    """A finished run."""
    return fill(Store.create(folder, plan or small()))


def files(folder, without=("run.sqlite", "run.sqlite-wal", "run.sqlite-shm")):
    """The content of every file of a run by its name, and its rows in the place of its database.

    Databases with the same rows differ by the time that each image took.
    """
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    }
    if "run.sqlite" in without and (folder / "run.sqlite").exists():
        found["rows"] = [row.to_dict() for row in Store.open(folder).rows()]
    return found


def change(database, statement):
    """Changes a database as a stranger would, and puts it back when asked."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(statement)
