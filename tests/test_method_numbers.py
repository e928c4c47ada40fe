"""Methods refuse numbers that are out of range."""

from functools import partial

import pytest

from adhere.methods import METHODS, AttendAndExcite, AttentionRegulation, DivideAndBind
from adhere.methods.objective import Objective
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch

WINDOWED = [*METHODS.values(), partial(Objective, len), Watch]


@pytest.mark.parametrize("method", WINDOWED)
def test_a_window_lies_in_the_loop(method):
    for start, stop in ((0, 0), (0, 1), (0.5, 0.5), (1, 1)):
        method(start=start, stop=stop)
    for start, stop in ((-0.1, 1), (0, 1.1), (0.6, 0.5), (0, float("nan"))):
        with pytest.raises(ValueError, match=f"got start {start} and stop {stop}, expected 0 <="):
            method(start=start, stop=stop)


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        (AttendAndExcite, "temperature", 0.0),
        (AttendAndExcite, "temperature", float("nan")),
        (AttendAndExcite, "step_range", (1.0, -0.5)),
        (AttendAndExcite, "max_refinements", -1),
        (AttendAndExcite, "pieces", "median"),
        (DivideAndBind, "step_range", (-1.0, 0.5)),
        (DivideAndBind, "temperature", 0.0),
        (DivideAndBind, "max_refinements_first", -1),
        (DivideAndBind, "max_refinements", -1),
        (DivideAndBind, "pieces", "median"),
        (DivideAndBind, "variation", "median"),
        (DivideAndBind, "divergence", "kl"),
        (partial(Objective, len), "step_range", (1.0, float("nan"))),
        (TokenReweighting, "alpha", 0.0),
        (TokenReweighting, "alpha", float("nan")),
        (TokenReweighting, "beta", -0.1),
        (TokenReweighting, "specials", 0.0),
        (TokenReweighting, "mode", "soft"),
        (AttentionRegulation, "quantile", 1.1),
        (AttentionRegulation, "quantile", -0.1),
        (AttentionRegulation, "iterations", 0),
    ],
)
def test_a_number_out_of_range_is_named(method, name, value):
    with pytest.raises(ValueError, match=f"got {name} .*, expected "):
        method(**{name: value})
