import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from training.dial import TrainingRecipe
from training.scorer import degrade, judging, sets, stage, targets
from training.scorer.specimens import Label, Labels, pack, specimen, unpack

from adhere.mini import scorer
from adhere.mini.detector import GRID, Detector, Prediction
from training import world

SEED = 77
COLOURS = tuple(world.COLOURS)
LABELLED = Path(__file__).parents[2] / "benchmarks/labelled"


@pytest.fixture(scope="module")
def judge() -> scorer.Scorer:
    return scorer.load()


def number(subject: str) -> int:
    return world.SUBJECTS.index(subject)


def label(subject: str, box: tuple, other: str | None = None, colour: str = "", certain=True):
    chances = tuple(float(name == colour) for name in COLOURS)
    return Label(number(subject), number(other or subject), box, chances, certain)


# The shipped weights on drawn scenes.


def test_presence_count_and_colour_on_held_out_scenes(judge):
    figures = judging.figures(judge, *sets.scenes(SEED, 96))
    assert figures["precision"] >= 0.99
    assert figures["recall"] >= 0.98
    assert figures["count"] >= 0.97
    assert figures["colour"] >= 0.97
    assert figures["overlap"] >= 0.8
    assert figures["false_mixtures"] <= 0.02


def test_it_agrees_with_an_eye_on_generated_pictures(judge):
    """200 pictures of the bundled model, labelled without having seen the scorer's verdict."""
    labels = judging.read_labels(LABELLED / "labels.jsonl")
    assert len(labels) == 200
    figures, _ = judging.agreement(judge, LABELLED, labels)
    assert figures["asked"] >= 0.92


def test_mixtures_are_kept_out_on_degraded_specimens(judge):
    figures = judging.figures(judge, *sets.hard(SEED, 96))
    assert figures["mixtures_kept_out"] >= 0.75
    assert figures["precision"] >= 0.9
    assert figures["recall"] >= 0.88


def test_a_scene_is_told_in_full(judge):
    scene = world.Scene(
        (
            world.Thing("cat", None, "noto", 0.28, 0.3, 0.42),
            world.Thing("car", "blue", "noto", 0.72, 0.3, 0.42),
            world.Thing("cat", None, "noto", 0.3, 0.76, 0.4),
        ),
        "gradient",
        3,
    )
    seen = judge.look([world.draw(scene)])[0]
    assert seen.subjects == {"cat", "car"}
    assert seen.count("cat") == 2
    assert seen.counts == {"cat": 2, "car": 1}
    assert seen.colours("car") == ("blue",)
    assert seen.colours("cat") == ()
    assert not seen.is_present("dog")
    assert seen.count("dog") == 0
    assert seen.mixtures == ()
    for finding in seen.findings:
        boxes = [
            box
            for box, thing in zip(world.boxes(scene), scene.things, strict=True)
            if thing.subject == finding.subject
        ]
        assert max(scorer.shared(finding.box, box) for box in boxes) > 0.7


def test_an_empty_scene_holds_nothing(judge):
    pictures = [world.draw(world.Scene((), name, 5)) for name in world.BACKGROUNDS]
    assert [len(seen.findings) for seen in judge.look(pictures)] == [0] * len(pictures)


@pytest.mark.parametrize(("first", "second"), [("frog", "elephant"), ("lion", "rabbit")])
def test_an_average_of_two_animals_is_neither(judge, first, second):
    one, two = (
        world.draw(world.Scene((world.Thing(s, None, "noto", 0.5, 0.5, 0.7),), "plain", 4))
        for s in (first, second)
    )
    mean = ((one.astype(float) + two) / 2).round().astype(np.uint8)
    assert judge.look([one])[0].subjects == {first}
    assert judge.look([two])[0].subjects == {second}
    seen = judge.look([mean])[0]
    assert not seen.subjects & {first, second}
    assert len(seen.mixtures) == 1
    assert seen.mixtures[0].is_mixture
    assert {seen.mixtures[0].subject, seen.mixtures[0].mixed_with} & {first, second}


def test_one_subject_in_two_styles_is_no_mixture(judge):
    one, two = (
        world.draw(world.Scene((world.Thing("dog", None, style, 0.5, 0.5, 0.7),), "plain", 4))
        for style in ("noto", "fluent")
    )
    mean = ((one.astype(float) + two) / 2).round().astype(np.uint8)
    assert judge.look([mean])[0].subjects == {"dog"}


