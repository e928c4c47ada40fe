import errno
import hashlib
import json
import os
import re
from functools import partial
from pathlib import Path

import pandas
import pytest
from PIL import Image

from adhere.drawing.recipe import from_json
from adhere.evaluation.data import FORMATS, export_data
from adhere.evaluation.export import LAYOUTS, export
from adhere.evaluation.outcomes import drawn, failed
from adhere.evaluation.plan import Condition, Plan, Unit
from adhere.evaluation.prompts import Prompt, PromptSet, Wanted, prompt_set
from adhere.evaluation.scorers.cache import read as read_scores
from adhere.evaluation.scorers.cache import score
from adhere.evaluation.scorers.preservation import PixelScorer
from adhere.evaluation.scorers.questions import questions
from adhere.evaluation.sets.geneval import COCO
from adhere.evaluation.store import Store
from adhere.methods import AttendAndExcite
from runs import filled

SEEDS = (3, 11)
PROMPTS = (
    Prompt("p-0", "a cat and a dog", (Wanted("cat"), Wanted("dog")), tag="two_object"),
    Prompt("p-1", "a red car", (Wanted("car", "red"),), tag="colors"),
    Prompt("p-2", "two birds", (Wanted("bird", count=2),)),
)


def run(tmp_path, prompts=PROMPTS, seeds=SEEDS, fails=(), only=None) -> Store:
    sets = (PromptSet("own", "test", tuple(prompts)),)
    conditions = (Condition.of("attend", AttendAndExcite()),)
    store = Store.create(
        tmp_path / "run", Plan("mini", conditions, sets, seeds, size=(8, 8), batch_size=2)
    )
    with store.writing():
        for batch in store.missing()[:only]:
            store.keep(
                [
                    failed(store.plan, unit, "no memory", batch=batch.seeds)
                    if unit in fails
                    else drawn(
                        store.plan,
                        unit,
                        Image.new("RGB", (8, 8), (unit.seed, len(unit.prompt), 0)),
                        batch=batch.seeds,
                    )
                    for unit in batch.units
                ]
            )
    return store


