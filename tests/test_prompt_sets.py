"""The built-in sets are what their sources describe, and the same for ever; a user's file is read
as it is written, or refused with the line that is wrong."""

import json
import os
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from adhere.drawing.outline import load_outline
from adhere.evaluation.prompts import PROMPT_SETS, Joined, Prompt, Wanted, describe, prompt_set
from adhere.evaluation.sets import divide_and_bind, own, words
from adhere.evaluation.sets.rows import COLUMNS
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


# A user's own file.

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


@pytest.mark.parametrize("name", ["", "dvmq", "a\0b.txt", "no-such-set"])
def test_an_unknown_set_is_answered_with_the_list(name):
    with pytest.raises(ValueError, match="Unknown prompt set .*dvmp.*ends in .txt, .csv, .jsonl"):
        prompt_set(name)


def test_the_page_says_what_is_so(write):
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    assert {name: int(number) for name, number, _ in rows} == {
        n: c for n, (c, _) in PINNED.items()
    }
    for name, _, example in rows:
        assert example in {p.text for p in prompt_set(name).prompts}, example
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
