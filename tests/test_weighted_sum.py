"""Methods that add up: the sum's loss, and whose schedule it has."""

from dataclasses import replace

import pytest
import torch

import toys
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.divide_and_bind import DivideAndBind
from adhere.methods.registry import methods_of, recipes_of
from adhere.methods.schedule import Schedule, Step
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum
from adhere.nursing import nurse
from engine import CAT, FROG, PROMPT
from method_maps import maps_of, read, subject

OWN = ((subject(3, 2), subject(7, 6)), (subject(2), subject(5)))
FIRST = Step(0, 50, 981.0)
EXCITE, BIND = AttendAndExcite(), DivideAndBind(step_size=5.0, stop=0.3)


def test_the_loss_is_the_weighted_sum():
    maps = maps_of(4)
    losses = [method.loss(read(maps, OWN, FIRST)) for method in (EXCITE, BIND)]
    together = (2 * (EXCITE + BIND * 0.25)).loss(read(maps, OWN, FIRST))
    torch.testing.assert_close(together, 2 * losses[0] + 0.5 * losses[1])


def test_the_builtin_sum_adds_methods():
    assert sum([EXCITE, BIND]) == EXCITE + BIND
    assert sum([EXCITE, 0.5 * BIND, Watch()]) == EXCITE + 0.5 * BIND + Watch()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EXCITE + TokenReweighting(),
        lambda: EXCITE + 1,
        lambda: 1 + EXCITE,
        lambda: EXCITE * BIND,
        lambda: "2" * EXCITE,
    ],
)
def test_what_does_not_add_up_is_refused(wrong):
    with pytest.raises(TypeError, match="unsupported operand|can't multiply"):
        wrong()


@pytest.mark.parametrize(
    ("whole", "first"),
    [
        (EXCITE + BIND, EXCITE),
        (BIND + EXCITE, BIND),
        (EXCITE + Watch(), EXCITE),
        (Watch() + EXCITE, EXCITE),
        (Watch(stop=0.1) + 2 * Watch(start=0.9) + (BIND + EXCITE), BIND),
    ],
)
def test_the_schedule_is_that_of_the_first_that_moves(whole, first):
    maps = maps_of(4)
    for step in (Step(index, 50, 0.0) for index in range(50)):
        assert whole.schedule.step_size_at(step) == first.schedule.step_size_at(step)
        assert whole.schedule.threshold_at(step) == first.schedule.threshold_at(step)
        assert whole.schedule.max_refinements_at(step) == first.schedule.max_refinements_at(step)
    torch.testing.assert_close(whole.score(read(maps, OWN)), first.score(read(maps, OWN)))
    official = replace(first, updates_on_exit=True, nurses_repeats=True)
    for method in (first, official):
        again = Watch() + method
        assert again.schedule == method.schedule


def test_a_sum_may_have_a_schedule_of_its_own():
    own = Schedule(step_size=3.0, stop=0.2)
    whole = WeightedSum((EXCITE + BIND).terms, own)
    assert whole.schedule == own
    assert whole.schedule.step_size_at(FIRST) == 3.0
    assert (EXCITE + BIND).schedule == EXCITE.schedule


@pytest.mark.parametrize("both", [EXCITE + Watch(), Watch() + EXCITE])
def test_watching_beside_a_method_records_the_rest_of_the_run(both):
    pipe, latents = toys.sd(), []
    for method in (EXCITE, both):
        with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
            latents.append(toys.run(pipe, steps=4))
    assert torch.equal(*latents)
    assert [record.step.index for record in trace.steps] == [0, 1, 2, 3]
    assert [record.backwards > 0 for record in trace.steps] == [True, True, False, False]


def test_sums_of_watches_only_watch():
    pipe = toys.sd()
    plain = toys.run(pipe)
    method = Watch(stop=0.34) + Watch(start=0.67)
    with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
        assert torch.equal(toys.run(pipe), plain)
    assert [record.step.index for record in trace.steps] == [0, 2]


def test_a_schedule_of_its_own_survives_further_terms_and_a_recipe():
    late = Schedule(step_size=3.0, start=0.5, stop=0.7, refine_at=((0.5, 0.4),))
    sums = WeightedSum(((1.0, EXCITE),), late)
    together = 2 * (sums + BIND)
    assert together.schedule == late and [weight for weight, _ in together.terms] == [2, 2]
    assert (BIND + sums).schedule == late and (EXCITE + BIND).own_schedule is None
    assert methods_of(recipes_of([together])) == [together]
    with pytest.raises(ValueError, match="a sum's schedule and no method"):
        methods_of(recipes_of([WeightedSum((), late)]))


def test_a_sum_of_nothing_says_so():
    with (
        pytest.raises(ValueError, match="The sum has no terms"),
        nurse(toys.sd(), WeightedSum(())),
    ):
        pass
