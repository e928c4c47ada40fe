import pytest
from PIL import Image

from adhere.evaluation.prompts import Prompt, Wanted
from adhere.evaluation.scorers import SCORERS, scorer
from adhere.evaluation.scorers.mini import MiniScorer, compared
from adhere.mini import world
from adhere.mini.scorer import SHIPPED, Finding, Sighting


def prompt(*wanted: Wanted, text: str = "", scene: str | None = None) -> Prompt:
    text = text or " and ".join(f"a {w.subject}" for w in wanted)
    return Prompt("p", text, wanted, scene)


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
        ((CAR, Wanted("car", "blue")), ["red car"], (YES, 1, NO, 0.5, NO, NO, NO)),
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
    assert tuple(values.values()) == expected


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
    picture = Image.fromarray(world.draw(scene))
    judge = scorer("mini")
    wanted = prompt(CAT, Wanted("car", "blue"))
    both, shuffled = judge.judge([picture] * 2, [wanted, prompt(FROG, CAR)], [None] * 2)
    assert both.values == {
        "all-present": 1, "share-present": 1, "right-colour": 1, "right-colour-where-present": 1,
        "right-count": 1, "mixture": 0, "exact": 1,
    }  # fmt: skip
    assert sorted(both.details["found"]) == ["blue car", "cat"]
    assert shuffled.values["all-present"] == 0
    assert shuffled.values["share-present"] == 0.5
    assert shuffled.values["right-colour"] == 0


def test_a_failed_picture_is_a_miss_but_no_statement_about_mixtures():
    judge = MiniScorer()
    values = judge.judge_failed(prompt(CAT, CAR)).values
    assert values == {
        "all-present": 0, "share-present": 0, "right-colour": 0,
        "right-colour-where-present": None, "right-count": 0, "mixture": None, "exact": 0,
    }  # fmt: skip
    assert judge.judge_failed(prompt(CAT)).values["right-colour"] is None


def test_the_mini_scorer_names_its_weights(tmp_path):
    copy = tmp_path / "scorer.safetensors"
    copy.write_bytes(SHIPPED.read_bytes())
    assert MiniScorer(str(copy)).identity == MiniScorer().identity
    assert MiniScorer().identity["revision"].startswith("sha256:")
    with pytest.raises(ValueError, match="cannot be read"):
        MiniScorer(str(tmp_path / "none.safetensors"))


def test_an_unknown_scorer_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown scorer 'minni': did you mean 'mini'"):
        scorer("minni")
    assert "mini" in SCORERS
