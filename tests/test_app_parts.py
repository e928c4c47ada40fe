"""What the page is made of: the words of a prompt, and forms of any method."""

import re
from pathlib import Path

import pytest

import adhere
from adhere.app import studio, view
from adhere.drawing.loading import load
from adhere.figures.trace import COLOURS
from adhere.methods import make
from adhere.subjects.tokenizing import tokenize

pytest.importorskip("gradio", reason="the page needs the extra `app`")
forms = pytest.importorskip("adhere.app.forms")


PROMPT = "a cat and a frog"


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat <script>alert(1)</script> & <img src=x onerror=alert(1)>",
        "a cat\u202e and \u0000 a \U0001f438 frog",
        "кот и лягушка",
        "a (cat:1.2) and [frog]",
        "cat " * 400,
    ],
)
def test_every_word_of_a_prompt_is_shown_once(prompt):
    pipe = load().pipe
    subjects = adhere.find_subjects(pipe, prompt, [1])
    marks = view.marks(tokenize(pipe, prompt), subjects)
    assert "".join(word for word, _ in marks) == "".join(prompt.split())
    assert marks[0][1] == COLOURS[0]
    assert (marks[-1][1] == view.GREY) == (len(prompt) > 1_000)


def test_a_hostile_text_stays_text():
    hostile = "<script>alert(1)</script> & <img src=x onerror=alert(1)>"
    for shown in (view.note(hostile), view.told([adhere.Subject(hostile, (1,))])):
        assert re.findall(r"<(\w+)", shown) == ["p"]


@pytest.mark.parametrize("name", adhere.METHODS)
def test_every_method_has_a_form_that_changes_nothing_by_itself(name):
    form = forms.form_of(make(name))
    shown = {parameter: field.value for parameter, field in form.items()}
    assert forms.changed(form, {field: field.value for field in form.values()}) == {}
    assert shown and make(name, shown) == make(name)
    with pytest.raises(ValueError, match="empty or too long"):
        forms.changed(form, dict.fromkeys(form.values(), "9" * 1_000))


def test_a_stopped_drawing_ends_before_its_next_step():
    drawn, heard = studio.Studio(load()), []

    def told(progress, **_):
        heard.append(progress)
        if progress == (2, 50):
            drawn.stops["mine"].set()
        drawn.stops["another's"].set()

    with pytest.raises(studio.Cancelled):
        drawn.draw("mine", told, "Baseline", None, prompt="a cat", steps=50)
    assert heard == [(0, 50), (1, 50), (2, 50)]


def test_a_stopped_drawing_ends_within_a_step_of_many_passes():
    loaded = load()
    drawn = studio.Studio(loaded)
    passes = []

    def count(*_):
        passes.append(1)
        if len(passes) == 3:
            drawn.stops["mine"].set()

    counting = loaded.pipe.unet.conv_in.register_forward_hook(count)
    method = make("attend-and-excite", {"refine_at": [[0.0, 2.0]], "max_refinements": 100})
    with pytest.raises(studio.Cancelled):
        drawn.draw("mine", lambda *_, **__: None, "Nursed", method, prompt=PROMPT, steps=4)
    counting.remove()
    assert len(passes) == 3


def test_a_drawing_that_takes_too_long_ends(monkeypatch):
    monkeypatch.setattr(studio, "LONGEST", -60)
    with pytest.raises(ValueError, match="takes more than -1 minutes"):
        studio.Studio(load()).draw(
            "mine", lambda *_, **__: None, "A", None, prompt="a cat", steps=4
        )


def test_a_count_that_a_text_holds_has_its_limit_too():
    method = make("attend-and-excite")
    assert forms.nursing(method, {"max_refinements_first": "200"}).max_refinements_first == 200
    with pytest.raises(ValueError, match="max_refinements_first is 1,000,000; .* may be 200"):
        forms.nursing(method, {"max_refinements_first": "1000000"})


def test_the_page_knows_no_method_by_name():
    texts = [file.read_text() for file in Path(view.__file__).parent.iterdir() if file.suffix]
    for name, kind in adhere.METHODS.items():
        called = re.compile(rf"[\"']{name}[\"']|\b{kind.__name__}\b")
        assert not any(called.search(text) for text in texts)