def test_a_faint_ghost_is_nothing(judge):
    thing = world.Scene((world.Thing("bear", None, "noto", 0.5, 0.5, 0.6),), "plain", 4)
    picture, empty = world.draw(thing).astype(float), world.draw(world.Scene((), "plain", 4))
    ghost = (empty + 0.06 * (picture - empty)).round().astype(np.uint8)
    assert judge.look([ghost])[0].subjects == frozenset()


# Ways to give pictures.


def test_a_batch_equals_its_pictures_one_by_one(judge):
    pictures, _ = sets.hard(SEED, 20)
    together = judge.look(pictures)
    alone = [judge.look([picture])[0] for picture in pictures]
    for a, b in zip(together, alone, strict=True):
        assert [(f.subject, f.colour, f.mixed_with) for f in a.findings] == [
            (f.subject, f.colour, f.mixed_with) for f in b.findings
        ]
        for f, g in zip(a.findings, b.findings, strict=True):
            assert f.confidence == pytest.approx(g.confidence, abs=1e-4)
            assert f.box == pytest.approx(g.box, abs=1e-2)


def test_pictures_come_as_arrays_images_and_floats(judge):
    picture = world.draw(world.random_scene(np.random.default_rng(3)))
    expected = judge.look([picture])
    assert judge.look([Image.fromarray(picture)]) == expected
    assert judge.look([picture / 255]) == expected
    assert judge.look([]) == []


