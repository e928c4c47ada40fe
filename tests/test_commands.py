"""A click that corrects a subject, and the lines of code that then draw the same image."""

import shlex
from pathlib import Path

import pytest

import adhere
from adhere.cli import main
from adhere.drawing import commands
from adhere.drawing.loading import load
from adhere.subjects.correcting import change_role, word_spans
from adhere.subjects.tokenizing import tokenize

PROMPT = "a red cat and a blue frog"


@pytest.fixture(scope="module")
def loaded():
    return load()


def told(subjects):
    return [(tuple(a.text for a in one.attributes), one.text) for one in subjects]


def after(loaded, *clicks, prompt=PROMPT):
    """The subjects after clicks on words, each named by its text."""
    subjects, found = adhere.find_subjects(loaded.pipe, prompt), tokenize(loaded.pipe, prompt)
    for click in clicks:
        spans = {found.words(span): span for span in word_spans(found.text)}
        subjects = change_role(found, subjects, spans[click])
    return subjects


@pytest.mark.parametrize(
    "clicks, expected",
    [
        ((), [(("red",), "cat"), (("blue",), "frog")]),
        (("red",), [((), "cat"), (("blue",), "frog")]),
        (("red", "red"), [((), "red"), ((), "cat"), (("blue",), "frog")]),
        (("red", "red", "red"), [(("red",), "cat"), (("blue",), "frog")]),
        (("cat",), [(("blue", "cat"), "frog")]),
        (("frog",), [(("red", "frog"), "cat")]),
        (("frog", "cat"), []),
    ],
)
def test_a_click_makes_a_word_a_subject_then_an_attribute_then_neither(loaded, clicks, expected):
    assert told(after(loaded, *clicks)) == expected


def test_a_word_of_a_compound_noun_becomes_its_attribute(loaded):
    assert told(after(loaded, "fire", prompt="a fire truck")) == [(("fire",), "truck")]


def test_a_click_on_what_the_model_does_not_read_changes_nothing(loaded):
    prompt = "cat " * 400
    subjects, found = adhere.find_subjects(loaded.pipe, prompt, [1]), tokenize(loaded.pipe, prompt)
    for span in ((0, 0), word_spans(found.text)[-1]):
        assert change_role(found, subjects, span) == subjects


def test_a_click_on_a_sign_changes_nothing(loaded):
    assert after(loaded, ",", prompt="a cat, a frog") == after(loaded, prompt="a cat, a frog")


@pytest.mark.parametrize(
    "prompt, clicks, changed",
    [
        (PROMPT, (), {}),
        (PROMPT, ("red",), {"stop": 0.5}),
        ('a cat\'s hat, and "a" frog', (), {}),
    ],
)
def test_both_lines_draw_the_same_image(loaded, prompt, clicks, changed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = {
        "prompt": prompt,
        "subjects": after(loaded, *clicks, prompt=prompt),
        "seeds": 3,
        "steps": 2,
        "size": (64, 64),
        "guidance_scale": None,
        "negative_prompt": None,
    }
    name = next(iter(adhere.METHODS))
    lines = commands.lines(loaded, name, changed, asked)
    exec(lines["Python"], {"adhere": adhere})
    [drawn] = Path("images").iterdir()
    assert main(shlex.split(lines["Shell"])[1:]) == 0
    assert list(Path("images").iterdir()) == [drawn]
    recipe = adhere.read_recipe(drawn)
    assert recipe.prompt == prompt and recipe.subjects == asked["subjects"]


def test_subjects_that_no_word_names_have_a_line_of_python_alone(loaded):
    prompt = "a green frog on a hill {{value}}"
    asked = {"prompt": prompt, "subjects": after(loaded, "green", "green", prompt=prompt)}
    lines = commands.lines(loaded, next(iter(adhere.METHODS)), {}, asked)
    assert "adhere.Subject(" in lines["Python"]
    assert lines["Shell"].startswith("# A shell cannot name these subjects")