def digest(path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def digests(store, prompt, condition="attend", prompts="own"):
    return [
        row.sha256
        for row in store.rows()
        if (row.unit.prompt, row.unit.condition) == (prompt, condition)
    ]


def left(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_attend_and_excite_finds_every_image_under_its_prompt(tmp_path):
    store = run(tmp_path)
    out = export(store, "attend-and-excite", tmp_path / "view", condition="attend", prompts="own")
    # What the authors' script does: folders are prompts, all images below them are theirs.
    folders = {p.name for p in out.glob("*") if p.is_dir()}
    assert folders == {p.text for p in PROMPTS}
    for prompt in PROMPTS:
        found = [p for p in (out / prompt.text).rglob("*") if p.suffix in (".png", ".jpg")]
        assert sorted(p.name for p in found) == ["11.png", "3.png"]
        assert {digest(p) for p in found} == set(digests(store, prompt.id))
    assert {p.name for p in out.iterdir()} == folders


def test_geneval_reads_what_each_image_should_hold(tmp_path):
    store = run(tmp_path)
    out = export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    read = {}
    for folder in sorted(os.listdir(out)):
        if not (out / folder).is_dir() or not folder.isdigit():
            continue
        with open(out / folder / "metadata.jsonl") as file:
            metadata = json.load(file)
        samples = sorted(os.listdir(out / folder / "samples"))
        assert samples == ["0000.png", "0001.png"]
        assert all(re.match(r"\d+\.png", name) for name in samples)
        read[metadata["prompt"]] = metadata
        prompt = next(p for p in PROMPTS if p.text == metadata["prompt"])
        found = [digest(out / folder / "samples" / name) for name in samples]
        assert found == digests(store, prompt.id)
    assert read == {
        "a cat and a dog": {
            "tag": "two_object",
            "include": [{"class": "cat", "count": 1}, {"class": "dog", "count": 1}],
            "prompt": "a cat and a dog",
        },
        "a red car": {
            "tag": "colors",
            "include": [{"class": "car", "count": 1, "color": "red"}],
            "prompt": "a red car",
        },
        "two birds": {
            "tag": "counting",
            "include": [{"class": "bird", "count": 2}],
            "exclude": [{"class": "bird", "count": 3}],
            "prompt": "two birds",
        },
    }
    index = json.loads((out / "images.json").read_text())
    assert len(index) == 6
    for entry in index:
        unit = Unit("attend", "own", entry["prompt"], entry["seed"])
        assert digest(out / entry["image"]) == digest(store.path(unit))


def test_geneval_gets_the_rows_of_its_own_file_whole(tmp_path):
    row = {
        "tag": "position",
        "include": [
            {"class": "bear", "count": 1},
            {"class": "dog", "count": 1, "position": ["left of", 0]},
        ],
        "prompt": "a dog left of a bear",
    }
    wanted = (Wanted("bear"), Wanted("dog"))
    prompt = Prompt("p-0", row["prompt"], wanted, tag="position", geneval=json.dumps(row))
    store = run(tmp_path, [prompt])
    # As another process reads the plan.
    store = Store.open(tmp_path / "run")
    out = export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    assert json.loads((out / "00000" / "metadata.jsonl").read_text()) == row


@pytest.mark.parametrize("name", ["geneval-two-object", "geneval-colors", "geneval-color-attr"])
def test_the_sets_in_genevals_forms_can_all_be_named_by_it(name):
    for prompt in prompt_set(name).prompts:
        assert {w.subject for w in prompt.wanted} <= COCO
        assert prompt.tag in ("two_object", "colors", "color_attr")


def test_geneval_refuses_what_its_models_cannot_name(tmp_path):
    frog = Prompt("p-0", "a frog", (Wanted("frog"),))
    store = run(tmp_path / "a", [frog])
    with pytest.raises(ValueError, match="does not know 'frog'.*owlv2"):
        export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    gray = Prompt("p-0", "a gray car", (Wanted("car", "gray"),))
    store = run(tmp_path / "b", [gray])
    with pytest.raises(ValueError, match="does not know the colour 'gray'"):
        export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    store = run(tmp_path / "c", [Prompt("p-0", "something", ())])
    with pytest.raises(ValueError, match="Nothing is known of what"):
        export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    assert left(tmp_path) == ["a", "b", "c"]


def test_prompts_that_a_layout_cannot_hold_are_refused_at_once(tmp_path):
    frogs = [Prompt(f"f-{n}", f"a frog {n}", (Wanted("frog"),)) for n in range(12)]
    store = run(tmp_path, [*frogs, PROMPTS[1]], seeds=(3,))
    with pytest.raises(ValueError, match="cannot hold 12 of the 13 prompts of 'own'") as caught:
        export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    told = str(caught.value)
    assert told.count("does not know 'frog'") == 10
    assert "'f-0'" in told and "'f-9'" in told and "; and 2 more. Name another" in told
    assert "\n" not in told and left(tmp_path) == ["run"]


def test_tifa_finds_an_image_for_every_id_of_its_questions(tmp_path):
    store = run(tmp_path)
    out = export(store, "tifa", tmp_path / "view", condition="attend", prompts="own")
    asked = json.loads((out / "questions.json").read_text())
    places = json.loads((out / "imgs.json").read_text())
    seen = {}
    for entry in asked:
        assert set(entry) == {
            "id", "caption", "question", "choices", "answer", "element_type", "element",
        }  # fmt: skip
        assert entry["answer"] in entry["choices"]
        path = os.path.join(out, places[str(entry["id"])])
        prompt, seed = entry["id"].split("#")
        assert digest(path) == digest(store.path(Unit("attend", "own", prompt, int(seed))))
        assert seen.setdefault((entry["id"], entry["question"]), entry) is entry
    assert {entry["id"] for entry in asked} == set(places)
    assert len(places) == 6
    assert len(asked) == 2 * sum(len(questions(p)) for p in PROMPTS)


def test_tifa_needs_two_images_and_something_to_ask(tmp_path):
    store = run(tmp_path / "a", [PROMPTS[0]], seeds=(3,))
    with pytest.raises(ValueError, match="fails on a single image"):
        export(store, "tifa", tmp_path / "view", condition="attend", prompts="own")
    store = run(tmp_path / "b", [Prompt("p-0", "something", ())])
    with pytest.raises(ValueError, match="can ask nothing"):
        export(store, "tifa", tmp_path / "view", condition="attend", prompts="own")


def test_t2i_compbench_gets_prompts_and_numbers_from_the_names(tmp_path):
    store = run(tmp_path)
    out = export(store, "t2i-compbench", tmp_path / "view", condition="attend", prompts="own")
    names = os.listdir(out / "samples")
    # What the authors' scripts do: the order is the number's, the prompt is before the first "_".
    names.sort(key=lambda name: int(name.split("_")[-1].split(".")[0]))
    numbers = [int(name.split("_")[-1].split(".")[0]) for name in names]
    assert numbers == list(range(6))
    assert [name.split("_")[0] for name in names] == [p.text for p in PROMPTS for _ in SEEDS]
    index = json.loads((out / "images.json").read_text())
    assert [entry["image"] for entry in index] == [f"samples/{name}" for name in names]
    for entry in index:
        unit = Unit("attend", "own", entry["prompt"], entry["seed"])
        assert digest(out / entry["image"]) == digest(store.path(unit))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a cat/dog", "holds '/'"),
        ("../../etc/passwd", "holds '/'"),
        ("..", "begins with a dot"),
        (".hidden cat", "begins with a dot"),
        ("a cat\0", "NUL"),
        ("a cat\nand a dog", "control character"),
        ("a " + "c" * 254, "longer than 255 bytes"),
        ("ä" * 128, "longer than 255 bytes"),
    ],
)
@pytest.mark.parametrize("layout", ["attend-and-excite", "t2i-compbench"])
def test_a_prompt_that_is_no_file_name_is_refused_with_the_reason(tmp_path, text, reason, layout):
    store = run(tmp_path, [Prompt("p-0", text, (Wanted("cat"),)), PROMPTS[1]])
    if "longer" in reason and layout == "t2i-compbench":
        reason = "longer than 244 bytes"
    with pytest.raises(ValueError, match=reason):
        export(store, layout, tmp_path / "view", condition="attend", prompts="own")
    assert left(tmp_path) == ["run"]
    # Layouts that do not name files after prompts take it.
    export(store, "tifa", tmp_path / "other", condition="attend", prompts="own")


