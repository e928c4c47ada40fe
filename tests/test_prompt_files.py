"""A user's prompt file is read as it is written, or refused with the line that is wrong."""

import json
import os
import re
from pathlib import Path

import pytest

from adhere.evaluation.prompts import Prompt, Wanted, describe, prompt_set
from adhere.evaluation.sets import own
from adhere.evaluation.sets.rows import COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "prompt-sets.md"
CSV = """prompt,id,subjects,colours,counts,attributes,scene,tag
a cat and two red cars,cars,cat; car,; red,; 2,,,easy
"a furry, sleepy dog at night",dog,dog,,,"furry, sleepy",at night,

three blue mice,,,,,,,
"""
JSONL = """
{"prompt": "a cat and two red cars", "id": "cars", "subjects": ["cat", "car"],
 "colours": [null, "red"], "counts": [null, 2], "tag": "easy"}
{"prompt": "a furry, sleepy dog at night", "id": "dog", "subjects": ["dog"],
 "attributes": [["furry", "sleepy"]], "scene": "at night"}
{"prompt": "three blue mice"}
""".replace(",\n ", ", ")
STATED = (
    Prompt("cars", "a cat and two red cars", (Wanted("cat"), Wanted("car", "red", 2)), tag="easy"),
    Prompt(
        "dog",
        "a furry, sleepy dog at night",
        (Wanted("dog", attributes=("furry", "sleepy")),),
        "at night",
    ),
    Prompt("prompt-002", "three blue mice", (Wanted("mouse", "blue", 3),)),
)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.mark.parametrize(("name", "content"), [("my Set.csv", CSV), ("MY_set.JSONL", JSONL)])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_says_what_is_wanted(write, name, content, ending, mark):
    read = prompt_set(write(name, mark + content.replace("\n", ending)))
    assert read.prompts == STATED
    assert read.name == "own-my-set" and name in read.source


def test_joined_files_have_a_byte_order_mark_each(write):
    text = "\ufeffa cat\n\ufeff# a note\n\ufeffa cat\na \ufefffrog"
    with pytest.warns(UserWarning, match=r"comments, .*: 2|repeats 1 .*: 3 \(as 1\)"):
        read = prompt_set(write("joined.txt", text))
    assert [p.text for p in read.prompts] == ["a cat", "a frog"]


def test_a_text_file_is_a_prompt_a_line(write):
    read = prompt_set(write("plain.txt", "  a cat and two mice \n\n\na dark red wooden bench\nhm"))
    assert [(p.id, p.text) for p in read.prompts] == [
        ("prompt-000", "a cat and two mice"),
        ("prompt-001", "a dark red wooden bench"),
        ("prompt-002", "hm"),
    ]
    assert read.prompts[0].wanted == (Wanted("cat"), Wanted("mouse", count=2))
    assert read.prompts[1].wanted == (Wanted("bench", "dark red", attributes=("wooden",)),)


def test_comments_of_a_text_file_are_no_prompts(write):
    path = write("notes.txt", "# animals\na cat and a dog\n  # objects\n#1 bird\n")
    with pytest.warns(UserWarning, match="comments, no prompts: 1, 3"):
        read = prompt_set(path)
    assert [p.text for p in read.prompts] == ["a cat and a dog", "#1 bird"]


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("cats", "cat"), ("benches", "bench"), ("foxes", "fox"), ("berries", "berry"),
        ("geese", "goose"), ("wolves", "wolf"), ("dresses", "dress"), ("octopus", "octopus"),
        ("fire trucks", "fire truck"), ("sheep", "sheep"), ("buses", "bus"), ("pies", "pie"),
    ],
)  # fmt: skip
def test_a_noun_after_a_number_is_made_singular(plural, singular):
    (wanted,) = own.found(f"a photo of two {plural}")
    assert wanted == Wanted(singular, count=2)


def test_a_stated_list_without_subjects_wants_nothing(write):
    (prompt,) = prompt_set(write("none.jsonl", '{"prompt": "two cats", "subjects": []}')).prompts
    assert prompt.wanted == ()
    assert "two cats  -" in describe(write("none.jsonl", '{"prompt": "two cats", "subjects": []}'))


def test_a_subject_may_be_wanted_twice(write):
    path = write("cars.csv", "prompt,subjects,colours\na red car and a blue car,car;car,red;blue")
    assert prompt_set(path).prompts[0].wanted == (Wanted("car", "red"), Wanted("car", "blue"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dvmp.txt", "own-dvmp"),
        ("Ä-Ö.txt", "own-prompts"),
        ("..a b..c.txt", "own-a-b-c"),
        ("x" * 80 + ".txt", "own-" + "x" * 60),
    ],
)
def test_a_file_has_a_name_of_its_own(write, name, expected):
    assert prompt_set(write(name, "a cat")).name == expected


