"""GenEval's own metadata: read whole, made for its forms, refused where it says less."""

import json

import pytest

from adhere.evaluation.prompts import Prompt, Wanted, prompt_set
from adhere.evaluation.sets import official, own

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
    assert official.metadata(from_text) == row
    (from_row,) = prompt_set(write("a.jsonl", json.dumps(row))).prompts
    assert official.metadata(from_row) == row
    more = {**row, "include": [{**clause, "hint": [1.5]} for clause in row["include"]]}
    (whole,) = prompt_set(write("a.jsonl", json.dumps(more))).prompts
    assert official.metadata(whole) == more


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
        official.metadata(Prompt("p", text, own.found(text), tag=tag))
