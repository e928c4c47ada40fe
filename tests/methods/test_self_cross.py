"""Self-Cross Guidance: where one subject's cells look, no other is attended."""

import numpy as np
import pytest
import torch

from adhere.errors import UnsupportedPipeline
from adhere.methods.self_cross import SelfCross
from adhere.nursing import nurse
from families import FAMILIES
from method_maps import clip_columns, made, read, subject

from .captured import PROMPT, check, otsu, smoothed, softmaxed

ALWAYS = SelfCross(stop=1.0, refine_at=())


def looks(reading):
    """Self-attention, the mean over all heads of all layers."""
    total, heads = 0.0, 0
    for name, layer in reading.self_layers.items():
        total = total + reading.heads[name] * layer[0].double().numpy()
        heads += reading.heads[name]
    return total / heads


def by_hand(reading):
    soft, own = softmaxed(reading), looks(reading)
    maps = [smoothed(soft[..., token]) for token in (3, 7)]
    seen = []
    for grid in maps:
        total = np.zeros(own.shape[0])
        for cell, (value, inside) in enumerate(zip(grid.ravel(), otsu(grid).ravel(), strict=True)):
            if inside:
                total += value * own[cell]
        seen.append(total / total.sum())
    shared = []
    for a, b in ((0, 1), (1, 0)):
        other = maps[b].ravel() / maps[b].sum()
        shared.append(sum(min(x, y) for x, y in zip(seen[a], other, strict=True)))
    return 1 - min(grid.max() for grid in maps) + sum(shared) / 2


def score(reading):
    soft = softmaxed(reading)
    return min(smoothed(soft[..., token]).max() for token in (3, 7))


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(ALWAYS, by_hand, monkeypatch, score=score)


@pytest.mark.parametrize(("kind", "shared"), [("own", 0.0), ("everywhere", 3 / 8), ("other", 1.0)])
def test_where_cells_look(kind, shared):
    """Two discs of three rows, apart; cells look at themselves, everywhere, or at the other."""
    layer = torch.zeros((1, 8, 8, 6), dtype=torch.float64)
    layer[:, :3, :, 2], layer[:, 5:, :, 4] = 0.5, 0.5
    own = {
        "own": torch.eye(64),
        "everywhere": torch.full((64, 64), 1 / 64),
        "other": torch.eye(64).flip(1),
    }[kind].double()
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((5,), 6))
    reading = read(maps, [(subject(2), subject(4))])
    object.__setattr__(reading, "self_layers", {"layer": own[None]})
    # Smoothing leaves cells at the discs' edges, so that the answer is near.
    loss = SelfCross(temperature=None).loss(reading).item()
    assert loss == pytest.approx(0.5 + shared, abs=0.13 if kind != "own" else 1e-9)


def test_self_attention_in_reach_is_read_and_none_is_refused():
    for kind in ("flux", "sd3", "pixart-sigma"):
        toy = FAMILIES[kind]
        pipe = toy.build()
        method = SelfCross(stop=1.0, refine_at=(), temperature=None)
        with nurse(pipe, method, prompt=PROMPT) as trace:
            toy.run(pipe, PROMPT)
        assert trace.loss.isfinite().all() and trace.backwards == 3
    toy = FAMILIES["sana"]
    pipe = toy.build()
    with (
        pytest.raises(UnsupportedPipeline, match="self-cross reads self-attention, and Sana"),
        nurse(pipe, ALWAYS, prompt=PROMPT),
    ):
        toy.run(pipe, PROMPT)