def test_what_strangers_write_moves_no_cursor(write):
    shown = describe(write("odd.txt", "a \u202ecat \u200b"))
    assert "\u202e" not in shown and "\\u202e" in shown


@pytest.mark.parametrize(
    ("name", "content", "line", "message"),
    [
        ("a.csv", "prompt,tag\na cat,x\na cat,y", 3, "the prompt 'a cat' is on line 2"),
        (
            "a.csv",
            "prompt,tag\na,x\nb,x\na,y\nb,y",
            4,
            "2 too, line 5: the prompt 'b' is on line 3",
        ),
        ("a.jsonl", '{"prompt": "a", "tag": "t", "include": []}', 1, "no list of classes"),
        ("a.jsonl", '{"prompt": "a", "tag": "t", "include": [{"class": "cat"}]}', 1, '"count": 1'),
        ("a.txt", "a cat\r\n" + "x" * 2001, 2, "at most 2000 characters"),
        ("a.txt", "a cat\na\x1b[2Jdog", 2, "U+001B"),
        ("a.txt", b"a cat\na dog\0", 2, "NUL"),
        ("a.txt", b"a cat\r\xe9t\xe9", 2, "0xe9"),
        ("a.txt", b"\xef\xbb\xbf\n\xe9", 2, "0xe9"),
        ("a.txt", "a cat".encode("utf-16"), 1, "UTF-16"),
        ("a.csv", "text\na cat", 1, "prompt"),
        ("a.csv", "prompt;id\na cat;1", 1, "commas"),
        ("a.csv", "prompt,colors\na cat,red", 1, "did you mean 'colours'"),
        ("a.csv", "prompt,id,id\na,b,c", 1, "two columns"),
        ("a.csv", "prompt,id\na cat, a dog,x", 2, "3 cells"),
        ("a.csv", "prompt,id\n\na cat", 3, "1 cells"),
        ("a.csv", 'prompt\n"a\ncat"', 2, "U+000A"),
        ("a.csv", 'prompt\na cat\n"a dog\n', 3, "double quotes"),
        ("a.csv", "prompt\n" + "x" * 140_000, 2, "field"),
        ("a.csv", "prompt,id\n,one", 2, "no prompt"),
        ("a.csv", "prompt,id\na cat,A B", 2, "'A B'"),
        ("a.csv", "prompt,id\na cat,../x", 2, "folder"),
        ("a.csv", "prompt,id\na cat,one\na dog,one", 3, "'one' is on line 2"),
        ("a.csv", 'prompt,id\n"a cat\n",one\na dog,one', 4, "'one' is on line 2"),
        ("a.csv", "prompt,id\na cat,prompt-001\na dog,", 3, "'prompt-001' is on line 2"),
        ("a.csv", "prompt,subjects,counts\na cat,cat,two", 2, "'two'"),
        ("a.csv", "prompt,subjects,counts\na cat,cat,0", 2, ">= 1, got 0"),
        ("a.csv", "prompt,subjects,counts\na cat,cat,1.5", 2, "'1.5'"),
        ("a.csv", "prompt,subjects,counts\na cat,cat;dog,1", 2, "1 entries for 2"),
        ("a.csv", "prompt,subjects\na cat,cat;", 2, "empty"),
        ("a.csv", "prompt,colours\na red cat,red", 2, "without subjects"),
        ("a.jsonl", '{"prompt": "a cat"}\n{"prompt": "a dog"', 2, "no JSON"),
        ("a.jsonl", '["a cat"]', 1, "no object"),
        ("a.jsonl", '\n"a cat"', 2, "no object"),
        ("a.jsonl", '{"id": "one"}', 1, "no prompt"),
        ("a.jsonl", '{"prompt": null}', 1, "no prompt"),
        ("a.jsonl", '{"prompt": ["a cat"]}', 1, "`prompt` must be text"),
        ("a.jsonl", '{"prompt": " "}', 1, "empty"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}', 1, "twice"),
        ("a.jsonl", '{"prompt": "a", "id": 7}', 1, "`id` must be text, got 7"),
        ("a.jsonl", '{"prompt": "a", "wanted": []}', 1, "'wanted'"),
        ("a.jsonl", '{"prompt": "a", "subjects": "cat"}', 1, "`subjects` must be a list"),
        ("a.jsonl", '{"prompt": "a", "subjects": [["cat"]]}', 1, "must be text"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "counts": [true]}', 1, "True"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "counts": [NaN]}', 1, "NaN"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "counts": [1e999]}', 1, "inf"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "colours": [3]}', 1, "got 3"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "attributes": ["furry"]}', 1, "list"),
        ("a.jsonl", '{"prompt": "a", "subjects": ["cat"], "attributes": [0]}', 1, "list"),
        ("a.jsonl", json.dumps({"prompt": "a", "subjects": ["c"] * 21}), 1, "at most 20 items"),
        ("a.jsonl", json.dumps({"prompt": "a", "subjects": ["c" * 101]}), 1, "100 characters"),
        ("a.jsonl", '{"prompt": "a \\ud800"}', 1, "text in UTF-8"),
        ("a.jsonl", "[" * 100_000, 1, "no JSON"),
        ("a.jsonl", '{"prompt": ' + "9" * 5000 + "}", 1, "no JSON"),
    ],
)
def test_a_mistake_is_shown_with_its_line(write, name, content, line, message):
    with pytest.raises(ValueError, match=rf"^{name}, line {line}: .*{re.escape(message)}"):
        prompt_set(write(name, content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'prompt,subjects\na cat and a dog,"cat, dog"'),
        ("a.jsonl", '\n{"prompt": "a cat and a dog", "subjects": ["cat, dog"]}'),
    ],
)
def test_a_subject_with_a_comma_is_refused_with_a_way_on(write, name, content):
    with pytest.raises(ValueError, match="line 2: the subject 'cat, dog' has a comma; .*cat; dog"):
        prompt_set(write(name, content))


