"""Bounded Attention: its masks by hand, in the passes and in the result, and its loss in loops."""

from __future__ import annotations

import math

import pytest
import torch

import adhere
import toys
from adhere.attention.call import AttentionCall, Region
from adhere.methods.base import LayerContext
from adhere.methods.bounded_attention import BoundedAttention
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from adhere.subjects import Attribute, Subject
from method_maps import clip_columns

CAT, FROG = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
SUBJECTS = [Subject("cat", (2,), box=CAT), Subject("frog", (5,), box=FROG)]


def cells_of(box, height, width):
    """Cell numbers of a box."""
    x1, y1, x2, y2 = (round(v * n) for v, n in zip(box, (width, height) * 2, strict=True))
    return [y * width + x for y in range(y1, y2) for x in range(x1, x2)]


def capturing(seen, **numbers):
    """The method, which keeps what it reads."""

    class Capturing(BoundedAttention):
        def loss(self, reading):
            found = super().loss(reading)
            seen.append((reading.detach(), found.detach()))
            return found

    return Capturing(**{"stop": 1.0, "refine_at": (), "step_size": 1.0, **numbers})


def test_the_loss_and_the_bounds_on_captured_maps_of_a_run():
    seen = []
    pipe = toys.sd()
    pipe.to(torch.float64)
    with nurse(pipe, capturing(seen), subjects=SUBJECTS) as trace:
        toys.run(pipe, "a cat and a frog", steps=3)
    assert len(seen) == 3 and trace.edited_layers > 0
    for reading, loss in seen:
        height, width = reading.grid
        words = reading.aggregate()[0].reshape(height * width, -1).double().numpy()
        image = reading.self_attention()[0].double().numpy()
        boxes = [cells_of(box, height, width) for box in (CAT, FROG)]
        ground = [c for c in range(height * width) if c not in boxes[0] + boxes[1]]
        expected = 0.0
        for own, column in zip(boxes, (2, 5), strict=True):
            for weight, maps, context in ((1.5, words, [column]), (0.5, image, own)):
                held = sum(maps[x, c] for x in own for c in context)
                lost = sum(maps[x, c] for x in ground for c in context)
                expected += weight * (1 - held / (held + 2 * lost)) ** 2
        assert loss.item() == pytest.approx(expected, abs=1e-4)
        # In a pass, no cell of the frog's box attends to the cat, nor to the cat's box.
        assert words[boxes[1], 2].max() == 0 and words[boxes[0], 5].max() == 0
        assert words[ground, 2].min() > 0
        assert max(image[x, y] for x in boxes[0] for y in boxes[1]) == 0
        assert max(image[x, y] for x in boxes[1] for y in boxes[0]) == 0
        assert min(image[x, y] for x in ground for y in boxes[0]) > 0


def context(is_nursing):
    subjects = (
        Subject("cat", (2,), (Attribute("red", (1,)),), box=(0.0, 0.0, 0.5, 1.0)),
        Subject("frog", (4,), box=(0.5, 0.0, 0.75, 1.0)),
        Subject("lamp", (6,)),
    )
    return LayerContext(
        "layer",
        Step(0, 50, 981.0),
        (1, 4),
        [subjects],
        clip_columns((8,), 10),
        is_nursing=is_nursing,
    )


def test_words_are_bounded_by_boxes_and_in_passes_from_other_boxes_alone():
    real = BoundedAttention().bias(context(False))[0, 0] < 0
    nursing = BoundedAttention().bias(context(True))[0, 0] < 0
    for column in range(10):
        hidden = {1: [2, 3], 2: [2, 3], 4: [0, 1, 3]}.get(column, [])
        assert real[:, column].nonzero().flatten().tolist() == hidden
        others = {1: [2], 2: [2], 4: [0, 1]}.get(column, [])
        assert nursing[:, column].nonzero().flatten().tolist() == others


def test_a_box_attends_to_itself_and_to_the_background():
    hidden = BoundedAttention().self_bias(context(False))[0, 0] < 0
    expected = [[2], [2], [0, 1], []]
    assert [row.nonzero().flatten().tolist() for row in hidden] == expected


def test_a_call_with_a_bias_is_the_masked_softmax():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((2, 3, 9, 4), generator=generator, dtype=torch.float64) for _ in range(3)
    )
    bias = torch.zeros((1, 1, 5, 5), dtype=torch.float64)
    bias[0, 0, 1, 3] = -1e4
    call = AttentionCall(query, key, value).biased(Region.of(1, 1, slice(4, 9), slice(4, 9)), bias)
    scores = query @ key.mT / 2
    scores[1, :, 5, 7] = -math.inf
    torch.testing.assert_close(call.proceed(), scores.softmax(-1) @ value)


def test_the_step_size_falls_linearly_and_steps_are_refined_while_guided():
    schedule = BoundedAttention.official().schedule
    sizes = [schedule.step_size_at(Step(i, 50, 0.0)) for i in range(16)]
    assert sizes == pytest.approx([8 - 6 * i / 15 for i in range(15)] + [0.0])
    assert {schedule.threshold_at(Step(i, 50, 0.0)) for i in range(15)} == {0.8}


@pytest.mark.filterwarnings("ignore:.*nursed nothing")
def test_bounding_nothing_and_moving_nothing_changes_no_bit():
    pipe = toys.sd()
    plain = toys.run(pipe)
    with nurse(pipe, BoundedAttention(step_size=1e-30, bound_until=0.0), subjects=SUBJECTS):
        assert torch.equal(toys.run(pipe), plain)


def test_in_a_sum_it_still_bounds_attention():
    pipe = toys.sd()
    both = BoundedAttention(step_size=1e-30) + 0.5 * adhere.AttendAndExcite()
    with nurse(pipe, both, subjects=SUBJECTS) as trace:
        toys.run(pipe)
    assert trace.edited_layers > 0
