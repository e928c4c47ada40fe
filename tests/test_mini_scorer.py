"""The bundled model's scorer: what it says of what is seen."""

import numpy as np
import pytest
from PIL import Image

from adhere.evaluation.prompts import Joined, Prompt, Wanted
from adhere.evaluation.scorers import scorer
from adhere.evaluation.scorers.base import things_in
from adhere.evaluation.scorers.mini import MiniScorer, compared
from adhere.mini import joined
from adhere.mini.scorer import SHIPPED, Finding, Sighting
from scorer_toys import prompt
from training import world


def finding(words: str) -> Finding:
    """ "red car", "cat", "cat/frog" for a mixture."""
    *colour, subject = words.split()
    subject, _, other = subject.partition("/")
    return Finding(subject, colour[0] if colour else None, (0, 0, 9, 9), 0.9, other or None)


def seen(*words: str) -> Sighting:
    return Sighting(tuple(map(finding, words)))


# The bundled model's scorer.

CAT, FROG, CAR, BOWL = (
    Wanted("cat"),
    Wanted("frog"),
    Wanted("car", "red"),
    Wanted("bowl", "blue"),
)
NO, YES = 0.0, 1.0


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        # (all, share, right colour, right colour where present, count, mixture, exact)
        ((CAT, FROG), ["cat", "frog"], (YES, 1, None, None, YES, NO, YES)),
        ((CAT, FROG), ["cat"], (NO, 0.5, None, None, NO, NO, NO)),
        ((CAT, FROG), ["cat", "frog", "dog"], (YES, 1, None, None, YES, NO, YES)),
        ((CAT, FROG), ["cat", "cat", "frog"], (YES, 1, None, None, NO, NO, NO)),
        ((CAT, FROG), ["cat/frog"], (NO, 0, None, None, NO, YES, NO)),
        ((CAT, FROG), ["cat", "frog", "cat/dog"], (YES, 1, None, None, YES, YES, NO)),
        ((CAR, BOWL), ["red car", "blue bowl"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAR, BOWL), ["blue car", "red bowl"], (YES, 1, NO, 0, YES, NO, NO)),
        ((CAR, BOWL), ["red car"], (NO, 0.5, NO, 1, NO, NO, NO)),
        ((CAR, BOWL), ["blue car", "blue bowl"], (YES, 1, NO, 0.5, YES, NO, NO)),
        ((CAR, BOWL), [], (NO, 0, NO, None, NO, NO, NO)),
        ((CAT, CAR), ["cat", "red car"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAT, CAR), ["red car"], (NO, 0.5, YES, 1, NO, NO, NO)),
        ((Wanted("car", "red", 2),), ["red car"] * 2, (YES, 1, YES, 1, YES, NO, YES)),
        ((Wanted("car", "red", 2),), ["red car", "blue car"], (YES, 1, YES, 1, YES, NO, NO)),
        ((CAR, Wanted("car", "blue")), ["red car", "blue car"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAR, Wanted("car", "blue")), ["red car"], (NO, 0.5, NO, 0.5, NO, NO, NO)),
        ((Wanted("dog", count=2), CAT), ["dog", "dog", "cat"], (YES, 1, None, None, YES, NO, YES)),
        ((Wanted("dog", count=2), CAT), ["dog", "cat"], (YES, 1, None, None, NO, NO, NO)),
        # What the scorer cannot judge.
        ((Wanted("train"), CAT), ["cat"], (None,) * 7),
        ((Wanted("cat", "red"),), ["cat"], (YES, 1, None, None, YES, NO, None)),
        ((Wanted("car", "teal"),), ["green car"], (YES, 1, None, None, YES, NO, None)),
        ((), ["cat/dog"], (None, None, None, None, None, YES, None)),
    ],
)
def test_what_was_seen_against_what_was_wanted(wanted, there, expected):
    values = compared(seen(*there), prompt(*wanted, text="words"))
    assert tuple(values.values()) == (*expected, None)


def test_the_metrics_are_those_that_are_given():
    judge = MiniScorer()
    assert [m.name for m in judge.metrics] == list(compared(seen(), prompt(CAT)))
    assert {m.name for m in judge.metrics if not m.higher_is_better} == {"mixture"}