def test_prompts_without_a_subject_are_listed(write):
    path = write("a.txt", "a cat\nun chat\n\n!!!")
    with pytest.warns(
        UserWarning, match="a.txt has prompts in which no subject .* lines 2, 4; wr"
    ):
        assert [bool(p.wanted) for p in prompt_set(path).prompts] == [True, False, False]
    assert prompt_set(write("a.jsonl", '{"prompt": "!!!", "subjects": []}')).prompts


def test_stated_subjects_that_are_not_in_the_prompt_are_listed(write):
    rows = ["a cat,zebra", "two mice and a fire truck,Mouse; truck", "a dog,dog; bus"]
    path = write("a.csv", "\n".join(["prompt,subjects", *rows]))
    with pytest.warns(UserWarning, match=r"not name: 'zebra' \(line 2\), 'bus' \(line 4\); im"):
        assert len(prompt_set(path).prompts) == 3


def test_lines_that_are_there_again_are_left_out_and_listed(write):
    path = write("color.txt", "a cat\na dog\n\n a cat\na bird\na dog\na cat")
    with pytest.warns(
        UserWarning, match=r"color.txt repeats 3 .* 4 \(as 1\), 6 \(as 2\), 7 \(as 1\)"
    ):
        read = prompt_set(path)
    assert [(p.id, p.text) for p in read.prompts] == [
        ("prompt-000", "a cat"), ("prompt-001", "a dog"), ("prompt-002", "a bird"),
    ]  # fmt: skip


def test_the_same_prompt_under_another_id_is_kept_once(write):
    path = write("a.csv", "id,prompt\na,a cat\nb,a cat\nc,a dog")
    with pytest.warns(UserWarning, match=r"a.csv repeats 1 .* 3 \(as 2\)"):
        read = prompt_set(path)
    assert [(p.id, p.text) for p in read.prompts] == [("a", "a cat"), ("c", "a dog")]


def test_other_things_of_one_prompt_are_refused_with_a_way_on(write):
    path = write("a.csv", "prompt,tag\na cat,animals\na cat,objects")
    with pytest.raises(ValueError, match='line 3: .*line 2 too; .*one tag for both, such as "ani'):
        prompt_set(path)


@pytest.mark.parametrize("mark", ["\t", "\u2028", "\u2029"])
def test_tabs_and_separators_of_lines_are_read_as_spaces(write, mark):
    text = f"a{mark}cat\na dog\na red{mark}car"
    with pytest.warns(UserWarning, match=r"read as spaces: lines 1, 3; .*\.csv") as warned:
        read = prompt_set(write("a.txt", text))
    assert [p.text for p in read.prompts] == ["a cat", "a dog", "a red car"]
    assert len(warned) == 1