def test_the_longest_prompt_that_fits_is_taken(tmp_path):
    text = "a cat, and a dog. " + "c" * (255 - 18)
    store = run(tmp_path, [Prompt("p-0", text, (Wanted("cat"),))])
    out = export(store, "attend-and-excite", tmp_path / "view", condition="attend", prompts="own")
    assert left(out) == [text]


def test_an_underscore_would_end_the_prompt_for_t2i_compbench(tmp_path):
    store = run(tmp_path, [Prompt("p-0", "a snake_case cat", (Wanted("cat"),))])
    with pytest.raises(ValueError, match="has a '_'"):
        export(store, "t2i-compbench", tmp_path / "view", condition="attend", prompts="own")


def test_two_prompts_of_one_text_would_share_a_folder(tmp_path):
    same = [Prompt(f"p-{n}", "a cat", (Wanted("cat"),)) for n in range(2)]
    store = run(tmp_path, same)
    with pytest.raises(ValueError, match="would share a folder"):
        export(store, "attend-and-excite", tmp_path / "view", condition="attend", prompts="own")
    out = export(store, "t2i-compbench", tmp_path / "other", condition="attend", prompts="own")
    assert len(left(out / "samples")) == 4


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "tifa-result"])
@pytest.mark.parametrize("copy", [False, True])
def test_images_are_links_or_copies_and_the_run_stays_as_it_is(tmp_path, layout, copy):
    store = run(tmp_path)
    out = export(
        store, layout, tmp_path / "deep" / "view", condition="attend", prompts="own", copy=copy
    )
    images = list(out.rglob("*.png"))
    assert len(images) == 6
    own = {path.stat().st_ino for path in store.folder.rglob("*.png")}
    assert all((p.stat().st_ino in own) != copy for p in images)
    assert store.verify() == []
    assert left(tmp_path / "deep") == ["view"]
    assert out.stat().st_mode & 0o777 == 0o755


def test_where_there_are_no_links_images_are_copied(tmp_path, monkeypatch):
    store = run(tmp_path)

    def no_link(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    out = export(store, "attend-and-excite", tmp_path / "view", condition="attend", prompts="own")
    assert len(list(out.rglob("*.png"))) == 6


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    store = run(tmp_path)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        export(store, "attend-and-excite", tmp_path / "view", condition="attend", prompts="own")
    assert left(tmp_path) == ["run"]


def test_only_a_new_or_empty_folder_is_taken(tmp_path):
    store = run(tmp_path)
    (tmp_path / "empty").mkdir()
    export(store, "tifa", tmp_path / "empty", condition="attend", prompts="own")
    with pytest.raises(ValueError, match="is not empty"):
        export(store, "tifa", tmp_path / "empty", condition="attend", prompts="own")
    with pytest.raises(ValueError, match="is not empty"):
        export(store, "tifa", store.folder, condition="attend", prompts="own")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="is no folder"):
        export(store, "tifa", tmp_path / "file", condition="attend", prompts="own")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is no folder"):
        export(store, "tifa", tmp_path / "link", condition="attend", prompts="own")
    assert (tmp_path / "file").read_text() == "mine"


def test_without_names_every_condition_and_set_has_a_view_of_its_own(tmp_path):
    store = run(tmp_path)
    out = export(store, "attend-and-excite", tmp_path / "view")
    assert left(out) == ["attend", "none"]
    for name in ("attend", "none"):
        assert left(out / name) == ["own"]
        assert left(out / name / "own") == sorted(p.text for p in PROMPTS)
        found = digest(out / name / "own" / "a red car" / "3.png")
        assert found == digest(store.path(Unit(name, "own", "p-1", 3)))
    export(store, "tifa", tmp_path / "other", prompts="own", condition=None)
    assert left(tmp_path / "other" / "none" / "own") == ["images", "imgs.json", "questions.json"]


