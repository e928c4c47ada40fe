"""TIFA: its questions, its answers by toys, and its files."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    MPNetModel,
    ViltForQuestionAnswering,
)

import scorer_toys as toys
from adhere.cli import main
from adhere.evaluation.export import export
from adhere.evaluation.outcomes import drawn, failed
from adhere.evaluation.plan import Plan
from adhere.evaluation.prompts import PROMPT_SETS, Prompt, PromptSet, Wanted, prompt_set
from adhere.evaluation.scorers import cache, scorer
from adhere.evaluation.scorers.questions import (
    TYPES,
    questions,
    questions_hash,
    read_questions,
)
from adhere.evaluation.scorers.tifa import SentenceEncoder, result, shares
from adhere.evaluation.store import Store
from scorer_toys import PAIR, PICTURES, SINGLE, prompt, unit
from training import world


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return toys.folders(tmp_path_factory.mktemp("toys"))


def asked(*wanted: Wanted, scene: str | None = None) -> list[tuple[str, str, str]]:
    found = questions(prompt(*wanted, text="words", scene=scene))
    assert all(q.answer in q.choices and q.element_type in TYPES for q in found)
    return [(q.question, q.answer, q.element_type) for q in found]


def test_questions_follow_from_what_is_wanted():
    assert asked(Wanted("elephant"), Wanted("apple", "red"), scene="in the kitchen") == [
        ("is there an elephant?", "yes", "animal/human"),
        ("is there an apple?", "yes", "food"),
        ("is the apple red?", "yes", "color"),
        ("what color is the apple?", "red", "color"),
        ("is this in the kitchen?", "yes", "location"),
    ]
    assert asked(Wanted("cat"), Wanted("dog", count=2)) == [
        ("is there a cat?", "yes", "animal/human"),
        ("how many cats are there?", "1", "counting"),
        ("are there dogs?", "yes", "animal/human"),
        ("how many dogs are there?", "2", "counting"),
    ]
    assert asked(Wanted("glasses", "teal")) == [
        ("are there glasses?", "yes", "object"),
        ("are the glasses teal?", "yes", "color"),
        ("what color are the glasses?", "teal", "color"),
    ]
    assert asked(Wanted("chair", attributes=("wooden", "spiky")))[1:] == [
        ("is there a wooden chair?", "yes", "material"),
        ("is there a spiky chair?", "yes", "shape"),
    ]
    scenes = {
        "at night": "is this at night?",
        "floating in a river": "is something floating in a river?",
        "snowy street": "does this show snowy street?",
    }
    for scene, question in scenes.items():
        assert asked(Wanted("cat"), scene=scene)[-1] == (question, "yes", "location")
    assert asked(Wanted("mouse", count=2))[0][0] == "are there mice?"
    assert asked() == []


def test_two_things_of_a_subject_are_asked_for_by_their_colours():
    assert asked(Wanted("car", "red"), Wanted("car", "blue")) == [
        ("are there cars?", "yes", "object"),
        ("is there a red car?", "yes", "color"),
        ("is there a blue car?", "yes", "color"),
    ]


def test_a_wrong_colour_is_never_left_without_its_own_choice():
    """With few choices the nearest one to a wrong colour could be the right one."""
    (choices,) = (q.choices for q in questions(PAIR) if q.question.startswith("what color"))
    assert set(world.COLOURS) <= set(choices)


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_every_built_in_prompt_has_questions_and_none_twice(name):
    for one in prompt_set(name).prompts:
        found = questions(one)
        assert len(found) >= len({w.subject for w in one.wanted}) >= 1
        assert len({q.question for q in found}) == len(found)


def published():
    """Prompt set to the hash of its questions, as docs/scorers.md has them."""
    page = (Path(__file__).parents[1] / "docs" / "scorers.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z-]+)` \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_the_published_questions_never_change_unnoticed(name):
    """Where this fails, `FORM` needs another number and docs/scorers.md other hashes."""
    assert questions_hash(prompt_set(name)) == published()[name]


def entry(kind: str, score: int, question: str = "?") -> dict:
    return {"element_type": kind, "scores": score, "question": question}


def test_tifa_is_a_mean_of_means_and_a_type_a_mean_over_questions():
    logs = {
        "a": ("first", [entry("object", 1, "1"), entry("color", 0, "2")]),
        "b": ("second", [entry("object", s, str(i)) for i, s in enumerate((1, 0, 0, 0))]),
        "c": ("nothing", []),
    }
    found = result(logs)
    # (1/2 + 1/4) / 2, not 2 of 6.
    assert found["tifa_average"] == 0.375
    # Sample deviation of 0.5 and 0.25.
    assert found["tifa_stdev"] == pytest.approx(math.sqrt(2 * 0.125**2))
    assert found["accuracy_by_type"] == {"object": 0.4, "color": 0}
    assert found["caption_scores"] == {"a": 0.5, "b": 0.25}
    assert found["question_details"]["a"]["2"] == {
        "id": "a", "caption": "first", "element_type": "color", "scores": 0, "question": "2",
    }  # fmt: skip
    assert result({"a": logs["a"]})["tifa_stdev"] is None
    with pytest.raises(ValueError, match="no answers"):
        result({"c": logs["c"]})


def test_the_share_of_each_kind_of_an_image():
    values = shares([entry("object", 1), entry("object", 0), entry("animal/human", 1)])
    assert values["tifa"] == pytest.approx(2 / 3)
    assert values["tifa-object"] == 0.5
    assert values["tifa-animal-human"] == 1
    assert values["tifa-color"] is None
    assert set(shares([]).values()) == {None}


@pytest.fixture(scope="module")
def yes(folders, tmp_path_factory):
    """A ViLT that answers every question with "yes", and a sentence encoder."""
    folder = tmp_path_factory.mktemp("yes")
    shutil.copytree(folders("vilt"), folder, dirs_exist_ok=True)
    model = ViltForQuestionAnswering.from_pretrained(folder)
    with torch.no_grad():
        model.classifier[-1].bias[:] = torch.tensor([100.0, 0, 0, 0])
    model.save_pretrained(folder)
    return f"{folder}+{folders('sentences')}"


@pytest.fixture(scope="module")
def yes_sayer(yes):
    return scorer("tifa", yes)


def test_a_model_that_always_says_yes_gets_every_yes_or_no_question(yes_sayer):
    wanted = prompt(Wanted("cat"), Wanted("car", "red"), text="words", scene="at night")
    (judgement,) = yes_sayer.judge(PICTURES[:1], [wanted], [None])
    log = judgement.details["questions"]
    assert [one["free_form_vqa"] for one in log] == ["yes"] * 5
    is_yes = [one["answer"] == "yes" for one in log]
    assert is_yes == [True, True, True, False, True]
    assert [one["scores"] for one in log[:3]] == [1, 1, 1]
    chosen = log[3]["multiple_choice_vqa"]
    assert chosen in log[3]["choices"]
    assert log[3]["scores"] == (chosen == "red")
    assert judgement.values["tifa"] == sum(one["scores"] for one in log) / 5
    assert judgement.values["tifa-location"] == 1


def test_the_nearest_choice_is_that_of_mean_token_features(folders):
    folder = folders("sentences")
    model, tokenizer = MPNetModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def feature(text):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return unit(hidden.numpy().astype(np.float64).mean(0))

    encoder = SentenceEncoder(folder)
    choices = ["a red car", "blue", "no", "how many cat are there"]
    for answer in ("green", "what color is the car", "1 dog"):
        cosines = [feature(answer) @ feature(choice) for choice in choices]
        assert encoder.choice(answer, choices) == choices[int(np.argmax(cosines))]
    assert encoder.choice("no", choices) == "no"


def test_blip_answers_too(folders):
    judge = scorer("tifa", f"{folders('blip_vqa')}+{folders('sentences')}")
    (judgement,) = judge.judge(PICTURES[:1], [SINGLE], [None])
    assert judgement.values["tifa"] in (0, 1)


def test_a_failed_image_answers_nothing(yes_sayer):
    judgement = yes_sayer.judge_failed(PAIR)
    assert judgement.values["tifa"] == 0
    assert judgement.values["tifa-color"] == 0
    assert judgement.values["tifa-counting"] is None
    assert len(judgement.details["questions"]) == len(questions(PAIR))


def test_a_file_of_tifas_questions_is_asked_by_caption(folders, tmp_path):
    one = {
        "id": "x", "caption": "a dog", "question": "is it a dog?", "choices": ["yes", "no"],
        "answer": "no", "element_type": "other", "element": "dog", "coco_val_id": "7",
    }  # fmt: skip
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([one, {**one, "id": "y"}]))
    judge = scorer("tifa", f"{folders('vilt')}+{folders('sentences')}", questions=path)
    assert [q.question for q in judge.questions(SINGLE)] == ["is it a dog?"]
    with pytest.raises(ValueError, match="no question with the caption 'a cat and"):
        judge.score(PICTURES[:1], [PAIR])
    assert judge.identity["templates"].startswith("file sha256:")
    with pytest.raises(ValueError, match="only 'tifa' takes a file"):
        scorer("pixels", questions=path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "are no JSON"),
        ("{}", "holds no list"),
        ("[1]", "Question 1 of"),
        ('[{"caption": "a"}]', "Question 1 of"),
        ("[" * 100_000, "are no JSON"),
        (
            '[{"caption": "a", "question": "?", "choices": ["yes"], "answer": "no", '
            '"element_type": "object", "element": "a"}]',
            "one of the choices",
        ),
        (
            '[{"caption": "a", "question": 3, "choices": ["yes"], "answer": "yes", '
            '"element_type": "object", "element": "a"}]',
            "Question 1 of",
        ),
    ],
)
def test_a_broken_file_of_questions_is_told_in_a_line(tmp_path, content, message):
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_questions(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_questions(tmp_path / "none.json")


def test_tifas_own_result_comes_from_a_scored_run(yes_sayer, tmp_path):
    sets = (PromptSet("own", "test", (Prompt("p-0", "a cat", (Wanted("cat"),)),)),)
    store = Store.create(tmp_path / "run", Plan("mini", (), sets, (1, 2), size=(16, 16)))
    with store.writing():
        for batch in store.missing():
            image = Image.new("RGB", (16, 16))
            store.keep([drawn(store.plan, u, image, batch=batch.seeds) for u in batch.units])
    first = store.plan.batches[0].units
    with pytest.raises(ValueError, match="by 0 models"):
        export(store, "tifa-result", tmp_path / "result")
    cache.score(store, yes_sayer)
    out = export(store, "tifa-result", tmp_path / "result")
    found = json.loads((out / "none" / "own" / "result.json").read_text())
    assert [path.name for path in out.rglob("*.*")] == ["result.json"]
    store.path(first[0]).unlink()
    with pytest.raises(ValueError, match="missing or altered"):
        export(store, "tifa-result", tmp_path / "other")
    assert found["tifa_average"] == 1 and found["tifa_stdev"] == 0
    assert set(found["caption_scores"]) == {"p-0#1", "p-0#2"}
    assert found["question_details"]["p-0#1"]["is there a cat?"]["free_form_vqa"] == "yes"


def test_tifas_result_of_a_run_that_went_on_has_no_gap(yes_sayer, tmp_path):
    sets = (PromptSet("own", "test", (Prompt("p-0", "a cat", (Wanted("cat"),)),)),)
    plan = Plan("mini", (), sets, (1, 2, 3), size=(16, 16), batch_size=1)
    store = Store.create(tmp_path / "run", plan)
    with store.writing():
        for batch in store.missing():
            if batch.seeds == (2,):
                cache.score(store, yes_sayer)
            lost = failed(store.plan, batch.units[0], "no memory", batch=batch.seeds)
            image = Image.new("RGB", (16, 16))
            whole = drawn(store.plan, batch.units[0], image, batch=batch.seeds)
            store.keep([lost if batch.seeds == (3,) else whole])
    with pytest.raises(ValueError, match="not scored 2 of 3 images yet"):
        export(store, "tifa-result", tmp_path / "result")
    cache.score(store, yes_sayer)
    out = export(store, "tifa-result", tmp_path / "result")
    found = json.loads((out / "none" / "own" / "result.json").read_text())
    # An image that failed has no right answer, and is no gap either.
    assert found["caption_scores"] == {"p-0#1": 1, "p-0#2": 1, "p-0#3": 0}


def test_tifas_own_files_go_in_and_out_by_the_shell(yes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("a cat\ntwo dogs\n")
    store = Store.create("RUN", Plan("mini", (), (prompt_set("mine.txt"),), (1, 2), size=(16, 16)))
    with store.writing():
        for batch in store.missing():
            image = Image.new("RGB", (16, 16))
            store.keep([drawn(store.plan, u, image, batch=batch.seeds) for u in batch.units])

    def shell(*words):
        capsys.readouterr()
        status = main(["evaluate", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    status, asked, _ = shell("prompts", "mine.txt", "--tifa")
    entries = json.loads(asked)
    assert status == 0 and {e["id"] for e in entries} == {"prompt-000", "prompt-001"}
    # Theirs may ask anything; this one asks less of the first prompt, and the opposite.
    entries = [e for e in entries if e["caption"] == "two dogs"] + [
        {**entries[0], "question": "is there no cat?", "answer": "no"}
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(entries))
    (tmp_path / "few.json").write_text(json.dumps(entries[:1]))
    tifa = ("score", "RUN", "--scorers", f"tifa={yes}", "--questions")
    status, out, err = shell(*tifa, "few.json")
    assert status == 2 and "no question with the caption 'a cat'" in err
    assert not (store.folder / "scores.sqlite").exists()
    status, out, err = shell(*tifa, "theirs.json")
    assert status == 0 and "templates file sha256:" in out
    assert shell("export", "RUN", "tifa-result", "result")[0] == 0
    found = json.loads((tmp_path / "result/none/own-mine/result.json").read_text())
    assert found["caption_scores"]["prompt-000#1"] == 0
    assert set(found["question_details"]["prompt-000#2"]) == {"is there no cat?"}
    assert shell("export", "RUN", "tifa", "view", "--questions", "theirs.json")[0] == 0
    view = tmp_path / "view" / "none" / "own-mine"
    assert {e["question"] for e in json.loads((view / "questions.json").read_text())} == {
        e["question"] for e in entries
    }
    status, _, err = shell("export", "RUN", "geneval", "other", "--questions", "theirs.json")
    assert status == 2 and "only 'tifa'" in err and not (tmp_path / "other").exists()
