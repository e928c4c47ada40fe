"""Relations are told by boxes: on drawn scenes, and as an eye tells them on generated images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training.scorer import joining, sets

from adhere.mini import joined, scorer
from training import world

RELATED = Path(__file__).parents[2] / "benchmarks" / "related"
SEED = 20_261_126


@pytest.fixture(scope="module")
def judge():
    return scorer.load()


def test_joined_things_are_told_from_those_apart_and_moved_away(judge):
    told = joining.figures(judge, joining.examples(SEED, 60))
    assert set(told) == {*world.RELATIONS, "all"}
    everything = told["all"]
    assert everything["examples"] == 60
    assert everything["base"] >= 0.93 and everything["thing"] >= 0.82
    assert everything["recall_where_found"] >= 0.95
    assert everything["apart"] <= 0.02 and everything["moved"] <= 0.07


def test_both_of_two_joined_things_are_found(judge):
    """A face and its glasses have nearly one box: neither may hide the other."""
    random = np.random.default_rng(3)
    scenes = [world.random_scene(random, relation=("worn", "glasses", "bear")) for _ in range(12)]
    seen = judge.look([world.draw(scene) for scene in scenes])
    assert sum({"bear", "glasses"} <= sighting.subjects for sighting in seen) >= 8


def test_boxes_agree_with_an_eye_on_generated_images(judge):
    """The figures of the card: no false alarm, and about half of what is joined is found."""
    rows = [json.loads(line) for line in (RELATED / "labels.jsonl").read_text().splitlines()]
    assert len(rows) == 100 and len({row["picture"] for row in rows}) == 100
    sure = [row for row in rows if row["joined"] is not None]
    images = [np.asarray(Image.open(RELATED / row["picture"]).convert("RGB")) for row in sure]
    seen = [
        joined.is_seen(look, *row["relation"])
        for row, look in zip(sure, judge.look(images), strict=True)
    ]
    told = [row["joined"] for row in sure]
    assert len(sure) == 44 and sum(told) == 28
    assert sum(np.array(seen) & np.array(told)) >= 13
    assert not any(np.array(seen) & ~np.array(told))


def test_ranges_hold_the_examples_that_they_are_fitted_on(judge):
    made = joining.examples(1, 120)
    ranges, slack = joining.fitted(judge, made)
    assert slack in joining.SLACKS
    made = [example for example in made if joined.key(*example.relation) in ranges]
    told = joining.figures(judge, made, ranges)
    assert told["all"]["recall_where_found"] >= 0.99
    none = {name: tuple((2.0, 1.0) for _ in own) for name, own in ranges.items()}
    assert joining.figures(judge, made, none)["all"]["recall"] == 0


def test_a_moved_example_keeps_its_two_things_inside():
    for example in joining.examples(2, 20):
        assert len(example.scene.relations) == (example.sort == "joined")
        assert {t.subject for t in example.scene.things} == {*example.relation[1:]}
        for left, top, right, bottom in world.boxes(example.scene):
            assert 0 <= left < right <= 128 and 0 <= top < bottom <= 128


def test_how_a_box_lies_does_not_depend_on_the_scale():
    thing, base = (40.0, 10.0, 70.0, 40.0), (30.0, 30.0, 90.0, 110.0)
    twice = tuple(2 * x for x in thing), tuple(2 * x for x in base)
    assert joined.lie(thing, base) == joined.lie(*twice)
    assert joined.lie(thing, base) == pytest.approx((5 / 60, -0.25, 0.125, 0.5))
    assert joined.lie((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"on car": [[0, 1]]}', b'{"on car": 3}', None])
def test_damaged_ranges_are_refused(tmp_path, monkeypatch, content):
    path = tmp_path / "relations.json"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(joined, "LIMITS", path)
    joined.limits.cache_clear()
    with pytest.raises(ValueError, match="cannot be read"):
        joined.limits()
    monkeypatch.undo()
    joined.limits.cache_clear()
    assert len(joined.limits()) == 13


def test_scenes_of_joined_things_are_labelled_with_both():
    pictures, labels = sets.joined(0, 8)
    assert pictures.shape == (8, 128, 128, 3)
    assert all(len(own) == 2 and own[0].subject != own[1].subject for own in labels)