def test_columns_of_others_are_not_read_and_named_once(write):
    for name, content, named in (
        (
            "a.csv",
            "Prompt,Category,Note,\na cat,Animals,,\na dog,Animals,x,",
            "'category', 'note'",
        ),
        ("b.csv", "prompt,prompt_id\na cat,7\na dog,8", "'prompt_id'"),
        (
            "a.jsonl",
            '{"prompt": "a cat", "category": "x"}\n{"prompt": "a dog", "seed": 1}',
            "'category', 'seed'",
        ),
    ):
        with pytest.warns(UserWarning, match=f"{name} has columns .* read: {named}.$") as warned:
            read = prompt_set(write(name, content))
        assert [(p.id, p.text) for p in read.prompts] == [
            ("prompt-000", "a cat"),
            ("prompt-001", "a dog"),
        ]
        assert len(warned) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            "\n".join(f"the dog\x92s tail {number}" for number in range(13)),
            "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more: a text has the control character "
            "U+0092; take it out.",
        ),
        (
            "a.csv",
            "prompt,colors,subject,wanted\na,b,c,d",
            "line 1: Unknown columns 'colors': did you mean 'colours'? 'subject': did you mean "
            "'subjects'? 'wanted'. Available:",
        ),
        (
            "a.csv",
            "prompt,id\na cat,A1\na dog,ok\na bird,B2\na fox",
            "line 2: Got 'A1' as the id; line 4: Got 'B2' as the id; expected up to 64 lower-case "
            "letters, digits and hyphens, the first no hyphen: it names a folder. Line 5: got 1 "
            "cells, expected 2,",
        ),
        (
            "a.csv",
            "prompt,id\na,b,c\na,b\nd\ne",
            "line 2: got 3 cells, expected 2, as the first line names; lines 4, 5: got 1 cells",
        ),
        (
            "a.jsonl",
            '{"prompt": "a", "id": 1}\n{"prompt": "b", "id": 2}\n{"prompt"',
            "line 1: `id` must be text, got 1; line 2: `id` must be text, got 2; line 3: no JSON",
        ),
        (
            "a.txt",
            "\n".join("x" * 2001 + str(number) for number in range(13)),
            "; the like on 3 more lines.",
        ),
    ],
)
def test_mistakes_of_several_lines_are_shown_at_once(write, name, content, message):
    with pytest.raises(ValueError, match=f"^{name}, .*{re.escape(message)}"):
        prompt_set(write(name, content))


def test_a_file_that_is_none_of_ours_is_refused(write, tmp_path):
    for name, content, message in (
        ("a.yaml", "a cat", "'.yaml'"),
        ("a.csv", "", "no prompt"),
        ("a.txt", "\n \n", "no prompt"),
        ("a.jsonl", b"\xef\xbb\xbf", "no prompt"),
    ):
        with pytest.raises(ValueError, match=message):
            prompt_set(write(name, content))
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ValueError, match="no regular file"):
        prompt_set(str(tmp_path / "folder.txt"))
    with pytest.raises(ValueError, match="no prompt file gone.txt"):
        prompt_set(str(tmp_path / "gone.txt"))
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ValueError, match="no regular file"):
        prompt_set(str(tmp_path / "pipe.txt"))


def test_too_much_is_refused(write, monkeypatch):
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        prompt_set(write("a.txt", b"x\n" * (8 * 2**20 + 1)))
    monkeypatch.setattr(own, "MOST_PROMPTS", 2)
    with pytest.raises(ValueError, match="line 5: more than 2 prompts"):
        prompt_set(write("a.txt", "a\n\nb\n\nc\n"))


def test_the_page_says_how_a_file_is_written(write):
    text = PAGE.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(text|csv|json)\n(.*?)```", text, re.DOTALL))
    stated = prompt_set(write("a.csv", blocks["csv"]))
    assert stated.prompts == prompt_set(write("a.jsonl", blocks["json"])).prompts
    assert [p.wanted for p in stated.prompts] == [
        (Wanted("cat"), Wanted("car", "red", 2)),
        (Wanted("dog", attributes=("furry", "sleepy")),),
        (Wanted("king"), Wanted("bench", attributes=("wooden",))),
    ]
    found = prompt_set(write("a.txt", blocks["text"])).prompts
    assert [p.wanted for p in found] == [
        (Wanted("cat"), Wanted("car", "red", 2)),
        (Wanted("dog", attributes=("furry",)),),
    ]
    columns = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert tuple(columns) == COLUMNS
    assert all(f"`{column}`" in own.__doc__ for column in COLUMNS)
