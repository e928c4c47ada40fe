"""What the page is made of: clicks on words, forms of any method, lines that draw the same."""

import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

import adhere
from adhere.app import commands, words
from adhere.cli import main
from adhere.drawing.loading import load
from adhere.methods import make

pytest.importorskip("gradio", reason="the page needs the extra `app`")
forms = pytest.importorskip("adhere.app.forms")
PROMPT = "a red cat and a blue frog"


@pytest.fixture(scope="module")
def loaded():
    return load()


def told(subjects):
    return [(tuple(a.text for a in one.attributes), one.text) for one in subjects]


def after(loaded, *clicks, prompt=PROMPT):
    """The subjects after clicks on words, each named by its text."""
    subjects = adhere.find_subjects(loaded.pipe, prompt)
    for click in clicks:
        subjects = words.clicked(loaded.pipe, prompt, subjects, prompt.split().index(click))
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


@pytest.mark.parametrize("word", [-1, 99, 10**30])
def test_a_click_on_no_word_changes_nothing(loaded, word):
    found = adhere.find_subjects(loaded.pipe, PROMPT)
    assert words.clicked(loaded.pipe, PROMPT, found, word) == found


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.text = set(), ""

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat <script>alert(1)</script> & <img src=x onerror=alert(1)>",
        'a "cat" \' onclick=alert(1) x=" and a frog',
        "a cat\u202e and \u0000 a \U0001f438 frog",
        "кот и лягушка",
        "a (cat:1.2) and [frog]",
        "cat " * 400,
    ],
)
def test_a_hostile_prompt_stays_text(loaded, prompt):
    subjects = adhere.find_subjects(loaded.pipe, prompt, [1])
    tags = Tags()
    tags.feed(words.words_html(loaded.pipe, prompt, subjects))
    assert tags.names <= {"p", "button", "s"}
    assert "".join(tags.text.split()) == "".join(prompt.split())


@pytest.mark.parametrize("name", adhere.METHODS)
def test_every_method_has_a_form_that_changes_nothing_by_itself(name):
    kind = adhere.METHODS[name]
    values = adhere.methods.parameters_of(make(name))
    form = forms.form_of(kind, values)
    shown = [field.value for field in form]
    assert forms.changed(kind, values, shown) == {}
    assert len(form) == len(forms.fields_of(kind)) > 0
    assert make(name, dict(zip(forms.fields_of(kind), shown, strict=True))) == make(name)
    with pytest.raises(ValueError, match="empty or too long"):
        forms.changed(kind, values, ["9" * 1_000] * len(form))


def test_the_page_knows_no_method_by_name():
    texts = [file.read_text() for file in Path(commands.__file__).parent.iterdir() if file.suffix]
    for name, kind in adhere.METHODS.items():
        called = re.compile(rf"[\"']{name}[\"']|\b{kind.__name__}\b")
        assert not any(called.search(text) for text in texts)


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
    [drawn] = Path("pictures").iterdir()
    assert main(shlex.split(lines["Shell"])[1:]) == 0
    assert list(Path("pictures").iterdir()) == [drawn]
    recipe = adhere.read_recipe(drawn)
    assert recipe.prompt == prompt and recipe.subjects == asked["subjects"]


def test_subjects_that_no_word_names_have_a_line_of_python_alone(loaded):
    prompt = "a green frog on a hill {{value}}"
    asked = {"prompt": prompt, "subjects": after(loaded, "green", "green", prompt=prompt)}
    lines = commands.lines(loaded, next(iter(adhere.METHODS)), {}, asked)
    assert "adhere.Subject(" in lines["Python"]
    assert lines["Shell"].startswith("# A shell cannot name these subjects")
