"""The prompt sets hold what their papers publish."""

from collections import Counter

import pytest

from adhere.evaluation.prompts import Wanted, attend_and_excite
from adhere.mini.world import ANIMALS, COLOURS, OBJECTS


@pytest.mark.parametrize(
    ("subset", "count"), [("animals", 66), ("animals_objects", 144), ("objects", 66)]
)
def test_every_prompt_wants_two_subjects_of_the_vocabulary(subset, count):
    prompts = attend_and_excite(subset).prompts
    assert len(prompts) == len({p.text for p in prompts}) == len({p.id for p in prompts}) == count
    for prompt in prompts:
        assert len(prompt.wanted) == 2, prompt
        for wanted in prompt.wanted:
            assert wanted.subject in ANIMALS + OBJECTS, prompt
            assert wanted.colour is None or wanted.colour in COLOURS, prompt


def test_colours_are_counted_as_published():
    colours = Counter(
        w.colour for p in attend_and_excite("animals_objects").prompts for w in p.wanted
    )
    assert colours["yellow"] == 14 and colours["brown"] == 7 and colours[None] == 144 + 36


def test_a_prompt_is_read_as_a_person_would():
    first = attend_and_excite("objects").prompts[0]
    assert all(w.colour for w in first.wanted)
    assert {p.text: p.wanted for p in attend_and_excite("animals").prompts}[
        "a elephant and a rabbit"
    ] == (Wanted("elephant"), Wanted("rabbit"))


def test_an_unknown_subset_is_refused():
    with pytest.raises(ValueError, match="plants"):
        attend_and_excite("plants")
