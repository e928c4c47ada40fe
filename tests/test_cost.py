"""What nursing may cost, counted on Stable Diffusion 1.5's U-Net without its weights."""

import importlib.util
import sys
from pathlib import Path


def test_operations_of_the_nursing_pass(monkeypatch):
    path = Path(__file__).parents[1] / "benchmarks" / "cost.py"
    spec = importlib.util.spec_from_file_location("cost", path)
    cost = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cost", cost)
    spec.loader.exec_module(cost)
    found = cost.operations()
    whole, nursing = found["whole pass"], found["adhere"]
    assert nursing.forward <= 0.50 * whole.forward
    assert nursing.backward <= 0.49 * whole.backward
    # Fifty steps with guidance, the first half of them nursed once.
    run = 100 * whole.forward + 25 * (nursing.forward + nursing.backward)
    assert run <= 1.27 * 100 * whole.forward
    # The same operations are not counted where everything is passed.
    assert found["diffusers"].forward > 0.99 * whole.forward
