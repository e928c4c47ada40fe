"""The built-in sets are what their sources describe, and the same for ever."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from adhere.drawing.outline import load_outline
from adhere.evaluation.prompts import PROMPT_SETS, Joined, Prompt, Wanted, describe, prompt_set
from adhere.evaluation.sets import divide_and_bind, words
from adhere.subjects import find_subjects, parse
from training import world

PAGE = Path(__file__).parents[1] / "docs" / "prompt-sets.md"
# A set that changes is another set: give it another name, and leave these.
PINNED = {
    "attend-and-excite-animals": (
        66,
        "e584797fabae75d354d7d51b1f3169df87372f7038680e6aa138fdca6930ce2c",
    ),
    "attend-and-excite-animals-objects": (
        144,
        "6ba9dd4b18efd101e8c5739062ab67fda30f0eed611316f8ee34c0673c1c852f",
    ),
    "attend-and-excite-objects": (
        66,
        "ecdd6531630b958fab37ee2331f87a07d5f872c9c7251187d99af26773e354a2",
    ),
    "divide-and-bind-examples": (
        8,
        "965ead9f1d61689cf0ff274fd6b5e10cf404d7a9e23d41598ecf847b46c12e63",
    ),
    "animal-scene": (
        56,
        "c2f1cc8b81fd82f81f4492b65822095728f6374f3617c263a44da1e76942a5be",
    ),
    "color-obj-scene": (
        60,
        "2692ae6c37ed9a24f48f71eefe2faf4ae0ac7cae4064e416965b4852b4aa4c71",
    ),
    "multi-object": (
        30,
        "75259e72337d14c62b35957f1e021c7d344b9dcab12bf92259fae20bd887615f",
    ),
    "dvmp": (
        200,
        "ef76eeb0f06adcca3615a39672567759f9f0d13e9e4510c2a2eab81a9f35c8fe",
    ),
    "geneval-two-object": (
        91,
        "4eb8a9133473631b276f672bd63d40e3b56daeba010c3d5c550a645de5b532b5",
    ),
    "geneval-colors": (
        80,
        "d424ac0aed1a7545e0b9665dc76e0d8071ea9f2d60f28ffb12c1fe670526a6d8",
    ),
    "geneval-color-attr": (
        100,
        "bd9b468a1f8f365268d13138b4e710bbd542a7b46890b4130664c1171b77bcb7",
    ),
    "relations": (
        90,
        "a30593a3fdd99f9fe124272b2c15ebde2123c2a63d2950228b7a49ccdeeffea5",
    ),
    "singles": (
        24,
        "082b9a1cb4d23aaf6e7964e0a405944ee4698100f20c5e4309ed56ed50a77e70",
    ),
}
SEEDS = (2512, 7559, 4749, 857, 6818, 9253, 6071, 1937, 5835, 8099, 1905, 8448) + (
    2702,
    4749,
    3673,
    8289,
    1676,
    1225,
    4432,
    6929,
    5469,
    2317,
    8880,
    6859,
)
MADE_FOR_THE_WORLD = (
    "animal-scene", "color-obj-scene", "multi-object", "geneval-two-object", "geneval-colors",
    "geneval-color-attr",
)  # fmt: skip


def test_every_set_is_the_same_for_ever():
    made = {name: prompt_set(name) for name in PROMPT_SETS}
    assert {n: (len(s.prompts), s.sha256) for n, s in made.items()} == PINNED
    assert all(name == one.name for name, one in made.items())
    for one in made.values():
        assert len({p.text for p in one.prompts}) == len(one.prompts), one.name


def read_by_rules(prompt: Prompt) -> list[tuple[str, list[str], int]]:
    """What the parser of subjects, which knows nothing of the sets, reads in a prompt."""
    text = prompt.text
    return [
        (text[slice(*p.noun)], [text[slice(*a)] for a in p.attributes], p.count)
        for p in parse(text)
    ]


@pytest.mark.parametrize("name", [n for n in PROMPT_SETS if n != "divide-and-bind-examples"])
def test_the_parser_reads_in_each_prompt_what_it_wants(name):
    for prompt in prompt_set(name).prompts:
        wanted = [
            (
                w.subject if w.count == 1 else world.plural(w.subject),
                [*([w.colour] if w.colour else []), *w.attributes],
                w.count,
            )
            for w in prompt.wanted
        ]
        assert read_by_rules(prompt) == wanted, prompt


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_what_is_found_in_a_text_file_is_what_the_set_says(name, tmp_path):
    prompts = prompt_set(name).prompts
    (tmp_path / "same.txt").write_text("\n".join(p.text for p in prompts))
    found = prompt_set(str(tmp_path / "same.txt")).prompts
    different = {
        p.text
        for p, q in zip(prompts, found, strict=True)
        if (p.text, p.wanted) != (q.text, q.wanted)
    }
    # "The flash with green suit": the rules find the suit, the authors bind the flash.
    assert len(different) == (name == "divide-and-bind-examples")
    assert all("suit" in text for text in different)


@pytest.mark.parametrize("name", MADE_FOR_THE_WORLD)
def test_the_bundled_model_knows_every_word_and_can_be_nursed(name):
    tokenizer = load_outline("mini").tokenizer
    for prompt in prompt_set(name).prompts:
        # A word that it does not know is several tokens.
        assert len(tokenizer(prompt.text).input_ids) == len(prompt.text.split()) + 2, prompt.text
        subjects = find_subjects(tokenizer, prompt.text)
        assert [s.count for s in subjects] == [w.count for w in prompt.wanted]
        assert {w.subject for w in prompt.wanted} <= {*world.ANIMALS, *world.OBJECTS}


def test_colours_and_scenes_are_those_of_the_world():
    prompts = [prompt for name in MADE_FOR_THE_WORLD for prompt in prompt_set(name).prompts]
    assert {w.colour for p in prompts for w in p.wanted} - {None} <= {*world.COLOURS}
    assert {p.scene for p in prompts} - {None} == {*world.SCENES.values()}


def test_the_released_examples_have_the_words_and_seeds_of_the_notebook():
    for example in divide_and_bind.examples():
        said = re.findall(r"\w+|[^\w\s]", example.prompt.text.lower())
        for index, word in (example.objects | example.attributes).items():
            assert said[index - 1] == word, example
        assert len(example.seeds) == 3
        assert len(example.objects) == len(example.prompt.wanted)
        colours = [w.colour for w in example.prompt.wanted if w.colour]
        assert colours == list(example.attributes.values())
        assert example.prompt.scene is None or example.prompt.scene in example.prompt.text
    assert sum((e.seeds for e in divide_and_bind.examples()), ()) == SEEDS
    assert [tuple(e.objects) for e in divide_and_bind.examples()] == [
        (2, 8), (2,), (2, 6, 9), (2, 5), (3, 7), (3, 7), (2, 5), (2, 8),
    ]  # fmt: skip
    assert prompt_set("divide-and-bind-examples").prompts[1].wanted == (Wanted("goose", count=3),)


def test_scenes_follow_two_different_animals():
    prompts = prompt_set("animal-scene").prompts
    pairs = {frozenset(w.subject for w in p.wanted) for p in prompts}
    assert len(pairs) == len(prompts) and pairs <= set(
        map(frozenset, combinations(words.ANIMALS, 2))
    )
    for p in prompts:
        first, second = (w.subject for w in p.wanted)
        assert p.text == f"a {first} and a {second} {p.scene}"
    assert sorted(Counter(p.scene for p in prompts).values()) == [6] * 7 + [7] * 2


def test_scenes_follow_two_objects_of_different_colours():
    prompts = prompt_set("color-obj-scene").prompts
    pairs = {frozenset(w.subject for w in p.wanted) for p in prompts}
    assert len(pairs) == len(prompts) and pairs <= set(
        map(frozenset, combinations(words.OBJECTS, 2))
    )
    for p in prompts:
        first, second = p.wanted
        assert first.colour != second.colour
        assert p.text == (
            f"a {first.colour} {first.subject} and a {second.colour} {second.subject} {p.scene}"
        )
    assert sorted(Counter(p.scene for p in prompts).values()) == [6] * 3 + [7] * 6
    assert {w.colour for p in prompts for w in p.wanted} == set(words.COLOURS)


def test_several_objects_are_three_in_all_with_their_right_plurals():
    prompts = prompt_set("multi-object").prompts
    form = re.compile(r"(one|two) (\w+) and (one|two) (\w+)")
    for p in prompts:
        n, first, m, second = form.fullmatch(p.text).groups()
        wanted = [(w.count, w.subject) for w in p.wanted]
        assert {n, m} == {"one", "two"}
        singular = {"mice": "mouse", "benches": "bench"}
        assert wanted == [
            (1, noun) if number == "one" else (2, singular.get(noun, noun[:-1]))
            for number, noun in ((n, first), (m, second))
        ]
        assert p.wanted[0].subject != p.wanted[1].subject
    said = " ".join(p.text for p in prompts)
    assert "two mice" in said and "two benches" in said and "glasses" not in said
    assert Counter(p.wanted[0].count for p in prompts) == {1: 15, 2: 15}
    assert set(Counter(w.subject for p in prompts for w in p.wanted).values()) == {2, 3}


def test_relations_are_drawn_by_the_world_and_said_in_its_captions():
    prompts = prompt_set("relations").prompts
    verbs = {"worn": " wearing ", "on": " on ", "in": " in ", "held": " holding "}
    asked = []
    for p in prompts:
        (joined,) = p.relations
        thing, base = p.wanted[joined.thing], p.wanted[joined.base]
        asked.append((joined.kind, thing.subject, base.subject))
        pairing = world.PAIRINGS[joined.kind]
        assert thing.subject in pairing.things and base.subject in pairing.bases
        first, second = p.text.split(verbs[joined.kind])
        assert first.endswith(p.wanted[0].phrase) and second.endswith(p.wanted[1].phrase)
        assert p.tag == joined.kind
    assert Counter(p.tag for p in prompts) == {"worn": 30, "on": 24, "in": 24, "held": 12}
    assert len(set(asked)) == 90 and len({*asked} & world.held_out_relations()) == 21
    assert sum(any(w.colour for w in p.wanted) for p in prompts) == 45


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Joined("under", 0, 1), "`kind` must be 'worn', 'on', 'in' or 'held'"),
        (lambda: Joined("on", 1, 1), "place 1 for both subjects"),
        (lambda: Joined("on", -1, 1), "`thing` must be >= 0"),
        (lambda: Joined("on", "0", 1), "`thing` must be a whole number"),
        (lambda: Prompt("a", "a cat", (Wanted("cat"),), relations=(Joined("on", 0, 1),)), "has 1"),
    ],
)
def test_a_relation_of_nothing_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


ANIMALS = {*words.ANIMALS, "panda", "zebra", "gorilla", "penguin"}
FRUIT = {"apple", "tomato", "banana", "strawberry"}
MODIFIERS = {
    "animal": {"furry", "baby", "spotted", "sleepy"},
    "fruit": {"sliced", "skewered"},
    "object": {"modern", "spotted", "wooden", "metal", "curved", "spiky", "checkered"},
}


def kind_of(subject):
    return "animal" if subject in ANIMALS else "fruit" if subject in FRUIT else "object"


def test_diverse_modifiers_follow_the_rules_of_their_generator():
    prompts = prompt_set("dvmp").prompts
    for p in prompts:
        phrases = p.text.split(" and ")
        assert 1 <= len(phrases) <= 3 and len(set(phrases)) == len(phrases)
        for phrase, w in zip(phrases, p.wanted, strict=True):
            article, *modifiers, noun = phrase.split()
            assert article == ("an" if modifiers[0][0] in "aeiou" else "a")
            assert (noun, modifiers) == (w.subject, [*filter(None, [w.colour]), *w.attributes])
            kind = kind_of(noun)
            assert set(w.attributes) <= MODIFIERS[kind]
            assert len(set(w.attributes)) == len(w.attributes) <= (1 if kind == "fruit" else 2)
            assert w.colour is None or w.colour in {*words.COLOURS, "beige", "teal"}


def test_diverse_modifiers_are_as_frequent_as_the_rules_make_them():
    every = [w for p in prompt_set("dvmp").prompts for w in p.wanted]
    # Bounds are four standard deviations around what the rules give by hand: phrases are one to
    # three; kinds are even; a colour is there with 1/3, given that there is any modifier:
    # (1/3) / (1 - 2/3 * 1/3) = 3/7 but for fruit (1/3) / (1 - 2/3 * 1/2) = 1/2.
    numbers = Counter(len(p.wanted) for p in prompt_set("dvmp").prompts)
    assert set(numbers) == {1, 2, 3} and all(abs(n - 200 / 3) < 27 for n in numbers.values())
    kinds = Counter(kind_of(w.subject) for w in every)
    assert all(abs(n / len(every) - 1 / 3) < 0.1 for n in kinds.values())
    for kinds, expected in ((("animal", "object"), 3 / 7), (("fruit",), 1 / 2)):
        coloured = [w.colour is not None for w in every if kind_of(w.subject) in kinds]
        error = (expected * (1 - expected) / len(coloured)) ** 0.5
        assert abs(sum(coloured) / len(coloured) - expected) < 4 * error
    nouns = {w.subject for w in every}
    assert nouns >= ANIMALS | FRUIT and len(nouns) == 16 + 4 + 18


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


IN_COCO = (
    "cat", "dog", "bird", "bear", "horse", "elephant", "backpack", "suitcase", "chair", "car",
    "bowl", "bench", "clock", "apple",
)  # fmt: skip


def test_geneval_has_every_pair_and_every_colour():
    pairs = [tuple(w.subject for w in p.wanted) for p in prompt_set("geneval-two-object").prompts]
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in combinations(IN_COCO, 2)
    }
    assert any(pair[0] > pair[1] for pair in pairs) and any(pair[0] < pair[1] for pair in pairs)
    coloured = {
        (w.subject, w.colour) for p in prompt_set("geneval-colors").prompts for w in p.wanted
    }
    assert len(coloured) == 8 * 10 and "gray" not in {colour for _, colour in coloured}


@pytest.mark.parametrize(
    ("name", "tag", "subjects", "colours"),
    [
        ("geneval-two-object", "two_object", 2, False),
        ("geneval-colors", "colors", 1, True),
        ("geneval-color-attr", "color_attr", 2, True),
    ],
)
def test_geneval_prompts_have_its_forms_and_classes(name, tag, subjects, colours):
    for p in prompt_set(name).prompts:
        said = [article(f"{w.colour} {w.subject}" if w.colour else w.subject) for w in p.wanted]
        assert p.text == "a photo of " + " and ".join(said)
        assert p.tag == tag and len(p.wanted) == subjects
        assert all((w.colour is not None) == colours for w in p.wanted)
        # Classes of COCO, where a mouse is a computer's and a bow is none.
        assert not {w.subject for w in p.wanted} & {
            "lion", "monkey", "frog", "turtle", "rabbit", "mouse", "crown", "balloon", "bow",
            "glasses",
        }  # fmt: skip
        assert len({w.subject for w in p.wanted}) == subjects
        assert not colours or len({w.colour for w in p.wanted}) == subjects


def test_the_list_shows_every_set_in_columns():
    head, *lines = describe().splitlines()
    assert [line.split()[0] for line in lines] == sorted(PINNED)
    for line, (number, sha256) in zip(lines, map(PINNED.get, sorted(PINNED)), strict=True):
        assert line.split()[1:3] == [str(number), sha256[:8]]
        assert line.index(sha256[:8]) == head.index("hash")
        assert line[: head.index("hash")].rstrip().endswith(str(number))


def test_a_set_is_shown_with_what_each_prompt_wants():
    shown = describe("multi-object").splitlines()
    assert shown[0] == "multi-object" and "30 prompts" in shown[1]
    assert shown[2].split()[1] == PINNED["multi-object"][1]
    row = next(line for line in shown if "two rabbits and one mouse" in line)
    assert re.split(r"  +", row)[1:] == ["two rabbits and one mouse", "2 × rabbit, mouse"]
    head = shown[4]
    assert row.index("two rabbits") == head.index("prompt")
    assert row.index("2 ×") == head.index("wants")


@pytest.mark.parametrize("name", ["", "dvmq", "a\0b.txt", "no-such-set"])
def test_an_unknown_set_is_answered_with_the_list(name):
    with pytest.raises(ValueError, match="Unknown prompt set .*dvmp.*ends in .txt, .csv, .jsonl"):
        prompt_set(name)


def test_the_page_lists_every_set():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    assert {name: int(number) for name, number, _ in rows} == {
        n: c for n, (c, _) in PINNED.items()
    }
    for name, _, example in rows:
        assert example in {p.text for p in prompt_set(name).prompts}, example
