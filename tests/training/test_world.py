"""The world draws what it is told, says what it drew, and refuses what it does not have."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.world import mix, sprites
from training.world.captions import WORDS

from training import world

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
    containers = {r.thing: scene.things[r.base] for r in scene.relations if r.kind == "in"}
    lies = (world.Relation("in", 1, 0),)

    def drawn(*things, relations=()):
        picture = world.draw(world.Scene(things, scene.background, scene.seed, relations))
        return picture.astype(int)

    for number, (thing, box) in enumerate(zip(scene.things, world.boxes(scene), strict=True)):
        left, top, right, bottom = box
        below = (containers[number],) if number in containers else ()
        with_it = drawn(*below, thing, relations=lies if below else ())
        changed = np.abs(with_it - drawn(*below)).max(-1) > 96
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
    for count, share in ((2, 0.3), (3, 0.35)):
        close(
            [bool(s.relations) for s, d in zip(scenes, different, strict=True) if d == count],
            share,
        )
    kinds = [relation.kind for s in scenes for relation in s.relations]
    for kind, share in (("worn", 0.4), ("on", 0.25), ("in", 0.2), ("held", 0.15)):
        close([k == kind for k in kinds], share)
    objects = {(s, t.subject): t.colour for s in scenes for t in s.things if _is_object(t)}
    close([colour is not None for colour in objects.values()], 0.85)
    assert not any(t.colour for s in scenes for t in s.things if not _is_object(t))
    for kind, share in (("plain", 0.4), ("gradient", 0.25)):
        close([s.background == kind for s in scenes], share)
    close([s.background in world.SCENES for s in scenes], 0.35)


relations = st.sampled_from(
    [
        (kind, thing, base)
        for kind, pairing in world.PAIRINGS.items()
        for thing in pairing.things
        for base in pairing.bases
    ]
)


def test_held_out_relations_are_never_drawn_joined():
    random = np.random.default_rng(8)
    scenes = [world.random_scene(random) for _ in range(4000)]
    drawn = {
        (r.kind, s.things[r.thing].subject, s.things[r.base].subject)
        for s in scenes
        for r in s.relations
    }
    assert len(drawn) > 90 and not drawn & world.held_out_relations()
    assert len(world.held_out_relations()) == 30
    apart = {frozenset(t.subject for t in s.things) for s in scenes if not s.relations}
    assert any(frozenset(names) in apart for _, *names in world.held_out_relations())


@given(seeds, relations, st.booleans())
@settings(max_examples=150, deadline=None)
def test_joined_things_stand_inside_and_where_their_relation_says(seed, relation, is_triple):
    random = np.random.default_rng(seed)
    kind, subject, base = relation
    others = [next(s for s in world.SUBJECTS if s not in relation)] if is_triple else []
    scene = world.random_scene(random, others, relation)
    assert scene == world.random_scene(np.random.default_rng(seed), others, relation)
    (joined,) = scene.relations
    assert scene.things[joined.thing].subject == subject
    assert scene.things[joined.base].subject == base
    found = world.boxes(scene)
    assert all(0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 128 for x0, y0, x1, y1 in found)
    left, top, right, bottom = found[joined.thing]
    x0, y0, x1, y1 = found[joined.base]
    middle = (left + right) / 2
    if kind == "worn":
        shared = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
        assert shared > 0.08 * (right - left) * (bottom - top)
        assert (top + bottom) / 2 < y0 + 0.76 * (y1 - y0)
    elif kind == "on":
        assert x0 < middle < x1
        assert top < y0 + 0.5 * (y1 - y0) and y0 < bottom < y0 + 0.8 * (y1 - y0)
    elif kind == "in":
        assert min(right, x1) - max(left, x0) > 0.75 * (right - left)
        assert top < y0 + 0.5 * (y1 - y0) and bottom < y0 + 0.75 * (y1 - y0)
    else:
        assert min(right, x1) > max(left, x0) and min(bottom, y1) > max(top, y0)
        assert not x0 + 2 < middle < x1 - 2 or (right - left) < 0.4 * (x1 - x0)
        assert (top + bottom) / 2 < (y0 + y1) / 2


def test_a_container_hides_the_lower_part_of_what_lies_in_it():
    things = (world.Thing("bowl", y=0.6), world.Thing("cat", y=0.46, size=0.4))
    apart = world.Scene(things)
    lying = world.Scene(things, relations=(world.Relation("in", 1, 0),))
    box_apart, box_lying = world.boxes(apart)[1], world.boxes(lying)[1]
    assert box_lying[:3] == box_apart[:3] and box_lying[3] < box_apart[3]
    changed = np.nonzero((world.draw(apart) != world.draw(lying)).any(-1))[0]
    assert changed.min() >= box_lying[3] - 8
    deep = world.Scene(
        (world.Thing("bowl", y=0.3), world.Thing("cat", y=0.7, size=0.4)),
        relations=(world.Relation("in", 1, 0),),
    )
    assert world.boxes(deep)[1] == (0, 0, 0, 0)


@given(seeds, relations)
@settings(max_examples=60, deadline=None)
def test_captions_say_the_relation_in_words_of_the_vocabulary(seed, relation):
    random = np.random.default_rng(seed)
    scene = world.random_scene(random, relation=relation)
    text = f" {world.caption(scene, random)} "
    kind, subject, base = relation
    first, second = (base, subject) if kind in ("worn", "held") else (subject, base)
    said = {
        "worn": (" with ", " wearing "),
        "on": (" on ", " sitting on "),
        "in": (" in ", " inside "),
        "held": (" with ", " holding "),
    }[kind]
    assert any(word in text[text.index(first) : text.index(second)] for word in said)
    assert {"wearing", "holding", "sitting", "inside", "on", "in", "with"} <= set(WORDS)


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


def _joined(base, thing, relations):
    return world.Scene((world.Thing(base), world.Thing(thing)), relations=relations)


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
        (lambda r: world.random_scene(r, ["cat"] * 2, ("on", "dog", "car")), "cannot hold 4"),
        (lambda r: world.random_scene(r, relation=("under", "dog", "car")), "no relation 'under'"),
        (lambda r: world.random_scene(r, relation=("on", "car", "dog")), "car cannot take"),
        (lambda r: world.join("in", world.Thing("cat"), world.Thing("car"), r), "car cannot take"),
        (lambda _: world.Relation("under", 1, 0), "no relation 'under'"),
        (lambda _: world.Scene((), relations=(world.Relation("on", 1, 0),)), "scene of 0 things"),
        (lambda _: _joined("cat", "bowl", (world.Relation("in", 1, 0),)), "lie in a cat"),
        (
            lambda _: _joined("bowl", "cat", (world.Relation("in", 0, 1),)),
            "the base's the smaller",
        ),
        (lambda _: _joined("bowl", "cat", (world.Relation("in", 1, 0),) * 2), "one at most"),
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
