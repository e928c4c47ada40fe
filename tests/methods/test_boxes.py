"""Boxes by word: what is wrong with one is said in a line."""

from __future__ import annotations

import pytest

import adhere
import toys
from adhere.errors import SubjectNotFound
from adhere.nursing import nurse

PROMPT = "a cat and a frog"
NEEDING = [name for name, kind in adhere.METHODS.items() if kind.needs_boxes]


@pytest.mark.parametrize("name", NEEDING)
def test_a_method_that_needs_boxes_says_so_before_anything_runs(name):
    with (
        pytest.raises(ValueError, match=f"^{name} needs boxes, .*'cat', 'frog'.* none has one. G"),
        nurse(toys.sd(), adhere.METHODS[name](), prompt=PROMPT),
    ):
        pass


def test_in_a_sum_it_says_so_too():
    with (
        pytest.raises(ValueError, match="^boxdiff needs boxes"),
        nurse(toys.sd(), adhere.AttendAndExcite() + adhere.BoxDiff(), prompt=PROMPT),
    ):
        pass


def test_a_box_for_a_word_that_is_not_there():
    with (
        pytest.raises(SubjectNotFound, match="box for 'dog', which is no subject of .*'frog'"),
        nurse(toys.sd(), adhere.Regions(), prompt=PROMPT, boxes={"dog": (0, 0, 1, 1)}),
    ):
        pass


@pytest.mark.parametrize(
    "box",
    [
        (-0.1, 0, 1, 1),
        (0, 0, 1.5, 1),
        (0.5, 0, 0.5, 1),
        (0.6, 0, 0.5, 1),
        (0, 0.9, 1, 0.1),
        (0, 0, 1),
        (0, 0, 1, float("nan")),
        "left",
        None,
        ("0", "0", "1", "1"),
    ],
)
def test_a_box_outside_the_image_or_inside_out(box):
    with (
        pytest.raises(ValueError, match="^Got box .* for 'cat'; give .left, top, right, bottom."),
        nurse(toys.sd(), adhere.Regions(), prompt=PROMPT, boxes={"cat": box}),
    ):
        pass


def test_boxes_that_are_no_table():
    with (
        pytest.raises(ValueError, match="give them by subject"),
        nurse(toys.sd(), adhere.Regions(), prompt=PROMPT, boxes=[(0, 0, 1, 1)]),
    ):
        pass


def test_one_box_is_enough_and_the_trace_keeps_it():
    pipe = toys.sd()
    with nurse(pipe, adhere.Regions(), boxes={"frog": (0.5, 0, 1, 1)}) as trace:
        toys.run(pipe, PROMPT)
    assert [subject.box for subject in trace.subjects[0]] == [None, (0.5, 0.0, 1.0, 1.0)]
