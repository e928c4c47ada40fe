"""Variety and quality of a run's images: known answers."""

import numpy as np
import pytest

from adhere.evaluation.measures import (
    Seen,
    confident,
    feature_distances,
    frechet_distance,
    references,
    spreads,
)
from adhere.evaluation.prompts import Prompt, Wanted
from adhere.evaluation.scorers.base import Thing

PAIR = Prompt("p", "a cat and a frog", (Wanted("cat"), Wanted("frog")))
CAT = Prompt("c", "a cat", (Wanted("cat"),))


def thing(subject, x, y, side=0.2, confidence=0.9, **others):
    half = side / 2
    return Thing(subject, confidence, (x - half, y - half, x + half, y + half), **others)


def seen(*things):
    return Seen(things)


def test_the_spread_is_that_of_centres_and_of_sizes():
    own = [seen(thing("cat", 0.5, 0.5)), seen(thing("cat", 0.5, 0.5))]
    baseline = [seen(thing("cat", 0.3, 0.5, 0.1)), seen(thing("cat", 0.7, 0.5, 0.4))]
    [still, varied] = spreads(CAT, own, baseline)
    assert still == pytest.approx([0, 0])
    # Two values have a standard deviation of their distance over the root of 2.
    assert varied == pytest.approx([0.4 / 2**0.5, np.log(4) / 2**0.5])


def test_subjects_count_over_the_seeds_in_which_both_have_them():
    far = seen(thing("cat", 0.1, 0.1))
    own = [seen(thing("cat", 0.4, 0.5)), seen(thing("cat", 0.6, 0.5)), far, None]
    baseline = [seen(thing("cat", 0.3, 0.5)), seen(thing("cat", 0.7, 0.5)), seen(), far]
    assert spreads(PAIR, own, baseline)[:, 0] == pytest.approx([0.2 / 2**0.5, 0.4 / 2**0.5])
    assert np.isnan(spreads(PAIR, own, [seen()] * 4)).all()
    assert np.isnan(spreads(PAIR, own[:1], baseline[:1])).all(), "one seed has no spread"


def test_the_surest_thing_counts_and_no_mixture():
    both = seen(
        thing("cat", 0.2, 0.2, confidence=0.6),
        thing("cat", 0.8, 0.8, confidence=0.7),
        thing("cat", 0.5, 0.5, confidence=0.99, mixed_with="frog"),
    )
    assert both.surest("cat").confidence == 0.7 and both.surest("frog") is None


def test_confidence_is_measured_against_the_median_of_single_images():
    singles = [(CAT, seen(thing("cat", 0.5, 0.5, confidence=c))) for c in (0.6, 0.8, 0.9)]
    known = references([*singles, (PAIR, seen(thing("frog", 0.5, 0.5)))])
    assert known == {"cat": 0.8}
    assert confident(PAIR, seen(thing("cat", 0.5, 0.5, confidence=0.8)), known) == 1
    assert confident(PAIR, seen(thing("cat", 0.5, 0.5, confidence=0.79)), known) == 0
    assert np.isnan(confident(PAIR, seen(thing("frog", 0.5, 0.5)), known))


def test_the_frechet_distance_of_normal_distributions_is_known():
    rng = np.random.default_rng(0)
    baseline = rng.normal(size=(20_000, 3)) * (1, 2, 3)
    moved = rng.normal(size=(20_000, 3)) * (2, 2, 3) + (0, 0, 4)
    assert frechet_distance(baseline, baseline) == pytest.approx(0, abs=1e-9)
    # 4 squared for the means, and 1 squared for the standard deviations.
    assert frechet_distance(baseline, moved) == pytest.approx(17, rel=0.03)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = frechet_distance(baseline @ turn, moved @ turn)
    assert turned == pytest.approx(frechet_distance(baseline, moved))


def test_images_of_one_distribution_are_as_far_apart_as_the_baseline_from_itself():
    rng = np.random.default_rng(1)
    own, baseline = rng.normal(size=(2, 40, 8, 6))
    same, floor = feature_distances(own, baseline)
    assert same == pytest.approx(floor, rel=0.5) and floor > 0.01
    other, again = feature_distances(own + 1, baseline)
    assert other > 20 * floor and again == floor
    baseline[:, ::2] = np.nan
    assert np.isnan(feature_distances(own, baseline)).all()