def test_a_set_of_the_baseline_alone_has_no_view_of_a_method(tmp_path):
    few = PromptSet("few", "test", (Prompt("f-0", "a dog", (Wanted("dog"),)),))
    conditions = (Condition.of("attend", AttendAndExcite()),)
    sets = (PromptSet("own", "test", PROMPTS), few)
    plan = Plan("mini", conditions, sets, SEEDS, size=(8, 8), baseline_only=("few",))
    store = Store.create(tmp_path / "run", plan)
    image = Image.new("RGB", (8, 8))
    with store.writing():
        for batch in store.missing():
            store.keep([drawn(store.plan, u, image, batch=batch.seeds) for u in batch.units])
    out = export(store, "tifa", tmp_path / "view")
    assert left(out / "attend") == ["own"] and left(out / "none") == ["few", "own"]
    with pytest.raises(ValueError, match="draws 'few' by the baseline alone"):
        export(store, "tifa", tmp_path / "other", condition="attend", prompts="few")
    assert not (tmp_path / "other").exists()


def test_an_unknown_name_is_told_with_those_there_are(tmp_path):
    store = run(tmp_path)
    with pytest.raises(ValueError, match="Unknown condition 'atend': did you mean 'attend'"):
        export(store, "tifa", tmp_path / "view", condition="atend")
    with pytest.raises(ValueError, match="Unknown prompt set 'other'"):
        export(store, "tifa", tmp_path / "view", condition="none", prompts="other")
    with pytest.raises(ValueError, match="Unknown layout 'geneva': did you mean 'geneval'"):
        export(store, "geneva", tmp_path / "view")


def test_a_failed_altered_or_missing_image_is_no_silent_gap(tmp_path):
    lost = Unit("attend", "own", "p-1", 11)
    store = run(tmp_path, fails={lost})
    with pytest.raises(ValueError, match="1 images failed .*'attend'.*'p-1', seed 11"):
        export(store, "geneval", tmp_path / "view", condition="attend", prompts="own")
    export(store, "geneval", tmp_path / "baseline", condition="none", prompts="own")
    path = store.path(Unit("none", "own", "p-0", 3))
    path.write_bytes(b"other")
    with pytest.raises(ValueError, match="missing or altered"):
        export(store, "geneval", tmp_path / "view", condition="none", prompts="own")
    path.unlink()
    with pytest.raises(ValueError, match="missing or altered"):
        export(store, "geneval", tmp_path / "view", condition="none", prompts="own")
    assert left(tmp_path) == ["baseline", "run"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_unfinished_run_is_refused_as_means_would_be_skewed(tmp_path, layout):
    """Whether a prompt lacks all its images, or some."""
    told = "of 9 images of 'attend' on 'own' yet"
    for count, done in ((1, 0), (4, 4), (8, 7)):
        store = run(tmp_path / f"run-{count}", seeds=(1, 2, 3), only=count)
        with pytest.raises(ValueError, match=f"has {done} {told}"):
            export(store, layout, tmp_path / "view", condition="attend", prompts="own")
    assert not (tmp_path / "view").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_rows_and_scores_are_exported_as_data(tmp_path, form):
    store = filled(tmp_path / "run")
    score(store, PixelScorer())
    out = export_data(store, form, tmp_path / "out")
    read = {
        "jsonl": partial(pandas.read_json, lines=True, precise_float=True),
        "parquet": pandas.read_parquet,
    }[form]
    rows, scores = (read(out / f"{name}.{form}") for name in ("rows", "scores"))
    units = [list(unit) for unit in store.plan.units]
    names = ["condition", "set", "prompt", "seed"]
    assert rows[names].to_numpy().tolist() == units
    assert rows["sha256"].tolist() == [row.sha256 for row in store.rows()]
    assert (rows["full_forwards"] == 50).all() and rows["error"].isna().all()
    recipe = rows["recipe"][0]
    recipe = json.loads(recipe) if isinstance(recipe, str) else recipe
    assert from_json(json.dumps(recipe)) == store.rows()[0].recipe
    values = read_scores(store)
    assert scores["value"].dropna().tolist() == pytest.approx(values["value"].tolist())
    with pytest.raises(ValueError, match="new or empty"):
        export_data(store, form, out)
    with pytest.raises(ValueError, match="did you mean"):
        export_data(store, form[:-1], tmp_path / "more")