def test_boxes_are_in_pixels_of_the_picture_that_was_given(judge):
    scene = world.Scene((world.Thing("apple", "red", "noto", 0.5, 0.4, 0.6),), "plain", 1)
    small = judge.look([world.draw(scene, 128)])[0].findings[0]
    large = judge.look([world.draw(scene, 256)])[0].findings[0]
    assert large.subject == small.subject == "apple"
    assert np.array(large.box) / 2 == pytest.approx(np.array(small.box), abs=4)
    wide = Image.fromarray(world.draw(scene, 128)).resize((256, 128))
    found = judge.look([wide])[0].findings[0]
    assert found.box[2] - found.box[0] > 1.5 * (small.box[2] - small.box[0])


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((128, 128), np.uint8), "shape"),
        (np.zeros((128, 128, 4), np.uint8), "shape"),
        (np.zeros((0, 128, 3), np.uint8), "shape"),
        (np.full((8, 8, 3), 2.0), "0…1"),
        (np.full((8, 8, 3), np.nan), "0…1"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        ("a.png", "got a str.*Image.open"),
        (Path("a.png"), "Image.open"),
        (torch.zeros(3, 128, 128), "got a Tensor.*numpy"),
        (None, "got a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(judge, picture, said):
    with pytest.raises(ValueError, match=said):
        judge.look([picture])


def test_an_unknown_subject_is_refused():
    for ask in (scorer.Sighting().is_present, scorer.Sighting().count, scorer.Sighting().colours):
        with pytest.raises(ValueError, match="'zebra'.*cat"):
            ask("zebra")


# The file of weights.


def test_the_shipped_weights_are_small():
    assert scorer.SHIPPED.stat().st_size <= 3 * 2**20


def test_loading_is_refused_clearly(tmp_path):
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(ValueError, match="missing"):
        scorer.load(missing)
    whole = scorer.SHIPPED.read_bytes()
    (damaged := tmp_path / "damaged.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        scorer.load(damaged)
    (noise := tmp_path / "noise.safetensors").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ValueError, match="cannot be read"):
        scorer.load(noise)
    save_file({"weight": torch.zeros(2)}, foreign := tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="holds no scorer"):
        scorer.load(foreign)


def test_a_scorer_of_another_world_is_refused(tmp_path):
    tensors = load_file(scorer.SHIPPED)
    settings = {
        "subjects": world.SUBJECTS,
        "colours": COLOURS,
        "widths": (16, 32, 64, 128),
        "threshold": 0.4,
        "mixture_threshold": 0.5,
    }
    others = [
        (tensors, settings | {"subjects": ("zebra",)}),
        (tensors, settings | {"widths": (8, 16, 32, 64)}),
        (dict(list(tensors.items())[:-1]), settings),
        (tensors, {k: v for k, v in settings.items() if k != "threshold"}),
    ]
    for held, said in others:
        path = tmp_path / "other.safetensors"
        save_file(held, path, {"format": scorer.FORMAT, "settings": json.dumps(said)})
        with pytest.raises(ValueError, match="does not fit"):
            scorer.load(path)


def test_what_is_exported_is_what_is_loaded(tmp_path):
    detector = Detector()
    stage.export(detector, (0.3, 0.6), tmp_path / "new.safetensors")
    again = scorer.load(tmp_path / "new.safetensors")
    assert (again.threshold, again.mixture_threshold) == (0.3, 0.6)
    for key, value in detector.state_dict().items():
        assert torch.equal(again.detector.state_dict()[key], value.half().float())


# From labels to targets and back.


def perfect(labels: list[Label]) -> Prediction:
    wanted = targets.Targets(Labels(*(part[None] for part in pack(labels))))
    return Prediction(
        torch.where(wanted.centres == 1, 6.0, -6.0),
        wanted.boxes,
        10 * wanted.colours,
        20 * wanted.mixtures - 10,
    )


def test_a_perfect_prediction_gives_back_its_labels():
    labels = [
        label("cat", (3.0, 5.0, 51.0, 60.0)),
        label("car", (60.0, 70.0, 128.0, 110.0), colour="pink"),
        label("dog", (66.0, 4.0, 120.0, 58.0), other="frog"),
    ]
    seen = scorer.sighting(scorer.candidates(perfect(labels))[0], 0.5, 0.5)
    assert seen.subjects == {"cat", "car"}
    assert seen.colours("car") == ("pink",)
    assert len(seen.mixtures) == 1
    assert {seen.mixtures[0].subject, seen.mixtures[0].mixed_with} == {"dog", "frog"}
    by_subject = {finding.subject: finding.box for finding in seen.findings}
    for truth in labels[:2]:
        found = by_subject[world.SUBJECTS[truth.subject]]
        assert found == pytest.approx(truth.box, abs=1e-3)


def test_the_same_thing_is_found_once_and_twins_twice():
    near = [label("cat", (10.0, 10.0, 60.0, 60.0)), label("dog", (26.0, 10.0, 76.0, 60.0))]
    assert len(scorer.candidates(perfect(near))[0]) == 1
    twins = [label("cat", (4.0, 10.0, 50.0, 60.0)), label("cat", (70.0, 10.0, 120.0, 60.0))]
    assert scorer.sighting(scorer.candidates(perfect(twins))[0], 0.5, 0.5).count("cat") == 2


def test_nothing_is_learnt_from_an_uncertain_thing():
    labels = [label("bear", (30.0, 30.0, 90.0, 90.0), certain=False)]
    wanted = targets.Targets(Labels(*(part[None] for part in pack(labels))))
    bear = number("bear")
    assert wanted.centres.sum() == 0
    assert wanted.weight.sum() == 0
    assert wanted.asked[0, bear, GRID // 2, GRID // 2] == 0
    assert wanted.asked[0, bear, 0, 0] == 1
    others = [s for s in range(len(world.SUBJECTS)) if s != bear]
    assert wanted.asked[0, others].min() == 1


def test_labels_survive_packing():
    labels = [label("cat", (1.0, 2.0, 30.0, 40.0)), label("bow", (5.0, 6.0, 9.0, 9.0), "car")]
    assert unpack(pack(labels)) == labels
    assert unpack(pack([])) == []


# Specimens and their degradations.


def test_specimens_are_pictures_with_labels_inside_and_repeat():
    for index in range(40):
        picture, labels = specimen(np.random.default_rng((SEED, index)))
        assert picture.shape == (128, 128, 3)
        assert picture.dtype == np.uint8
        assert len(labels) <= 4
        for own in labels:
            left, top, right, bottom = own.box
            assert 0 <= left < right <= 128
            assert 0 <= top < bottom <= 128
    again, labels_again = specimen(np.random.default_rng((SEED, 39)))
    assert np.array_equal(picture, again)
    assert labels == labels_again


def test_boxes_move_with_what_they_hold():
    images = -torch.ones(16, 3, 128, 128)
    images[:, :, 40:80, 30:90] = 1
    boxes = torch.tensor([30.0, 40.0, 90.0, 80.0]).expand(16, 1, 4)
    warped, moved = degrade.warp(images, boxes, torch.Generator().manual_seed(0))
    assert not torch.equal(warped, images)
    for image, box in zip(warped, moved[:, 0], strict=True):
        rows, columns = (image[0] > 0).nonzero(as_tuple=True)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert box.tolist() == pytest.approx([float(edge) for edge in edges], abs=7)


def test_weathered_pictures_stay_pictures():
    images = torch.rand(8, 3, 128, 128) * 2 - 1
    weathered = degrade.weather(images, torch.Generator().manual_seed(0))
    assert weathered.shape == images.shape
    assert weathered.abs().max() <= 1
    assert torch.isfinite(weathered).all()


def test_a_mix_holds_both_and_nothing_where_neither_is():
    red, blue = np.zeros((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.float32)
    red[:2] = (255, 0, 0, 255)
    blue[:, :2] = (0, 0, 255, 255)
    mixed = degrade.mix(red, blue, 0.5)
    assert mixed[0, 0].tolist() == pytest.approx([127.5, 0, 127.5, 255], abs=0.1)
    assert mixed[0, 3].tolist() == pytest.approx([255, 0, 0, 127.5], abs=0.1)
    assert mixed[3, 3, 3] == 0


# The stage.


def pool(count: int) -> dict[str, torch.Tensor]:
    made = [specimen(np.random.default_rng((5, index))) for index in range(count)]
    packed = [pack(labels) for _, labels in made]
    return {"pictures": torch.from_numpy(np.stack([picture for picture, _ in made]))} | {
        name: torch.stack([getattr(one, name) for one in packed]) for name in Labels._fields
    }


def test_the_loss_falls_on_one_batch():
    part = stage.ScorerStage(TrainingRecipe(length=0.01), pool(8), pool(8))
    rows = [part.dataset()[index] for index in range(8)]
    batch = [torch.stack(parts) for parts in zip(*rows, strict=True)]
    optimiser = torch.optim.AdamW(part.model.parameters(), 2e-3)
    losses = []
    for _ in range(6):
        loss = part.loss(batch, 0, torch.device("cpu"))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


# Labels made by eye.


def test_agreement_with_labels_made_by_eye(judge, tmp_path):
    things = {
        "0.png": (world.Thing("cat", None, "noto", 0.5, 0.5, 0.6),),
        "1.png": (
            world.Thing("car", "red", "noto", 0.27, 0.5, 0.45),
            world.Thing("frog", None, "noto", 0.75, 0.5, 0.45),
        ),
    }
    for name, own in things.items():
        Image.fromarray(world.draw(world.Scene(own, "plain", 4))).save(tmp_path / name)
    asked = {"0.png": ("cat", "dog"), "1.png": ("car", "frog")}
    path = judging.labelling_sheet(tmp_path, tmp_path / "sheets", asked=asked)
    assert (tmp_path / "sheets" / "sheet-000.png").exists()
    assert judging.read_labels(path) == []
    with pytest.raises(ValueError, match="nothing to compare"):
        judging.agreement(judge, tmp_path, judging.read_labels(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["seen"], lines[1]["seen"] = ["cat"], ["red car", "dog", "bowl?", "cat+frog"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    labels = judging.read_labels(path)
    assert labels[1].mixtures == (frozenset({"cat", "frog"}),)
    assert labels[1].unsure == {"bowl"}
    figures, differing = judging.agreement(judge, tmp_path, labels)
    assert figures["pictures_compared"] == 2
    assert figures["asked"] == 3 / 4
    assert figures["subjects"] == 2 / 4
    assert figures["pictures"] == 1 / 2
    assert figures["colour"] == figures["count"] == 1
    assert [own.picture for own, _ in differing] == ["1.png"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no label"),
        ('{"seen": []}', "no label"),
        ('{"picture": "a.png", "seen": ["zebra"]}', "'zebra' is no subject"),
        ('{"picture": "a.png", "seen": ["red cat"]}', "no coloured object"),
        ('{"picture": "a.png", "seen": ["cat+zebra"]}', "'zebra' is no subject"),
    ],
)
def test_labels_that_say_nothing_are_refused(tmp_path, line, said):
    path = Path(tmp_path / "labels.jsonl")
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=said):
        judging.read_labels(path)


def test_a_labelled_picture_that_is_missing_is_named(judge, tmp_path):
    with pytest.raises(ValueError, match="gone.png"):
        judging.agreement(judge, tmp_path, [judging.ByEye("gone.png", (("cat", None),))])
    with pytest.raises(ValueError, match="no PNG"):
        judging.labelling_sheet(tmp_path, tmp_path / "sheets")
