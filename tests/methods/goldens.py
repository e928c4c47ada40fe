"""Losses, scores and the lengths of shifts of every method that moves latents, on one toy run.

    PYTHONPATH=src:tests python -m methods.goldens

writes tests/goldens/methods.json anew.
"""

import json
from pathlib import Path

import pytest

from adhere.methods import METHODS, LatentMethod

from .captured import caught

FILE = Path(__file__).parents[1] / "goldens" / "methods.json"
MOVERS = sorted(name for name, kind in METHODS.items() if issubclass(kind, LatentMethod))
# Few iterations of what comes before or at a step, so that rounding cannot add up.
NUMBERS = {"stop": 1.0, "max_refinements": 2, "max_refinements_first": 2, "rounds": 1}
NUMBERS |= {"iterations": 2, "last_iterations": 2, "draws": 2}


def numbers(name, monkeypatch):
    """What a run of the method at its paper's numbers comes to."""
    kind = METHODS[name]
    known = {field: value for field, value in NUMBERS.items() if hasattr(kind(), field)}
    steps = caught(kind(**known), monkeypatch)
    return {
        "loss": [one.loss for one in steps],
        "score": [one.score for one in steps],
        "shift": [float(one.shift.norm()) for one in steps],
    }


def main():
    """Writes the file."""
    made = {}
    for name in MOVERS:
        with pytest.MonkeyPatch.context() as monkeypatch:
            made[name] = numbers(name, monkeypatch)
    FILE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
