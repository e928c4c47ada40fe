"""Markup of other programs: it hides no modifier, and is no noun."""

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from adhere.subjects import find_subjects, markup
from adhere.subjects.markup import with_soft_marks
from prompts import learnt_tokenizer, read_back, spell


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return learnt_tokenizer()


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("a （blue：1.2） bench", ["bench<blue"]),
        ("a (blue：1.2) bench，a ［red］ car", ["bench<blue", "car<red"]),
        ("a red-(haired:1.2) girl", ["girl<red haired"]),
        ("a (red:1.2)-haired girl", ["girl<red haired"]),
        ("a *red*-haired girl", ["girl<red haired"]),
        ("a (fire:1.2)-truck, a t-(shirt:1.2)", ["fire truck", "t shirt"]),
        ("(ice:1.2)-cream cone", ["cone<ice cream"]),
        ("a (cat:1.2)'s tail", ["cat", "tail"]),
        ("the king('s golden:1.2) crown", ["king", "crown<golden"]),
        ("a ('red':1.2) car", ["car<red"]),
        ("a (cat:1.2)(dog:0.8)", ["cat", "dog"]),
        ("a (red) (cat) (blue) (dog)", ["cat<red", "dog<blue"]),
        ("a (red:+1.2) bird", ["bird<red"]),
        ('a "red":1.2 bird', ["bird<red"]),
        ("a blue:1.2) bench", ["bench<blue"]),
        ("a cat (orange) and a dog (black)", ["cat<orange", "dog<black"]),
        ("a cat (black) on a sofa (orange:1.2)", ["cat<black", "sofa<orange"]),
        ("a girl eating ice (cream)", ["girl", "ice cream"]),
    ],
)
def test_weights_hide_no_modifier(prompt: str, subjects: list[str]) -> None:
    assert read_back(prompt) == subjects


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("a 1.2::blue:: bench, a -1::red:: bird", ["bench<blue", "bird<red"]),
        ("2::cat::, 0.5::dog ::", ["cat", "dog"]),
        ("1.2::cat::0.5::dog:: 2::bird::", ["cat", "dog", "bird"]),
        ("a {0.5::red|0.5::blue} cat", ["cat<red,blue"]),
        ("a blue+ bench and a red- car", ["bench<blue", "car<red"]),
        ("a red- and blue-striped shirt, a cat- a dog", ["shirt<red,blue-striped", "cat", "dog"]),
        ('("a cat", "a dog").blend(0.5, 0.5)', ["cat", "dog"]),
        ('("a cat", "a dog").and()', ["cat", "dog"]),
        ('a cat.swap("dog") on a mat', ["cat", "mat"]),
        ("a cat ADDCOL a dog ADDROW a fox", ["cat", "dog", "fox"]),
        ("a cat ADDCOMM a dog ADDBASE a fox", ["cat", "dog", "fox"]),
        ("a cat <break> a dog", ["cat", "dog"]),
        ("a <random:cat,dog> on a mat", ["cat", "dog", "mat"]),
        ("a <alternate:red||blue> car", ["car<red,blue"]),
        ("<fromto[0.5]:cat,dog>", ["cat", "dog"]),
        ("a <wildcard:animal> on a mat", ["mat"]),
        ("a <toy> on a mat", ["<toy>", "mat"]),
    ],
)
def test_the_words_of_other_programs_are_read(prompt: str, subjects: list[str]) -> None:
    assert read_back(prompt) == subjects


@pytest.mark.parametrize(
    "rest",
    [
        "<lora:x & y:1>", "<lora:x:1",
        "&lt;lora:x:1&gt;", "(lora:x:1)", "--lora x:1", "＜lora：x：1＞",
        "<|endoftext|>", "</s>", "<pad>", "[SEP]", "${color}", "%style%", "<3", "<",
        "<img src=x>", '<a href="x">', "</a>", "&nbsp;", "&#39;",
    ],
)  # fmt: skip
def test_what_is_left_of_other_programs_is_no_noun(rest: str) -> None:
    assert read_back(f"{rest} a cat") == read_back(f"a cat {rest}") == ["cat"]
    assert read_back(f"a red {rest} cat, a dog") == ["cat<red", "dog"]


@pytest.mark.parametrize("tail", [", negative_prompt: dog", "\nSteps: 20", "\nSteps: 20\nSize: 8"])
def test_settings_end_a_prompt(tail: str) -> None:
    assert read_back("a cat" + tail) == ["cat"]


@pytest.mark.parametrize(
    ("prompt", "advice"),
    [
        ("a cat <lora:x:1>", "has <lora:x:1>, which loads nothing.*load_lora_weights"),
        ("a cat <lora:x:1, a dog", "has <lora:x:1, which loads nothing"),
        ("a cat &lt;lyco:x:1&gt;", "has &lt;lyco:x:1&gt;, which loads nothing"),
        ("a cat (hypernet:x:1)", "has hypernet:x:1, which loads nothing"),
        ("a cat --lora x:1", "has --lora x:1, which loads nothing"),
        ("a <random:cat,dog>", "has <random:cat,dog>, which is of another program"),
        ("a <wildcard:animal> on a mat", "has <wildcard:animal>, which is of another program"),
    ],
)
def test_one_advice_is_given_for_a_tag(tokenizer: CLIPTokenizer, prompt: str, advice: str) -> None:
    with pytest.warns(UserWarning, match=advice) as given:
        assert find_subjects(tokenizer, prompt)
    assert len(given) == 1


@pytest.mark.parametrize("prompt", ["a <toy> on a mat", "a cat <3 a dog", "a {red|blue} cat"])
def test_what_is_no_tag_is_warned_of_nowhere(tokenizer: CLIPTokenizer, prompt: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_subjects(tokenizer, prompt)


@pytest.mark.parametrize(
    ("prompt", "text", "spelled"),
    [
        ("a （cat：1.2） asleep", "cat", ["cat"]),
        ("a fire-(truck:1.2)", "fire truck", ["fire", "truck"]),
        ("a (cat:1.2)'s", "cat", ["cat"]),
    ],
)
def test_no_mark_is_a_token_of_a_subject(
    tokenizer: CLIPTokenizer, prompt: str, text: str, spelled: list[str]
) -> None:
    (found,) = find_subjects(tokenizer, prompt)
    assert found.text == text
    assert spell(tokenizer, prompt, found.token_indices).replace(" ", "") == "".join(spelled)
    assert find_subjects(tokenizer, prompt, [text]) == (found,)


@pytest.mark.parametrize(
    "part",
    ["1::a:: ", "::", "<a:b", "<a[", "&lt;lora:a", "<a =", "</a", ".and(", "a- ", "(a)-", "%a",
     "(red) ", "--lora ", "${"],
)  # fmt: skip
def test_markup_is_read_in_proportion_to_its_length(part: str) -> None:
    seconds = []
    for number in (500, 4000):
        tries = []
        for again in range(3):  # The fastest: other work disturbs the rest.
            start = time.process_time()
            for ends in range(4000 // number):
                with_soft_marks(part * number + " " * (10 * again + ends))  # None is read twice.
            tries.append(time.process_time() - start)
        seconds.append(min(tries))
    # With the square of the length the second would take 8 times as long as the first.
    assert seconds[1] < 4 * seconds[0]


@given(st.from_regex(markup._PLAIN, fullmatch=True))
def test_a_prompt_without_marks_stays_as_it_is(prompt: str) -> None:
    assert markup._marked(prompt) == prompt
