"""Methods from names and parameters, as values or as texts, and back."""

import json
import math

import pytest

from adhere.methods import METHODS, AttendAndExcite, make, parameters_of, with_parameters
from adhere.typed import schema, text_of


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("official", [False, True])
def test_numbers_make_the_method_again(name, official):
    method = make(name, official=official)
    numbers = parameters_of(method)
    assert with_parameters(METHODS[name](), numbers) == method
    in_words = {key: text_of(value) for key, value in numbers.items()}
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
        ("step_range", "[1, 0.25]", (1.0, 0.25)),
        ("refine_at", "0:0.05", ((0.0, 0.05),)),
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
        ("step_size", "much", "must be a number"),
        ("step_size", "nan", "must be a number"),
        ("step_size", math.inf, "must be a finite number"),
        ("step_size", True, "must be a number"),
        ("step_size", [1], "must be a number"),
        ("step_size", "9" * 5000, "must be a number"),
        ("max_refinements", "2.5", "a whole number"),
        ("max_refinements", 2.5, "a whole number"),
        ("smoothed", "perhaps", "True or False"),
        ("pieces", "first", "'mean', 'max' or 'last'"),
        ("pieces", [1], "'mean', 'max' or 'last'"),
        ("step_range", "1", "must be a list"),
        ("step_range", "1,2,3", "at most 2 items"),
        ("refine_at", "0.05", "for example"),
        ("refine_at", 3, "for example"),
    ],
)
def test_wrong_values_are_named(name, value, expected):
    with pytest.raises(ValueError, match=f"^attend-and-excite: `{name}.*{expected}"):
        with_parameters(AttendAndExcite(), {name: value})


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'attend-and-excite'"):
        make("attend-excite")
    with pytest.raises(ValueError, match="did you mean 'step_size'"):
        with_parameters(AttendAndExcite(), {"stepsize": "3"})


@pytest.mark.parametrize("name", METHODS)
def test_schemas_tell_forms_all_there_is(name):
    made = schema(METHODS[name])
    assert json.loads(json.dumps(made)) == made
    assert {key: one["default"] for key, one in made["properties"].items()} == parameters_of(
        make(name)
    )
    assert all(one["description"] for one in made["properties"].values())


def test_schemas_hold_the_limits():
    properties = schema(AttendAndExcite)["properties"]
    assert properties["step_size"]["minimum"] == 0
    assert properties["temperature"]["anyOf"][0]["exclusiveMinimum"] == 0
    assert properties["pieces"]["enum"] == ["mean", "max", "last"]
