"""What a prompt set is, and the benchmark of Attend-and-Excite as its authors published it."""

from collections import Counter
from dataclasses import replace

import pytest
from training.world import ANIMALS, COLOURS, OBJECTS

from adhere.evaluation.prompts import (
    PROMPT_SETS,
    Prompt,
    PromptSet,
    Wanted,
    prompt_set,
)

PAIR = PromptSet(
    "pair",
    "a test",
    (
        Prompt("one", "a cat", (Wanted("cat"),)),
        Prompt("two", "two red cars at night", (Wanted("car", "red", 2),), "at night", "kind"),
    ),
)


def listed(subset):
    return prompt_set(f"attend-and-excite-{subset}").prompts


@pytest.mark.parametrize(
    ("subset", "count"), [("animals", 66), ("animals-objects", 144), ("objects", 66)]
)
def test_every_prompt_wants_two_subjects_of_the_vocabulary(subset, count):
    prompts = listed(subset)
    assert len(prompts) == len({p.text for p in prompts}) == len({p.id for p in prompts}) == count
    for prompt in prompts:
        assert len(prompt.wanted) == 2, prompt
        for wanted in prompt.wanted:
            assert wanted.subject in ANIMALS + OBJECTS, prompt
            assert wanted.colour is None or wanted.colour in COLOURS, prompt
            assert wanted.count == 1 and wanted.attributes == (), prompt


def test_colours_are_counted_as_published():
    def count(subset):
        return Counter(w.colour for p in listed(subset) for w in p.wanted)

    assert count("animals") == {None: 132}
    assert count("animals-objects") == {
        "yellow": 14, "green": 13, "black": 11, "pink": 11, "orange": 10, "blue": 10, "white": 9,
        "red": 8, "gray": 8, "purple": 7, "brown": 7, None: 144 + 36,
    }  # fmt: skip
    assert count("objects") == {
        "white": 15, "purple": 14, "yellow": 14, "black": 13, "gray": 13, "red": 12, "green": 12,
        "blue": 11, "pink": 10, "orange": 10, "brown": 8,
    }  # fmt: skip


def test_the_lists_are_letter_for_letter_the_published_ones():
    names = [name for name in PROMPT_SETS if name.startswith("attend-and-excite")]
    texts = [p.text for name in names for p in prompt_set(name).prompts]
    ungrammatical = [t for t in texts if any(f"a {vowel}" in f" {t}" for vowel in _before_vowel())]
    assert len(texts) == 276 and len(ungrammatical) == 42
    assert not any(" an " in f" {text}" for text in texts)
    objects = listed("objects")
    assert sum(p.wanted[0].colour == p.wanted[1].colour for p in objects) == 7


def _before_vowel():
    return [word for word in (*ANIMALS, *OBJECTS, *COLOURS) if word[0] in "aeiou"]


def test_every_pair_of_the_products_is_there_once():
    for subset, words in (("animals", ANIMALS), ("objects", OBJECTS)):
        pairs = {frozenset(w.subject for w in p.wanted) for p in listed(subset)}
        assert len(pairs) == len(words) * (len(words) - 1) // 2
    mixed = {tuple(w.subject for w in p.wanted) for p in listed("animals-objects")}
    assert mixed == {(animal, thing) for animal in ANIMALS for thing in OBJECTS}


def test_a_prompt_is_read_as_a_person_would():
    first = listed("objects")[0]
    assert all(w.colour for w in first.wanted)
    wanted = {p.text: p.wanted for p in listed("animals")}
    assert wanted["a elephant and a rabbit"] == (Wanted("elephant"), Wanted("rabbit"))


def test_sets_and_ids_have_names_for_folders():
    assert listed("animals-objects")[7].id == "animals-objects-007"


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a/b", "..", "a b", "ä", "a" * 65, "a\n"])
def test_what_is_no_folder_name_is_refused(name):
    with pytest.raises(ValueError, match="folder"):
        replace(PAIR, name=name)
    with pytest.raises(ValueError, match="folder"):
        replace(PAIR, prompts=(replace(PAIR.prompts[0], id=name),))


def test_a_set_without_prompts_or_with_one_id_twice_is_refused():
    with pytest.raises(ValueError, match="empty"):
        replace(PAIR, prompts=())
    with pytest.raises(ValueError, match="'one'"):
        replace(PAIR, prompts=PAIR.prompts[:1] * 2)


def test_the_hash_is_of_everything_but_the_source():
    first, second = PAIR.prompts
    (car,) = second.wanted
    changed = [
        replace(PAIR, name="other"),
        replace(PAIR, prompts=PAIR.prompts[::-1]),
        replace(PAIR, prompts=(first,)),
        *(
            replace(PAIR, prompts=(first, other))
            for other in (
                replace(second, id="three"),
                replace(second, text="two red cars at  night"),
                replace(second, scene=None),
                replace(second, tag="kinds"),
                replace(second, wanted=()),
                *(
                    replace(second, wanted=(replace(car, **{field: value}),))
                    for field, value in {
                        "subject": "bus", "colour": None, "count": 3, "attributes": ("old",),
                    }.items()
                ),
            )
        ),
    ]  # fmt: skip
    hashes = {one.sha256 for one in (PAIR, *changed)}
    assert len(hashes) == 1 + len(changed)
    assert replace(PAIR, source="elsewhere").sha256 == PAIR.sha256


def test_an_unknown_set_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'attend-and-excite-animals'"):
        prompt_set("attend-and-excite-animal")
