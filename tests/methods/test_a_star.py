"""A-STAR: subjects keep apart, and keep the place that they had."""

from dataclasses import replace

import pytest
import torch

from adhere.methods.a_star import AStar
from method_maps import clip_columns, made, read, subject

from .captured import check, otsu, overlap, smoothed, softmaxed

ALWAYS = AStar(stop=1.0)


def by_hand(reading):
    """The segregation loss of the two subjects and the retention loss of each."""

    def maps(source):
        soft = softmaxed(source)
        return [smoothed(soft[..., token]) for token in (3, 7)]

    cat, frog = maps(reading)
    total = overlap(cat, frog)
    if reading.previous is not None:
        for own, former in zip((cat, frog), maps(reading.previous), strict=True):
            total += 1 - overlap(own, otsu(former).astype(float))
    return total


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(ALWAYS, by_hand, monkeypatch)


def discs(first, second):
    layer = torch.zeros((1, 8, 8, 6), dtype=torch.float64)
    layer[:, :, first, 2] = 0.5
    layer[:, :, second, 4] = 0.5
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((5,), 6))
    return read(maps, [(subject(2), subject(4))])


def test_the_overlap_of_subjects():
    method = AStar(temperature=None)
    apart, same = discs(slice(0, 3), slice(5, 8)), discs(slice(0, 8), slice(0, 8))
    assert method.loss(apart).tolist() == pytest.approx([0.0], abs=1e-12)
    assert method.loss(same).tolist() == pytest.approx([0.5])
    assert AStar(temperature=None, segregation=3.0).loss(same).tolist() == pytest.approx([1.5])


def test_a_subject_that_leaves_its_place_is_called_back():
    method = AStar(temperature=None)
    stays = discs(slice(0, 8), slice(0, 8))
    # Of flat maps of a half the place is all cells: a half of each over one and a half.
    both = replace(stays, previous=stays, _kept={})
    assert method.loss(both).tolist() == pytest.approx([0.5 + 2 * (1 - 0.5 / 1.5)])
    left = discs(slice(0, 3), slice(5, 8))
    gone = replace(left, previous=discs(slice(5, 8), slice(0, 3)), _kept={})
    kept = replace(left, previous=left, _kept={})
    assert method.loss(gone).item() > method.loss(kept).item() > 1
    assert AStar(temperature=None, retention=0.0).loss(gone).item() == pytest.approx(0.0)
