"""Intervals: known answers, degenerate samples, and that they cover what they say."""

import numpy as np
import pytest
from scipy.stats import norm

from adhere.evaluation.statistics import (
    Estimate,
    changed,
    differences,
    discordant,
    estimate,
    is_clear,
    macro,
    ratio,
)

NAN = float("nan")


def table(prompts, seeds, rate=0.4, correlation=0.15, rng=0):
    """Yes and no for images of prompts, some of which are harder than others."""
    rng = np.random.default_rng(rng)
    strength = (1 - correlation) / correlation
    rates = rng.beta(rate * strength, (1 - rate) * strength, prompts)
    return (rng.random((prompts, seeds)) < rates[:, None]).astype(float)


def test_the_value_is_the_mean_over_images():
    values = np.array([[1, 0, 1, NAN], [0, 0, NAN, NAN], [NAN] * 4])
    found = estimate(values)
    assert found.value == pytest.approx(2 / 5)
    assert (found.prompts, found.images) == (2, 5)


def test_the_interval_is_near_the_normal_one_for_many_prompts():
    means = np.random.default_rng(1).normal(0.5, 0.1, 400)
    found = estimate(means[:, None])
    half = norm.ppf(0.975) * means.std() / np.sqrt(400)
    assert found.low == pytest.approx(means.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(means.mean() + half, abs=half / 10)


def test_the_same_numbers_give_the_same_interval_in_any_order_of_seeds():
    values = table(30, 4)
    assert estimate(values) == estimate(values)
    assert estimate(values[:, ::-1]) == estimate(values)


def test_copies_of_an_image_make_nobody_surer():
    values = table(30, 4)
    assert estimate(np.tile(values, 8)).low == pytest.approx(estimate(values).low)


def test_the_end_of_the_scale_is_respected():
    values = np.ones((66, 4))
    values[:2, 0] = 0
    found = estimate(values)
    assert 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize(
    ("values", "value", "note"),
    [
        ([[1, 0, 1, 1]], 0.75, "one prompt"),
        ([[1, 0, 1, 1], [NAN] * 4], 0.75, "one prompt"),
        (np.ones((20, 4)), 1, "alike"),
        (np.zeros((20, 4)), 0, "alike"),
        ([[1, 0]] * 20, 0.5, "alike"),
        (np.full((20, 4), NAN), None, "no image"),
        (np.empty((0, 4)), None, "no image"),
    ],
)
def test_what_cannot_be_resampled_has_no_interval_and_says_why(values, value, note):
    found = estimate(np.array(values))
    assert found.value == value
    assert found.low is None and found.high is None
    assert note in found.note
    assert not is_clear(found, 20)


def test_few_prompts_have_an_interval_with_a_warning():
    assert "fewer than 20" in estimate(table(8, 4)).note
    assert estimate(table(20, 4)).note == ""


def test_two_prompts_have_an_interval_without_nans():
    found = estimate(np.array([[0.0], [1.0]]))
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize("values", [np.ones(4), np.ones((2, 2, 2)), np.array([[1, np.inf]])])
def test_other_shapes_and_infinities_are_refused(values):
    with pytest.raises(ValueError, match="give"):
        estimate(values)


def test_differences_are_of_pairs_that_have_both():
    values = np.array([[1, 0, 1], [NAN, 1, 1]])
    baseline = np.array([[0, 0, NAN], [1, 1, 0]])
    changes = differences(values, baseline)
    assert np.array_equal(changes, [[1, 0, NAN], [NAN, 0, 1]], equal_nan=True)
    assert estimate(changes).value == pytest.approx(0.5)
    with pytest.raises(ValueError, match="same seeds"):
        differences(values, baseline[:, :2])


def test_discordant_pairs_make_the_difference():
    values, baseline = table(40, 8, 0.7, rng=1), table(40, 8, 0.4, rng=2)
    changes = differences(values, baseline)
    up, down = discordant(changes)
    assert up == np.sum((values == 1) & (baseline == 0))
    assert down == np.sum((values == 0) & (baseline == 1))
    assert estimate(changes).value == pytest.approx((up - down) / 320)


def test_pairing_takes_the_hardness_of_prompts_out():
    rng = np.random.default_rng(0)
    hardness = rng.normal(0, 0.3, (66, 1))
    baseline = hardness + rng.normal(0, 0.05, (66, 4))
    values = hardness + 0.1 + rng.normal(0, 0.05, (66, 4))
    paired = estimate(differences(values, baseline))
    alone = estimate(values)
    assert is_clear(paired, 66)
    assert paired.high - paired.low < (alone.high - alone.low) / 4


def test_the_macro_average_gives_each_set_the_same_weight():
    small, large = np.zeros((20, 2)), np.ones((60, 2))
    small[:10] = 1
    found = macro([small, large])
    assert found.value == pytest.approx(0.75)
    assert (found.prompts, found.images) == (80, 160)
    alone = estimate(small)
    assert found.high - found.low == pytest.approx((alone.high - alone.low) / 2, abs=0.03)


def test_the_macro_average_of_one_set_is_the_set():
    assert macro([table(30, 4)]) == estimate(table(30, 4))
    assert macro([table(30, 4), np.full((9, 4), NAN)]) == estimate(table(30, 4))
    assert macro([]).value is None
    assert "set of one prompt" in macro([table(30, 4), np.ones((1, 4))]).note


def test_clear_of_zero_is_strict():
    assert is_clear(Estimate(0.2, 0.1, 0.3, 99, 99), 6)
    assert is_clear(Estimate(-0.2, -0.3, -0.1, 99, 99), 6)
    assert not is_clear(Estimate(0.1, 0.0, 0.3, 99, 99), 6)
    assert not is_clear(Estimate(0.2, 0.1, 0.3, 99, 99), 5)
    assert not is_clear(Estimate(0.2, 0.1, 0.3, 9, 9, "fewer than 20 prompts"), 6)


def test_changed_prompts_are_those_whose_mean_moved():
    assert changed(np.array([[0, 0], [1, 0], [1, -1], [-0.5, NAN], [NAN, NAN]])) == 2


def test_a_method_that_does_next_to_nothing_is_rarely_called_better_or_worse():
    """One image of a hundred changes, either way: intervals alone would call 12% of runs."""
    rng = np.random.default_rng(1)
    called = clear = 0
    for _ in range(200):
        is_changed = rng.random((66, 4)) < 0.01
        changes = is_changed * rng.choice([-1.0, 1.0], (66, 4))
        found = estimate(changes, resamples=999)
        called += found.low is not None and not found.low <= 0 <= found.high
        clear += is_clear(found, changed(changes))
    assert called > 16
    assert clear <= 10


@pytest.mark.parametrize("seeds", [4, 16])
def test_the_prompt_interval_covers_and_the_image_interval_does_not(seeds):
    """66 prompts as in the animal pairs, correlation .15 between images of one prompt.

    Of so many samples the Monte-Carlo error is 0.9 points for prompts and at most 0.8 for
    images; the bounds are three to four of them away. Theory gives the image interval a
    coverage of 89.6% for 4 seeds and 72.3% for 16: its width is short of the square root of the
    design effect, 1 + (seeds - 1) * correlation.
    """
    truth, correlation = 0.4, 0.15
    samples = np.array([table(66, seeds, truth, correlation, rng) for rng in range(3_000)])
    found = [estimate(values, resamples=599) for values in samples[:600]]
    by_prompt = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.92 <= by_prompt <= 0.98

    images = samples.reshape(len(samples), -1)
    half = norm.ppf(0.975) * images.std(axis=1) / np.sqrt(images.shape[1])
    by_image = np.mean(np.abs(images.mean(axis=1) - truth) <= half)
    short = np.sqrt(1 + (seeds - 1) * correlation)
    assert by_image == pytest.approx(2 * norm.cdf(norm.ppf(0.975) / short) - 1, abs=0.03)
    assert by_image < 0.92
    # That interval is the one that drawing single images gives.
    drawn = estimate(images[0][:, None])
    assert drawn.high - drawn.low == pytest.approx(2 * half[0], rel=0.05)


def test_paired_intervals_cover():
    """A method that helps some prompts more than others, on the same seeds as the baseline."""
    samples, covered = 300, 0
    for sample in range(samples):
        rng = np.random.default_rng(sample)
        baseline_rate = rng.beta(2, 3, (66, 1))
        gain = rng.beta(2, 8, (66, 1))
        noise = rng.random((66, 4))
        baseline = (noise < baseline_rate).astype(float)
        values = (noise < baseline_rate + (1 - baseline_rate) * gain).astype(float)
        found = estimate(differences(values, baseline), resamples=999)
        covered += found.low <= 0.6 * 0.2 <= found.high
    assert 0.91 <= covered / samples <= 0.99


def test_a_ratio_is_that_of_means_and_needs_prompts_that_both_have():
    own = np.array([[1.0, 3.0], [np.nan, 2.0], [5.0, 5.0], [np.nan, np.nan]])
    baseline = np.array([[2.0, 2.0], [4.0, np.nan], [np.nan, np.nan], [1.0, 1.0]])
    found = ratio([(own, baseline)])
    assert found.value == pytest.approx((6 / 3) / (8 / 3))
    assert (found.prompts, found.images) == (2, 3)
    assert found.low <= found.value <= found.high and found.note.startswith("fewer")
    assert ratio([(own[2:], baseline[2:])]).value is None
    both = ratio([(own, baseline), (3 * baseline, baseline)])
    assert both.value == pytest.approx((found.value + 3) / 2)


def test_intervals_of_ratios_cover():
    """Half the mean of the baseline, which varies from prompt to prompt as the method does."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        hard = rng.gamma(4, 1, (40, 1))
        own, baseline = rng.gamma(3, hard / 6, (40, 4)), rng.gamma(3, hard / 3, (40, 4))
        found = ratio([(own, baseline)], resamples=999)
        inside += found.low <= 0.5 <= found.high
    assert 0.9 <= inside / 200 <= 0.985