def test_the_mini_scorer_sees_a_drawn_scene():
    scene = world.Scene(
        (
            world.Thing("cat", None, "noto", 0.28, 0.3, 0.42),
            world.Thing("car", "blue", "noto", 0.72, 0.7, 0.42),
        ),
        "plain",
        3,
    )
    image = Image.fromarray(world.draw(scene))
    judge = scorer("mini")
    wanted = prompt(CAT, Wanted("car", "blue"))
    both, shuffled = judge.judge([image] * 2, [wanted, prompt(FROG, CAR)], [None] * 2)
    assert both.values == {
        "all-present": 1, "share-present": 1, "right-colour": 1, "right-colour-where-present": 1,
        "right-count": 1, "mixture": 0, "exact": 1, "relation-kept": None,
    }  # fmt: skip
    cat, car = sorted(things_in(both.details), key=lambda one: one.box[0])
    assert (cat.subject, cat.colour, car.subject, car.colour) == ("cat", None, "car", "blue")
    left, top, right, bottom = car.box
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((0.72, 0.7), abs=0.03)
    assert 0.7 < car.confidence <= 1
    assert len(both.details["features"]) == 64
    small = judge.judge([image.resize((64, 64))], [wanted], [None])[0]
    [again] = [one for one in things_in(small.details) if one.subject == "car"]
    assert again.box == pytest.approx(car.box, abs=0.03), "boxes are in fractions of the image"
    assert shuffled.values["all-present"] == 0
    assert shuffled.values["share-present"] == 0.5
    assert shuffled.values["right-colour"] == 0


WORN = (Joined("worn", 1, 0),)


def boxed(subject: str, *box: float, other: str | None = None) -> Finding:
    return Finding(subject, None, box, 0.9, other)


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        # The crown stands on the lion, beside it, below it, far above it.
        ([boxed("lion", 30, 40, 90, 110), boxed("crown", 44, 18, 78, 50)], YES),
        ([boxed("lion", 10, 40, 60, 110), boxed("crown", 75, 30, 115, 70)], NO),
        ([boxed("lion", 30, 10, 90, 70), boxed("crown", 44, 76, 78, 106)], NO),
        ([boxed("lion", 30, 70, 90, 126), boxed("crown", 44, 0, 78, 30)], NO),
        # One of two lions is enough.
        (
            [
                boxed("lion", 0, 80, 40, 120),
                boxed("lion", 30, 40, 90, 110),
                boxed("crown", 44, 18, 78, 50),
            ],
            YES,
        ),
        ([boxed("lion", 30, 40, 90, 110), boxed("crown", 44, 18, 78, 50, other="bow")], NO),
        ([boxed("lion", 30, 40, 90, 110)], NO),
        ([], NO),
    ],
)
def test_a_relation_is_judged_by_boxes(there, kept):
    wanted = Prompt("p", "words", (Wanted("lion"), Wanted("crown")), relations=WORN)
    assert compared(Sighting(tuple(there)), wanted)["relation-kept"] == kept


def test_a_relation_that_the_world_does_not_draw_is_not_judged():
    wanted = Prompt("p", "words", (Wanted("lion"), Wanted("car")), relations=WORN)
    assert compared(seen("lion", "red car"), wanted)["relation-kept"] is None
    assert MiniScorer().judge_failed(wanted).values["relation-kept"] is None
    crowned = Prompt("p", "words", (Wanted("lion"), Wanted("crown")), relations=WORN)
    assert MiniScorer().judge_failed(crowned).values["relation-kept"] == 0


def test_every_relation_of_the_world_can_be_judged():
    for kind, pairing in world.PAIRINGS.items():
        for thing in pairing.things:
            assert all(joined.knows(kind, thing, base) for base in pairing.bases)
    with pytest.raises(ValueError, match="does not know the relation 'under'"):
        joined.is_joined("under", ("cat", (0, 0, 1, 1)), ("car", (0, 0, 1, 1)))
    with pytest.raises(ValueError, match="cannot judge whether a cat is in a car"):
        joined.is_joined("in", ("cat", (0, 0, 1, 1)), ("car", (0, 0, 1, 1)))


def test_boxes_that_lie_as_on_the_drawn_scene_are_joined():
    random = np.random.default_rng(5)
    for relation in (("worn", "crown", "bear"), ("on", "bird", "car"), ("in", "frog", "bowl")):
        scene = world.random_scene(random, relation=relation)
        base, thing = world.boxes(scene)
        kind, first, second = relation
        assert joined.is_joined(kind, (first, thing), (second, base))
        left, top, right, bottom = thing
        away = (left, top + 64, right, bottom + 64)
        assert not joined.is_joined(kind, (first, away), (second, base))


def test_a_failed_image_is_a_miss_but_no_statement_about_mixtures():
    judge = MiniScorer()
    values = judge.judge_failed(prompt(CAT, CAR)).values
    assert values == {
        "all-present": 0, "share-present": 0, "right-colour": 0,
        "right-colour-where-present": None, "right-count": 0, "mixture": None, "exact": 0,
        "relation-kept": None,
    }  # fmt: skip
    assert judge.judge_failed(prompt(CAT)).values["right-colour"] is None


def test_the_mini_scorer_names_its_weights(tmp_path):
    copy = tmp_path / "scorer.safetensors"
    copy.write_bytes(SHIPPED.read_bytes())
    assert MiniScorer(str(copy)).identity == MiniScorer().identity
    assert MiniScorer().identity["revision"].startswith("sha256:")
    with pytest.raises(ValueError, match="cannot be read"):
        MiniScorer(str(tmp_path / "none.safetensors"))
