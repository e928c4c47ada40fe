"""BoxDiff against its paper's formulas, written out again in loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adhere.methods.boxdiff import BoxDiff
from adhere.subjects import Subject
from method_maps import clip_columns, made

from .captured import BOXES, check, smoothed, softmaxed

ALWAYS = BoxDiff(stop=1.0, refine_at=())


def one_loss(own, box, share=0.2, corner=1):
    """The three constraints of one subject, and the mean inside."""
    height, width = own.shape
    x1, y1, x2, y2 = (round(v * n) for v, n in zip(box, (width, height) * 2, strict=True))
    inside, outside = [], []
    for y in range(height):
        for x in range(width):
            (inside if y1 <= y < y2 and x1 <= x < x2 else outside).append(own[y, x])
    means = []
    for values in (inside, outside):
        count = max(int(share * len(values)), 1)
        means.append(sum(sorted(values)[-count:]) / count)
    ends = 0.0
    for axis, first, last in ((0, x1, x2), (1, y1, y2)):
        profile = own.max(axis)
        for place, value in enumerate(profile):
            if min(abs(place - first), abs(place - last)) <= corner:
                ends += abs(value - (first <= place < last)) / len(profile)
    return 1 - means[0] + means[1] + ends, means[0]


def each(reading):
    """For both subjects the loss and the mean inside."""
    soft = softmaxed(reading)
    tokens = {"cat": 3, "frog": 7}
    return [one_loss(smoothed(soft[..., tokens[name]]), box) for name, box in BOXES.items()]


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(
        ALWAYS,
        lambda reading: sum(loss for loss, _ in each(reading)),
        monkeypatch,
        score=lambda reading: min(inside for _, inside in each(reading)),
    )


def waves():
    """Attention from a formula, with values worked out elsewhere."""
    i, j, k = np.ogrid[0:16, 0:16, 0:77]
    scores = 3 * np.sin(0.37 * (i + 1) * (k + 1)) + 2 * np.cos(0.21 * (j + 1) * (k + 2))
    maps = torch.as_tensor(scores).softmax(-1)[None]
    return made({"a": maps}, {"a": 1}, (16, 16), clip_columns((76,), 77))


def test_a_known_answer():
    subject = Subject("word", (2,), box=(2 / 16, 3 / 16, 9 / 16, 12 / 16))
    reading = replace(waves(), subjects=[[subject]])
    assert BoxDiff().loss(reading).item() == pytest.approx(1.3637394901, abs=1e-6)
    assert BoxDiff().score(reading).item() == pytest.approx(0.0974577560, abs=1e-6)


def test_attention_that_fills_its_box_costs_nothing():
    maps = torch.full((1, 8, 8, 5), 0.0, dtype=torch.float64)
    maps[..., 0] = 1.0
    maps[0, 2:6, 1:5, 2] = 1.0
    columns = clip_columns((4,), 5)
    subject = Subject("word", (2,), box=(1 / 8, 2 / 8, 5 / 8, 6 / 8))
    reading = replace(made({"a": maps}, {"a": 1}, (8, 8), columns), subjects=[[subject]])
    method = BoxDiff(temperature=None, smoothed=False)
    assert method.loss(reading).item() == 0
    assert method.score(reading).item() == 1
    elsewhere = replace(subject, box=(5 / 8, 2 / 8, 1, 6 / 8))
    moved = replace(reading, subjects=[[elsewhere]], _kept={})
    # Nothing inside, all of it outside, and of the columns 4 to 7 near its edges each is wrong.
    assert method.loss(moved).item() == pytest.approx(2 + 4 / 8)


def test_a_subject_without_a_box_is_left_alone():
    boxed = Subject("word", (2,), box=(0.0, 0.0, 0.5, 0.5))
    alone = replace(waves(), subjects=[[boxed]])
    both = replace(waves(), subjects=[[boxed, Subject("other", (5,))]])
    assert BoxDiff().loss(both).equal(BoxDiff().loss(alone))


def test_the_authors_numbers():
    official = BoxDiff.official()
    assert (official.share, official.corner, official.step_size) == (0.2, 1, 20.0)
    assert official.refine_at == ((0, 0.05), (10, 0.5), (20, 0.8)) and official.stop == 25
