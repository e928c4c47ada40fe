"""The world draws what it is told, says what it drew, and refuses what it does not have."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adhere.mini import world
from adhere.mini.world import mix, sprites

seeds = st.integers(0, 2**31 - 1)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_a_scene_is_a_function_of_its_description(seed):
    scene, text = world.random_sample(np.random.default_rng(seed))
    again, text_again = world.random_sample(np.random.default_rng(seed))
    assert scene == again and text == text_again
    assert (world.draw(scene) == world.draw(again)).all()


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_boxes_hold_all_that_a_thing_changes(seed):
    random = np.random.default_rng(seed)
    scene = world.random_scene(random)
    empty = world.draw(world.Scene((), scene.background, scene.seed))
    for thing, (left, top, right, bottom) in zip(scene.things, world.boxes(scene), strict=True):
        alone = world.draw(world.Scene((thing,), scene.background, scene.seed))
        changed = np.abs(alone.astype(int) - empty).max(-1) > 96
        changed[top:bottom, left:right] = False
        assert not changed.any()


@pytest.mark.parametrize("subject", world.OBJECTS)
@pytest.mark.parametrize("style", world.STYLES)
def test_a_painted_object_shows_its_colour(subject, style):
    for name, colour in world.COLOURS.items():
        picture = world.sprite(subject, style, name).astype(float)
        plain = world.sprite(subject, style).astype(float)
        distance = np.abs(picture[..., :3] - np.array(colour)).mean(-1)
        close = (distance < 30) & (picture[..., 3] > 200)
        assert close.sum() > 0.1 * (plain[..., 3] > 200).sum(), name


def test_painting_leaves_opacity_alone():
    for style in world.STYLES:
        plain, painted = world.sprite("car", style), world.sprite("car", style, "blue")
        assert (plain[..., 3] == painted[..., 3]).all()


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_held_out_pairs_never_stand_together(seed):
    scene = world.random_scene(np.random.default_rng(seed))
    names = {thing.subject for thing in scene.things}
    assert not any(frozenset(p) in world.held_out_pairs() for p in combinations(names, 2))


def test_a_third_of_the_animal_pairs_is_held_out():
    pairs = world.held_out_pairs()
    assert len(pairs) == 22
    assert all(pair <= set(world.ANIMALS) and len(pair) == 2 for pair in pairs)


def test_captions_name_every_subject_unless_told_to_forget():
    random = np.random.default_rng(3)
    for _ in range(200):
        scene = world.random_scene(random)
        words = world.caption(scene, random).replace(",", " ").split()
        for subject, colour, count in world.groups(scene):
            assert (subject if count == 1 else world.plural(subject)) in words
            assert colour is None or colour in words


def test_forgetting_leaves_out_about_the_stated_share():
    random = np.random.default_rng(4)
    scene = world.Scene((world.Thing("car", "red"),))
    said = sum("red" in world.caption(scene, random, 0.3) for _ in range(2000)) / 2000
    assert said == pytest.approx(0.7, abs=0.04)


def test_the_mix_is_the_stated_one():
    """Every share that the card states, within four deviations of a sample of 4,000."""
    random = np.random.default_rng(5)
    scenes = [world.random_scene(random) for _ in range(4000)]

    def close(is_so, share):
        margin = 4 * (share * (1 - share) / len(is_so)) ** 0.5
        assert np.mean(is_so) == pytest.approx(share, abs=margin)

    different = [len({thing.subject for thing in s.things}) for s in scenes]
    # Scenes planned for two become twins of one in a tenth of cases.
    for count, share in ((1, 0.65 + 0.29 * 0.1), (2, 0.29 * 0.9), (3, 0.06)):
        close([d == count for d in different], share)
    twins = [len(s.things) > d for s, d in zip(scenes, different, strict=True)]
    close(twins, 0.10 * (0.65 + 0.29))
    objects = {(s, t.subject): t.colour for s in scenes for t in s.things if _is_object(t)}
    close([colour is not None for colour in objects.values()], 0.85)
    assert not any(t.colour for s in scenes for t in s.things if not _is_object(t))
    for kind, share in (("plain", 0.4), ("gradient", 0.25)):
        close([s.background == kind for s in scenes], share)
    close([s.background in world.SCENES for s in scenes], 0.35)


def _is_object(thing):
    return thing.subject in world.OBJECTS


def test_captions_leave_out_the_stated_shares():
    random = np.random.default_rng(6)
    scene = world.Scene((world.Thing("car", "red"), world.Thing("cat")), "forest")
    said = [world.caption(scene, random, mix.FORGET) for _ in range(4000)]
    texts = [text.replace(",", "").split() for text in said]
    both = ["car" in text and "cat" in text for text in texts]
    red = ["red" in text for text in texts if "car" in text]
    forest = ["forest" in text for text in texts]
    for found in (both, red, forest):
        assert np.mean(found) == pytest.approx(0.92, abs=4 * (0.92 * 0.08 / len(found)) ** 0.5)


def test_things_may_stand_partly_or_wholly_outside():
    scene = world.Scene((world.Thing("cat", x=-0.1, y=0.5), world.Thing("dog", x=3, y=3)))
    assert world.draw(scene).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda _: world.Thing("unicorn"), "unicorn"),
        (lambda _: world.Thing("car", "mauve"), "mauve"),
        (lambda _: world.Thing("cat", "red"), "animals keep their own colours"),
        (lambda _: world.Thing("cat", style="oil"), "oil"),
        (lambda _: world.Thing("cat", x=float("nan")), "nan"),
        (lambda _: world.Thing("cat", size=0), "size 0"),
        (lambda _: world.Scene((), "moon"), "moon"),
        (lambda _: world.Scene(("cat",)), "'cat' among its things"),
        (lambda _: world.sprite("cat", "oil"), "oil"),
        (lambda _: world.phrase("unicorn", None, 1), "unicorn"),
        (lambda _: world.phrase("cat", "red", 1), "animals keep their own colours"),
        (lambda _: world.phrase("cat", None, 4), "no word for 4"),
        (lambda r: world.random_scene(r, ["unicorn"]), "unicorn"),
        (lambda r: world.random_scene(r, ["cat"] * 4), "cannot hold 4"),
        (lambda r: world.random_scene(r, []), "cannot hold 0"),
        (lambda r: world.caption(world.Scene(()), r), "holds 0 different"),
        (lambda r: world.caption(world.Scene((world.Thing("cat"),) * 4), r), "no word for 4"),
        (
            lambda r: world.caption(world.Scene(tuple(map(world.Thing, world.ANIMALS))), r),
            "holds 12 different",
        ),
    ],
)
def test_what_the_world_does_not_have_is_refused_by_name(ask, said):
    with pytest.raises(ValueError, match=said):
        ask(np.random.default_rng(0))


@pytest.mark.parametrize("index", [b"{}", b"[]", b"7", b"\xff\xfe", b'{"sha256": 3}'])
def test_an_index_of_anything_is_refused(tmp_path, index):
    (tmp_path / "sprites.png").write_bytes((sprites.DATA / "sprites.png").read_bytes())
    (tmp_path / "sprites.json").write_bytes(index)
    with pytest.raises(ValueError, match="sprite file"):
        sprites._atlas(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "index", "renamed"])
def test_a_damaged_sprite_file_is_refused(tmp_path, damage):
    picture = (sprites.DATA / "sprites.png").read_bytes()
    index = (sprites.DATA / "sprites.json").read_text()
    if damage == "cut":
        picture = picture[: len(picture) // 2]
    if damage == "index":
        index = index[:40]
    if damage == "renamed":
        index = index.replace('"cat",', '"cow",', 1)
    if damage != "missing":
        (tmp_path / "sprites.png").write_bytes(picture)
    (tmp_path / "sprites.json").write_text(index)
    if damage == "changed":
        with sprites.Image.open(tmp_path / "sprites.png") as sheet:
            altered = sheet.convert("RGBA")
        altered.putpixel((50, 50), (1, 2, 3, 255))
        altered.save(tmp_path / "sprites.png")
    with pytest.raises(ValueError, match="sprite file"):
        sprites._atlas(tmp_path)
