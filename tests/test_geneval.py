"""GenEval's own metadata: read whole, made for its forms, refused where it says less."""

import json

import pytest

from adhere.evaluation.prompts import Prompt, Wanted, prompt_set
from adhere.evaluation.sets import geneval, own
from adhere.subjects import parse

# As GenEval's file has them.
OFFICIAL = (
    {
        "tag": "counting",
        "include": [{"class": "handbag", "count": 4}],
        "exclude": [{"class": "handbag", "count": 5}],
        "prompt": "a photo of four handbags",
    },
    {
        "tag": "position",
        "include": [
            {"class": "bear", "count": 1},
            {"class": "dog", "count": 1, "position": ["left of", 0]},
        ],
        "prompt": "a photo of a dog left of a bear",
    },
    {
        "tag": "color_attr",
        "include": [
            {"class": "car", "count": 1, "color": "red"},
            {"class": "bench", "count": 1, "color": "blue"},
        ],
        "prompt": "a photo of a red car and a blue bench",
    },
    {
        "tag": "single_object",
        "include": [{"class": "potted plant", "count": 1}],
        "prompt": "a photo of a potted plant",
    },
    {
        "tag": "colors",
        "include": [{"class": "orange", "count": 1, "color": "purple"}],
        "prompt": "a photo of a purple orange",
    },
    {
        "tag": "two_object",
        "include": [{"class": "wine glass", "count": 1}, {"class": "hot dog", "count": 1}],
        "prompt": "a photo of a wine glass and a hot dog",
    },
    {
        "tag": "counting",
        "include": [{"class": "knife", "count": 2}],
        "exclude": [{"class": "knife", "count": 3}],
        "prompt": "a photo of two knives",
    },
    {
        "tag": "counting",
        "include": [{"class": "scissors", "count": 3}],
        "exclude": [{"class": "scissors", "count": 4}],
        "prompt": "a photo of three scissorses",
    },
)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


def test_genevals_own_file_is_read_as_it_is(write):
    lines = [json.dumps(row) for row in OFFICIAL]
    read = prompt_set(write("evaluation_metadata.jsonl", "\n".join(lines)))
    assert [p.geneval for p in read.prompts] == lines
    assert [p.tag for p in read.prompts] == [row["tag"] for row in OFFICIAL]
    assert [p.text for p in read.prompts] == [row["prompt"] for row in OFFICIAL]
    assert read.prompts[0].wanted == (Wanted("handbag", count=4),)
    assert read.prompts[1].wanted == (Wanted("bear"), Wanted("dog"))
    assert read.prompts[2].wanted == (Wanted("car", "red"), Wanted("bench", "blue"))


@pytest.mark.parametrize("row", OFFICIAL, ids=lambda row: row["prompt"])
def test_prompts_in_genevals_forms_have_its_metadata(write, row):
    (from_text,) = prompt_set(write("a.txt", row["prompt"])).prompts
    assert geneval.metadata(from_text) == row
    (from_row,) = prompt_set(write("a.jsonl", json.dumps(row))).prompts
    assert geneval.metadata(from_row) == row
    more = {**row, "include": [{**clause, "hint": [1.5]} for clause in row["include"]]}
    (whole,) = prompt_set(write("a.jsonl", json.dumps(more))).prompts
    assert geneval.metadata(whole) == more


@pytest.mark.parametrize(
    ("text", "tag", "message"),
    [
        ("a dog on the left of a bear", None, "where things are \\('left'\\)"),
        ("a photo of a dog under a bear", None, "where things are"),
        ("a photo of a frog", None, "does not know 'frog'"),
        ("two cats in the snow", "easy", "threshold for counting"),
    ],
)
def test_what_genevals_script_would_judge_otherwise_is_refused(text, tag, message):
    with pytest.raises(ValueError, match=message):
        geneval.metadata(Prompt("p", text, own.found(text), tag=tag))


def exported(text, wanted=None, tag=None):
    wanted = own.found(text) if wanted is None else wanted
    return geneval.metadata(Prompt("p", text, wanted, tag=tag))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a cat with no tie", "no"),
        ("a bench without a person", "without"),
        ("a cat and no dogs", "no"),
        ("a cat but not a dog", "not"),
        ("a cat and zero dogs", "zero"),
        ("a cat and a dog --no birds", "no"),
    ],
)
def test_what_is_left_out_is_refused(text, word):
    with pytest.raises(ValueError, match=f"leaves something out \\('{word}'\\)"):
        exported(text, (Wanted("cat"),))


def test_what_is_left_out_is_refused_of_what_is_found():
    for text in ("a cat with no tie", "a bench without a person", "a cat and no dogs"):
        with pytest.raises(ValueError, match="leaves something out"):
            exported(text)


@pytest.mark.parametrize(
    "place",
    [
        "underneath", "near", "by", "opposite", "across from", "against", "around", "outside",
        "at the side of", "on", "in", "inside", "atop", "upon", "on top of", "behind", "beside",
        "under", "beyond", "chasing", "and a bear near",
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "a photo of "])
def test_how_things_stand_to_each_other_is_refused(place, start):
    with pytest.raises(ValueError, match="what its things do or where things are"):
        exported(f"{start}a cat {place} a dog")


