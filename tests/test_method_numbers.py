"""Methods refuse numbers that are out of range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from adhere.methods import METHODS, AttendAndExcite, AttentionRegulation, DivideAndBind
from adhere.methods.objective import Objective
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch
from adhere.typed import NonNegative, typed

WINDOWED = [*METHODS.values(), partial(Objective, len), Watch]


@pytest.mark.parametrize("method", WINDOWED)
def test_a_window_lies_in_the_loop(method):
    for start, stop in ((0, 0), (0, 1), (0.5, 0.5), (1, 1)):
        method(start=start, stop=stop)
    for start, stop, message in (
        (-0.1, 1.0, "`start` must be .* got -0.1"),
        (0.0, 1.1, "`stop` must be .* got 1.1"),
        (0.6, 0.5, "`start` must be <= `stop`, got start 0.6 and stop 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            method(start=start, stop=stop)
    with pytest.raises(ValueError, match="`stop` must be a finite number, got nan"):
        method(stop=float("nan"))


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        (AttendAndExcite, "temperature", 0.0),
        (AttendAndExcite, "temperature", "hot"),
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
        (TokenReweighting, "specials", -0.1),
        (TokenReweighting, "mode", "soft"),
        (AttentionRegulation, "quantile", 1.1),
        (AttentionRegulation, "quantile", -0.1),
        (AttentionRegulation, "iterations", 0),
        (AttentionRegulation, "rate", -1.0),
        (AttentionRegulation, "rate", float("inf")),
        (AttentionRegulation, "share", 1.1),
        (AttentionRegulation, "share_weight", -1.0),
        (AttentionRegulation, "memory", float("nan")),
        (AttentionRegulation, "decay", 1.1),
        (AttentionRegulation, "seed", 2**40),
        (partial(Objective, len), "step_size", float("nan")),
        (AttendAndExcite, "step_size", float("nan")),
        (AttendAndExcite, "step_size", float("inf")),
        (AttendAndExcite, "step_size", -1.0),
        (AttendAndExcite, "step_size", 10**400),
        (AttendAndExcite, "step_size", "10"),
        (AttendAndExcite, "max_refinements", 2**40),
        (AttendAndExcite, "smoothed", 1),
        (DivideAndBind, "step_size", -1.0),
    ],
)
def test_a_number_out_of_range_is_named(method, name, value):
    with pytest.raises(ValueError, match=rf"^`{name}(\[\d\])?` must be .*, got "):
        method(**{name: value})


PAIRS = [(AttendAndExcite, "refine_at"), (DivideAndBind, "refine_at")]
PAIRS += [(DivideAndBind, "binding_weights")]


@pytest.mark.parametrize(("method", "name"), PAIRS)
def test_turns_are_named_by_fractions_of_the_loop(method, name):
    for wrong in (((0, 0.05), (10, 0.5)), ((-0.1, 0.5),)):
        with pytest.raises(ValueError, match=f"`{name}` .*fractions of the loop .*not at steps"):
            method(**{name: wrong})
    # Beyond `stop` nothing is refined; the authors' code takes such ones too.
    assert getattr(method(**{name: ((0.9, 0.5), (1, 1))}), name) == ((0.9, 0.5), (1.0, 1.0))


@pytest.mark.parametrize(("method", "name"), PAIRS)
@pytest.mark.parametrize(
    "wrong", [{0.0: 0.05}, (0.0, 0.05), None, 0.5, ((0.0,),), ((0.0, "x"),), ((0.0, np.nan),)]
)
def test_pairs_are_pairs_of_numbers(method, name, wrong):
    with pytest.raises(ValueError, match=f"^`{name}.* \\(for example "):
        method(**{name: wrong})


def test_numbers_of_other_kinds_become_pythons_own():
    method = AttendAndExcite(
        step_size=np.float32(5), max_refinements=np.int64(3), refine_at=[[0, np.float64(0.5)]]
    )
    assert method == AttendAndExcite(5.0, max_refinements=3, refine_at=((0.0, 0.5),))
    kinds = (type(method.step_size), type(method.max_refinements), type(method.refine_at))
    assert kinds == (float, int, tuple)


def test_a_subclass_checks_its_own_fields_too():
    @typed
    class Own(AttendAndExcite):
        weight: NonNegative = 1.0

    assert Own(step_size=3, weight=2) == Own(3.0, weight=2.0)
    for name in ("step_size", "weight"):
        with pytest.raises(ValueError, match=f"^`{name}` must be >= 0, got -1"):
            Own(**{name: -1})
    with pytest.raises(ValueError, match="Unknown parameter 'wieght': did you mean 'weight'"):
        Own(wieght=1.0)


def test_a_plain_subclass_of_a_method_may_be_a_dataclass_of_any_fields():
    @dataclass(frozen=True)
    class Own(AttendAndExcite):
        noted: NoSuchName = None  # noqa: F821  # type: ignore[name-defined]

    assert Own(step_size=3.0).step_size == 3.0
