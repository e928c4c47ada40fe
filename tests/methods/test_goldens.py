"""Every method that moves latents does what it did when its numbers were written down."""

import json

import pytest

from .goldens import FILE, MOVERS, numbers


@pytest.mark.parametrize("name", MOVERS)
def test_a_run_comes_to_the_numbers_of_the_file(name, monkeypatch):
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert name in stored, "run: PYTHONPATH=src:tests python -m methods.goldens"
    found = numbers(name, monkeypatch)
    for key, expected in stored[name].items():
        assert found[key] == pytest.approx(expected, rel=1e-4, abs=1e-7)
