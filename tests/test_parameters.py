import math

import pytest

from adhere.methods import METHODS, AttendAndExcite
from adhere.parameters import method_named, parameters_of, said, with_parameters


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("official", [False, True])
def test_numbers_make_the_method_again(name, official):
    method = method_named(name, official=official)
    numbers = parameters_of(method)
    assert with_parameters(METHODS[name](), numbers) == method
    in_words = {key: said(value) for key, value in numbers.items()}
    assert with_parameters(METHODS[name](), in_words) == method


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("step_size", "10", 10.0),
        ("step_size", "1e-2", 0.01),
        ("max_refinements", "3", 3),
        ("smoothed", "off", False),
        ("pieces", "last", "last"),
        ("step_range", "1.0,0.25", (1.0, 0.25)),
        ("step_range", "1:0.25", (1.0, 0.25)),
        ("refine_at", "0:0.05,0.2:0.5", ((0.0, 0.05), (0.2, 0.5))),
        ("refine_at", "", ()),
    ],
)
def test_words_become_numbers(name, text, value):
    assert getattr(with_parameters(AttendAndExcite(), {name: text}), name) == value


def test_a_number_may_be_left_to_chance():
    regulation = METHODS["attention-regulation"]()
    assert with_parameters(regulation, {"seed": "none"}).seed is None
    assert with_parameters(regulation, {"seed": "7"}).seed == 7


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("step_size", "much", "a finite number"),
        ("step_size", "nan", "a finite number"),
        ("step_size", math.inf, "a finite number"),
        ("step_size", True, "a finite number"),
        ("step_size", [1], "a finite number"),
        ("step_size", "9" * 5000, "a finite number"),
        ("max_refinements", "2.5", "a whole number"),
        ("max_refinements", 2.5, "a whole number"),
        ("smoothed", "perhaps", "true or false"),
        ("pieces", "first", "one of mean, max, last"),
        ("pieces", [1], "one of mean, max, last"),
        ("step_range", "1", "2 numbers"),
        ("step_range", "1,2,3", "2 numbers"),
        ("refine_at", "0.05", "pairs"),
        ("refine_at", 3, "pairs"),
    ],
)
def test_wrong_values_are_named(name, value, expected):
    with pytest.raises(ValueError, match=f"(?s){name} of attend-and-excite.*{expected}"):
        with_parameters(AttendAndExcite(), {name: value})


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'attend-and-excite'"):
        method_named("attend-excite")
    with pytest.raises(ValueError, match="did you mean 'step_size'"):
        with_parameters(AttendAndExcite(), {"stepsize": "3"})
