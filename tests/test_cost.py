"""What nursing may cost, counted on published configurations without their weights."""

import importlib

import pytest


@pytest.fixture
def cost(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend("benchmarks")
    return importlib.import_module("cost")


def test_operations_of_the_nursing_pass(cost):
    found = cost.operations()
    whole, nursing = found["whole pass"], found["adhere"]
    assert nursing.forward <= 0.50 * whole.forward
    assert nursing.backward <= 0.49 * whole.backward
    # Fifty steps with guidance, the first half of them nursed once.
    run = 100 * whole.forward + 25 * (nursing.forward + nursing.backward)
    assert run <= 1.27 * 100 * whole.forward
    # The same operations are not counted where everything is passed.
    assert found["diffusers"].forward > 0.99 * whole.forward


@pytest.mark.slow
def test_a_run_of_stable_diffusion_and_the_memory_of_flux(cost):
    models = cost.full_size.models()
    shown = {}
    for page, columns in cost.COLUMNS.items():
        text = page.read_text("utf-8")
        start, end = (text.index(mark) for mark in cost.MARKS)
        shown[columns] = text[start:end]
        for model in models.values():
            assert f"| {model['title']}, {model['pixels']} pixels |" in shown[columns]
    found = {name: cost.full_size.costs(models[name]) for name in ("sd15", "flux1-dev")}
    assert round(found["sd15"].run, 2) <= 1.26
    flux = found["flux1-dev"]
    assert flux.weights + flux.checkpointed.peak < 32e9
    assert flux.checkpointed.held < 0.2 * flux.nursing.held
    # Only layers up to the last that is read are passed: 19 of 57.
    assert flux.nursing.forward < 0.65 * flux.whole.forward
    for name, one in found.items():
        cells = cost.full_size.row(models[name], one)
        for columns, text in shown.items():
            line = " | ".join(cells[column] for column in columns)
            assert f"| {line} |" in text, "run python benchmarks/cost.py --write"
