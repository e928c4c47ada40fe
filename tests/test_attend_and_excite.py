"""`AttendAndExcite` itself: its loss on maps made by hand, and what it does at which step."""

from dataclasses import replace

import pytest
import torch

import toys
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from engine import CAT, FROG, PROMPT, scheduled
from golden_maps import probabilities
from method_maps import clip_columns, made, maps_of, read, subject

OWN = (subject(2), subject(5))
FIRST = Step(0, 50, 981.0)


def golden_maps(token_range, end):
    columns = clip_columns((end,), 77, padded=token_range == "padded")
    return made({"layer": probabilities()[None]}, {"layer": 4}, (64, 64), columns)


@pytest.mark.parametrize(
    ("token_range", "end", "peaks", "loss"),
    [
        ("padded", 9, [0.2749139909, 0.3311020153], 0.7250860091),
        ("words", 9, [0.8082223770, 0.4750971236], 0.5249028764),
    ],
)
def test_the_loss_is_what_the_weakest_peak_lacks(token_range, end, peaks, loss):
    maps, method = golden_maps(token_range, end), AttendAndExcite()
    close = {"rtol": 1e-9, "atol": 0}
    expected = torch.tensor(peaks, dtype=torch.float64)
    torch.testing.assert_close(method.peaks(read(maps, [OWN]))[0], expected, **close)
    torch.testing.assert_close(method.score(read(maps, [OWN]))[0], expected.min(), **close)
    assert method.loss(read(maps, [OWN], FIRST)).tolist() == pytest.approx([loss], rel=1e-9)


def test_every_sample_has_its_own_loss():
    maps, method = maps_of(4), AttendAndExcite()
    both = method.loss(read(maps, [OWN, OWN[:1]], FIRST))
    for sample, own in enumerate((OWN, OWN[:1])):
        alone = maps.take([sample])
        torch.testing.assert_close(method.loss(read(alone, [own], FIRST))[0], both[sample])


def test_with_attributes_the_peak_is_where_the_whole_phrase_is():
    """The noun is strongest in one corner, its colour in another; both are in the middle."""
    layer = torch.full((1, 5, 5, 8), 0.01, dtype=torch.float64)
    layer[0, 0, 0, 3], layer[0, 4, 4, 2] = 0.9, 0.9
    layer[0, 2, 2, 2:4] = 0.4
    maps = made({"layer": layer}, {"layer": 2}, (10, 10), clip_columns((7,), 8, padded=False))
    red_cat = subject(3, 2)
    method = AttendAndExcite(temperature=1.0, smoothed=False, with_attributes=True)
    seen = maps.normalised(temperature=1.0)[0]
    expected = 2 * (seen[..., 2] * seen[..., 3]).sqrt()
    [peak] = method.peaks(read(maps, [(red_cat,)]))[0]
    assert peak == pytest.approx(float(expected.max()))
    assert expected.argmax() == 2 * 5 + 2
    assert peak > 2 * (seen[0, 0, 2] * seen[0, 0, 3]).sqrt()
    # Nouns without attributes are what they are without the switch, to the bit.
    plain = replace(method, with_attributes=False)
    alone = [(subject(3), subject(5))]
    assert torch.equal(method.loss(read(maps, alone, FIRST)), plain.loss(read(maps, alone, FIRST)))
    assert not torch.equal(
        method.loss(read(maps, [(red_cat,)], FIRST)), plain.loss(read(maps, alone, FIRST))
    )


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (51, {0: 20.0, 1: 19.8997, 9: 19.0788, 10: 18.9737, 20: 17.8885, 24: 17.4356}),
        (50, {0: 20.0, 1: 19.8977, 9: 19.0595, 10: 18.9521, 20: 17.8429, 24: 17.3793}),
    ],
)
@pytest.mark.parametrize("method", [AttendAndExcite(), AttendAndExcite.official()])
def test_schedules(count, sizes, method):
    steps = [Step(index, count, 0.0) for index in range(count)]
    assert [step.index for step in steps if method.schedule.step_size_at(step)] == list(range(25))
    thresholds = {s.index: method.schedule.threshold_at(s) for s in steps}
    assert {i: t for i, t in thresholds.items() if t} == {0: 0.05, 10: 0.5, 20: 0.8}
    assert {method.schedule.max_refinements_at(step) for step in steps} == {20}
    for index, size in sizes.items():
        assert method.schedule.step_size_at(steps[index]) == pytest.approx(size, rel=1e-5)
    whole = replace(method, stop=count if method.in_steps else 1.0)
    assert whole.schedule.step_size_at(steps[-1]) == pytest.approx(14.1421, rel=1e-5)


def test_of_thresholds_on_one_turn_the_highest_counts():
    assert AttendAndExcite().schedule.threshold_at(Step(0, 4, 0.0)) == 0.5
    assert AttendAndExcite().schedule.threshold_at(Step(1, 4, 0.0)) == 0.8


@pytest.mark.parametrize(
    ("scheduler", "method", "turns"),
    [
        ("ddim", AttendAndExcite(), range(25)),
        ("pndm", AttendAndExcite(), [0, *range(2, 25)]),
        ("pndm", AttendAndExcite.official(), range(25)),
    ],
)
def test_fifty_steps(scheduler, method, turns):
    pipe = scheduled(scheduler)
    # Never attained, so that the thresholds' turns can be seen.
    places = (0, 10, 20) if method.in_steps else (0.0, 0.2, 0.4)
    method = replace(method, refine_at=tuple((at, 2.0) for at in places), max_refinements=1)
    with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
        toys.run(pipe, steps=50)
    assert [record.step.index for record in trace.steps] == list(turns)
    refined = [r.step.index for r in trace.steps if r.refinements.any()]
    assert refined == [0, 10, 20]
    assert trace.full_forwards == (51 if scheduler == "pndm" else 50)
    assert trace.truncated_forwards == trace.backwards == len(turns) + 3