@pytest.mark.parametrize(
    "text",
    [
        "a cat between a dog and a bear",
        "near a dog, a cat",
        "a bird and a cat near each other",
        "a person riding a horse",
    ],
)
def test_every_tie_between_things_is_refused(text):
    with pytest.raises(ValueError, match="what its things do or where things are"):
        exported(text)


@pytest.mark.parametrize(
    "text",
    [
        "a cat in the snow and a dog",
        "a cat and a dog on the street",
        "in the kitchen, a cat and a dog",
        "a photo showing a cat and a dog",
        "a cat sitting and a dog",
        "a cat along with a dog",
        "a cat with a dog",
        "a cat made of wood and a dog",
        "a cat and a dog playing in the park",
    ],
)
def test_scenes_and_what_only_adds_a_thing_pass(text):
    assert exported(text)["include"] == [{"class": c, "count": 1} for c in ("cat", "dog")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a photo of a dog and a dog", "asks for 'dog' more than once"),
        ("a photo of a red car and a blue car", "asks for 'car' more than once"),
        ("a photo of a dog left of a dog", "asks for 'dog' more than once"),
        ("a photo of a red and blue car", "'blue' among the modifiers of 'car'"),
        ("a photo of dogs", "'dogs', a plural.*give a number"),
        ("some dogs", "'dogs', a plural.*give a number"),
        ("a photo of people", "'people', a plural.*'person'"),
    ],
)
def test_what_genevals_script_cannot_tell_apart_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        exported(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two pairs of scissors", 2),
        ("a photo of three pairs of scissors", 3),
        ("a dozen pairs of red scissors", 12),
        ("two scissors", 2),
        ("a pair of scissors", 1),
        ("pairs of scissors", 1),
        ("a couple of scissors", 2),
    ],
)
def test_pairs_of_one_thing_are_counted(text, number):
    (phrase,) = parse(text)
    assert phrase.count == number
    (clause,) = exported(text)["include"]
    assert (clause["class"], clause["count"]) == ("scissors", number)


def test_pairs_of_other_things_are_two_each():
    assert own.found("two pairs of dogs") == (Wanted("dog", count=4),)
    assert own.found("two wine glasses") == (Wanted("wine glass", count=2),)


def test_what_is_stated_goes_before_the_form_of_the_text():
    assert exported("a photo of a cat", (Wanted("dog"),))["include"] == [
        {"class": "dog", "count": 1}
    ]
    two = exported("a photo of a cat", (Wanted("cat", count=2),))
    assert (two["tag"], two["include"]) == ("counting", [{"class": "cat", "count": 2}])
    coloured = exported(
        "a photo of a dog and a cat", (Wanted("dog", "red"), Wanted("cat", "blue"))
    )
    assert coloured["tag"] == "color_attr"
    assert [clause["color"] for clause in coloured["include"]] == ["red", "blue"]
    # The same, in another order: then the form says where they are.
    placed = exported("a photo of a dog left of a bear", (Wanted("dog"), Wanted("bear")))
    assert placed["tag"] == "position"


def test_a_row_of_genevals_file_may_have_more_keys(write):
    more = {**OFFICIAL[2], "id": 1, "seed": 3}
    (prompt,) = prompt_set(write("a.jsonl", json.dumps(more))).prompts
    assert geneval.metadata(prompt) == more and prompt.tag == "color_attr"


def test_a_row_that_states_subjects_beside_genevals_is_refused(write):
    row = json.dumps({**OFFICIAL[2], "subjects": ["dog"]})
    with pytest.raises(ValueError, match="Unknown column 'include'"):
        prompt_set(write("a.jsonl", row))


@pytest.mark.parametrize("place", ["left of", ["beside", 0], ["above", 1], ["above", -1], [0, 0]])
def test_a_place_that_genevals_script_cannot_read_is_refused(write, place):
    row = {**OFFICIAL[1], "include": [*OFFICIAL[1]["include"]]}
    row["include"][1] = {"class": "dog", "count": 1, "position": place}
    with pytest.raises(ValueError, match="line 2: include has the position .*as in"):
        prompt_set(write("a.jsonl", "\n".join(map(json.dumps, (OFFICIAL[0], row)))))


@pytest.mark.parametrize(
    ("things", "message"),
    [
        ([{"class": "unicorn"}], "does not know 'unicorn'"),
        ([{"class": "cow", "color": "mauve"}], "does not know the colour 'mauve'"),
        ([{"class": "cow", "color": "red"}, {"class": "cow"}], "asks for 'cow' more than once"),
    ],
)
def test_rows_in_genevals_manner_that_its_models_cannot_judge_are_refused(write, things, message):
    include = [{"count": 1, **thing} for thing in things]
    row = {"tag": "two_object", "include": include, "prompt": "a photo of a cow"}
    (prompt,) = prompt_set(write("a.jsonl", json.dumps(row))).prompts
    with pytest.raises(ValueError, match=message):
        geneval.metadata(prompt)
