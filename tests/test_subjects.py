"""Subjects: found in a prompt, mapped to tokens, named by the user, measured on labels."""

import importlib.util
import json
import re
import time
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.world.captions import TEMPLATES, phrase
from training.world.vocabulary import SCENES
from transformers import CLIPTokenizer, PreTrainedTokenizer

import toys
from adhere.errors import SubjectNotFound
from adhere.mini.vocabulary import COLOURS, OBJECTS
from adhere.mini.vocabulary import SUBJECTS as WORLD
from adhere.subjects import Attribute, Subject, find_subjects, parse
from adhere.subjects.finding import noun_phrases
from adhere.subjects.lexicon import lexicon
from adhere.subjects.naming import name_subjects
from adhere.subjects.phrase import Phrase
from adhere.subjects.tokenizing import _align, tokenize
from prompts import END, ROOT, START, learnt_tokenizer, read_back, spell

PIECES = "a the red cat of and , two ² 1967 in kitchen is made glass 's \" ( pair photo no".split()
KITCHEN = "a green backpack and a pink chair in the kitchen"


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return learnt_tokenizer()


class WordTokenizer(PreTrainedTokenizer):
    """A tokenizer of whole words that reports no offsets and pads with "!", as SD2's does."""

    def __init__(self, words: list[str]) -> None:
        self.ids = {word: i for i, word in enumerate(["!", START, END, *words])}
        super().__init__(
            bos_token=START, eos_token=END, unk_token=END, pad_token="!", model_max_length=77
        )

    @property
    def vocab_size(self) -> int:
        return len(self.ids)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.ids)

    def _tokenize(self, text: str, **_: object) -> list[str]:
        return re.findall(r"\w+|[^\w\s]", text.lower())

    def _convert_token_to_id(self, token: str) -> int:
        return self.ids.get(token, self.ids[END])

    def _convert_id_to_token(self, index: int) -> str:
        return list(self.ids)[index]

    def build_inputs_with_special_tokens(self, first: list[int], _: object = None) -> list[int]:
        return [self.bos_token_id, *first, self.eos_token_id]


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        (KITCHEN, ["backpack<green", "chair<pink"]),
        ("three geese floating in the middle of a river", ["geese*3"]),
        ("one cat and 2 dogs", ["cat", "dogs*2"]),
        ("a 1967 car", ["car"]),
        ("a pair of shoes and a pair of scissors", ["shoes*2", "scissors"]),
        ("a teddy bear and an alarm clock", ["teddy bear", "alarm clock"]),
        ("a can of soup and a dog that can fly", ["can", "soup", "dog"]),
        ("the dog is red", ["dog<red"]),
        ("a dog that is brown and a cat that is white", ["dog<brown", "cat<white"]),
        ("a red and blue table", ["table<red,blue"]),
        ("a dark blue vase", ["vase<dark blue"]),
        ("a chair made of wood", ["chair<wood"]),
        ("a car painted red", ["car<red"]),
        ("a lion, 8k uhd, highly detailed, unreal engine 5", ["lion"]),
        ("an owl, artstation, sharp focus, greg rutkowski", ["owl"]),
        ("a photo of a cat", ["cat"]),
        ("A painting of a bag and a apple", ["bag", "apple"]),
        ("a misty forest at dawn", ["forest<misty"]),
        ("a hot dog and a cold dog", ["hot dog", "dog<cold"]),
        ('a sign that says "free cats"', ["sign"]),
        ("a street without cars, a dog", ["dog"]),
        ("an orange and a lemon", ["orange", "lemon"]),
        ("people walk and a cat sits", ["people", "cat"]),
        ("a photo of dogs with no leash", ["dogs"]),
        ("a cat asleep, a frog", ["cat", "frog"]),
        ("a cat asleep, big frog", ["cat", "frog<big"]),
        ("a shelf in soft morning light, a small vase", ["shelf", "vase<small"]),
        ("a photo realistic, a cat", ["cat"]),
        ("a big, asleep, red frog", ["frog<big,asleep,red"]),
        ("a cat afraid, a ship afloat, a door ajar", ["cat", "ship", "door"]),
        ("a highly detailed, a fox and a hen", ["fox", "hen"]),
        ("a cinematic, a fox", ["fox"]),
        ("a cup, not a mug or a glass", ["cup"]),
        ("not a lion but a tiger", ["tiger"]),
        ("not only a lion but also a tiger", ["lion", "tiger"]),
        ("no cars or people, a street lamp", ["street lamp"]),
        ("there are no cars and a dog", ["dog"]),
        ("a room free of chairs and lamps, a rug", ["rug"]),
        ("a boy not wearing a cap on a bench", ["boy", "bench"]),
        ("a bench that isn't red and a car that is not new", ["bench", "car"]),
        ("a bird, don't include any trees", ["bird"]),
        ("a child's drawing of a house", ["house"]),
        ("a painting by a child of a horse", ["horse"]),
        ("a child's bedroom with a bed, a man's portrait", ["bed", "man"]),
        ("create a photo of a cat named Rex", ["cat"]),
        ("photo of a 28 y.o woman and an apple that's not red", ["woman", "apple"]),
        ('a "vintage" car, a sign with "hot dogs" on it', ["car<vintage", "sign"]),
        ("“a cat” and a 12\" record, a 7\" nail", ["record", "nail"]),
        ("a man w/ a hat, a boy w/o a hat", ["man", "hat", "boy"]),
        ("2girls, black_hair, cat", ["2girls*2", "hair<black", "cat"]),
        ("the left dog, a cat on the right", ["dog<left", "cat"]),
    ],
)  # fmt: skip
def test_phrases(prompt: str, subjects: list[str]) -> None:
    assert read_back(prompt) == subjects


@pytest.mark.parametrize("scene", [None, *SCENES])
@pytest.mark.parametrize("number", TEMPLATES)
def test_reads_every_template_of_the_bundled_world(number: int, scene: str | None) -> None:
    colours = list(COLOURS)
    for shift, template in enumerate(TEMPLATES[number]):
        things = [WORLD[(5 * shift + 7 * i) % len(WORLD)] for i in range(number)]
        hues = [colours[(shift + i) % len(colours)] if t in OBJECTS else None
                for i, t in enumerate(things)]  # fmt: skip
        counts = [1 + (shift + i) % 3 for i in range(number)]
        said = [phrase(t, h, c) for t, h, c in zip(things, hues, counts, strict=True)]
        prompt = template.format(*said) + (f" {SCENES[scene]}" if scene else "")
        want = [
            " ".join(p.split()[-1:]) + (f"<{h}" if h else "") + (f"*{c}" if c > 1 else "")
            for p, h, c in zip(said, hues, counts, strict=True)
        ]
        assert read_back(prompt) == want, prompt


def test_finds_tokens_of_subjects_and_attributes(tokenizer: CLIPTokenizer) -> None:
    backpack, chair = find_subjects(tokenizer, KITCHEN)
    for subject, noun, attribute in ((backpack, "backpack", "green"), (chair, "chair", "pink")):
        assert subject.text == noun and subject.count == 1
        assert spell(tokenizer, KITCHEN, subject.token_indices) == noun
        (only,) = subject.attributes
        assert spell(tokenizer, KITCHEN, only.token_indices) == only.text == attribute


@pytest.mark.parametrize(
    "prompt", ["a sombrero", "A SOMBRERO,", "one  sombrero's\nbrim", "(sombrero)"]
)
def test_takes_every_piece_of_a_word_and_no_punctuation(
    tokenizer: CLIPTokenizer, prompt: str
) -> None:
    subject = find_subjects(tokenizer, prompt)[0]
    assert len(subject.token_indices) > 1
    assert spell(tokenizer, prompt, subject.token_indices) == "sombrero"


def test_compound_hyphen_accent_and_emoji(tokenizer: CLIPTokenizer) -> None:
    prompt = "a red-haired girl \N{DOG FACE} with a jalapen\u0303o, and a fire truck"
    girl, pepper, truck = find_subjects(tokenizer, prompt)
    composed = prompt.replace("n\u0303", "\u00f1")
    assert spell(tokenizer, composed, pepper.token_indices) == "jalape\u00f1o"
    assert spell(tokenizer, composed, truck.token_indices).split() == ["fire", "truck"]
    assert spell(tokenizer, composed, girl.attributes[0].token_indices) == "red - haired"


def test_repeated_words_are_each_their_own(tokenizer: CLIPTokenizer) -> None:
    assert [s.token_indices for s in find_subjects(tokenizer, "a cat and a cat")] == [(2,), (5,)]
    blue, red = find_subjects(tokenizer, "a blue car and a red car")
    assert (blue.token_indices, red.token_indices) == ((3,), (7,))
    assert (blue.attributes[0].text, red.attributes[0].text) == ("blue", "red")


def test_tokens_are_what_the_text_encoder_reads(tokenizer: CLIPTokenizer) -> None:
    assert tokenize(tokenizer, "a Cat, ").kept == (START, "a", "cat", ",", END)
    long = tokenize(tokenizer, "cat " * 100).kept
    assert len(long) == 77 and long[0] == START and long[75] == "cat" and long[76] == END


def test_textual_inversion_words_take_all_their_vectors(tokenizer: CLIPTokenizer) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    several = CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=77)
    several.add_tokens(["<toy>", "<toy>_1", "<toy>_2"])
    prompt = "a <toy> and a red cat"
    assert tokenize(several, prompt).kept[2:5] == ("<toy>", "<toy>_1", "<toy>_2")
    assert [s.token_indices for s in find_subjects(several, prompt)] == [(2, 3, 4), (8,)]
    (named,) = find_subjects(several, prompt, ["<toy>"])
    assert named.token_indices == (2, 3, 4)


def test_tokenizer_without_offsets_and_with_unknown_words() -> None:
    words = WordTokenizer(["a", "cat", "and", "red", "dog", ","])
    assert not words.is_fast
    cat, wombat, dog = find_subjects(words, "A red cat, and a wombat, and a dog")
    assert (cat.token_indices, wombat.token_indices, dog.token_indices) == ((3,), (7,), (11,))
    assert cat.attributes == (Attribute("red", (2,)),)


def test_both_alignments_agree(tokenizer: CLIPTokenizer) -> None:
    lines = (ROOT / "tests" / "data" / "subject_prompts.jsonl").read_text("utf-8").splitlines()
    for line in lines[:60]:
        found = tokenize(tokenizer, json.loads(line)["prompt"])
        if "\N{REPLACEMENT CHARACTER}" not in "".join(found.pieces):
            assert tuple(_align(found.text, list(found.pieces[1:-1]))) == found.spans[1:-1]


def test_pipeline_gives_its_tokenizer(tokenizer: CLIPTokenizer) -> None:
    from diffusers import DiffusionPipeline

    class Pipeline(DiffusionPipeline):
        def __init__(self, tokenizer: CLIPTokenizer) -> None:
            super().__init__()
            self.register_modules(tokenizer=tokenizer)

    assert find_subjects(Pipeline(tokenizer), KITCHEN) == find_subjects(tokenizer, KITCHEN)


def test_named_words_keep_what_the_prompt_says_of_them(tokenizer: CLIPTokenizer) -> None:
    found = {subject.text: subject for subject in find_subjects(tokenizer, KITCHEN)}
    assert find_subjects(tokenizer, KITCHEN, ["chair"]) == (found["chair"],)
    assert find_subjects(tokenizer, KITCHEN, ["a pink chair"]) == (found["chair"],)
    kitchen, backpack = find_subjects(tokenizer, KITCHEN, ["Kitchen", "backpack"])
    assert (kitchen.text, kitchen.attributes) == ("kitchen", ())
    assert backpack == found["backpack"]
    (geese,) = find_subjects(tokenizer, "three geese on a river", ["geese"])
    assert geese.count == 3
    (truck,) = find_subjects(tokenizer, "a red fire truck", ["fire truck"])
    assert len(truck.token_indices) >= 2 and truck.attributes[0].text == "red"


@pytest.mark.parametrize(
    "prompt, name, text, count",
    [
        ("iPhoneを持つ猫", "iPhone", "iPhone", 1),
        ("赤いTシャツの猫とiPhone", "iPhone", "iPhone", 1),
        ("cat猫", "cat", "cat", 1),
        ("a king’s crown", "king's", "king’s", 1),
        ("a king's crown", "king’s", "king's", 1),
        ("a fire–truck", "fire-truck", "fire–truck", 1),
        ("two cats and a frog", "two cats", "cats", 2),
        ("3 black cats and a frog", "3 black cats", "cats", 3),
    ],
)
def test_names_are_found_as_they_are_typed(
    tokenizer: CLIPTokenizer, prompt: str, name: str, text: str, count: int
) -> None:
    (found,) = find_subjects(tokenizer, prompt, [name])
    assert (found.text, found.count) == (text, count)


def test_a_name_within_a_word_is_not_found(tokenizer: CLIPTokenizer) -> None:
    with pytest.raises(SubjectNotFound):
        find_subjects(tokenizer, "a concatenation", ["cat"])


def test_an_index_of_a_character_of_several_tokens_is_all_of_them(
    tokenizer: CLIPTokenizer,
) -> None:
    (found,) = find_subjects(tokenizer, "赤 cat", [2])
    assert found.token_indices == find_subjects(tokenizer, "赤 cat", ["赤"])[0].token_indices
    assert len(found.token_indices) > 1


def test_a_shorter_name_has_a_place_beside_the_longer_one(tokenizer: CLIPTokenizer) -> None:
    prompt = "a fire truck and a red truck"
    for names in (["fire truck", "truck"], ["truck", "fire truck"]):
        found = dict(zip(names, find_subjects(tokenizer, prompt, names), strict=True))
        assert not {*found["truck"].token_indices} & {*found["fire truck"].token_indices}
        assert found["truck"].attributes[0].text == "red"
    both = find_subjects(tokenizer, "a fire truck", ["fire truck", "truck"])
    assert [subject.text for subject in both] == ["fire truck", "truck"]


def test_named_indices_and_pieces_are_taken_alone(tokenizer: CLIPTokenizer) -> None:
    assert find_subjects(tokenizer, KITCHEN, [2]) == (Subject("green", (2,)),)
    place = tokenize(tokenizer, "a sombrero").kept.index("re")
    (piece,) = find_subjects(tokenizer, "a sombrero", ["re"])
    assert piece == Subject("re", (place,))


def test_whole_numbers_of_numpy_are_indices(tokenizer: CLIPTokenizer) -> None:
    for words in ([2, 5], [(2, 5)]):
        same = [
            np.array(word)[()] if isinstance(word, int) else [*np.array(word)] for word in words
        ]
        assert find_subjects(tokenizer, KITCHEN, same) == find_subjects(tokenizer, KITCHEN, words)


@pytest.mark.parametrize(("given", "named"), [("mini", "'mini'"), (None, "NoneType")])
def test_what_has_no_tokenizer_is_named(given: object, named: str) -> None:
    with pytest.raises(
        ValueError, match=f"Got {named}, which has no tokenizer; give the pipeline"
    ):
        find_subjects(given, "a cat")


def test_named_pairs_are_exactly_those(tokenizer: CLIPTokenizer) -> None:
    prompt = "a blue car and a red car"
    red, blue = find_subjects(tokenizer, prompt, [("red", "car"), ("blue", "car")])
    assert red == Subject("car", (7,), (Attribute("red", (6,)),))
    assert blue == Subject("car", (3,), (Attribute("blue", (2,)),))
    (mixed,) = find_subjects(tokenizer, prompt, [(2, 7)])
    assert mixed == Subject("car", (7,), (Attribute("blue", (2,)),))
    assert find_subjects(tokenizer, prompt, [red]) == (red,)


def test_repeated_names_are_successive_places(tokenizer: CLIPTokenizer) -> None:
    first, second = find_subjects(tokenizer, "a cat and a cat", ["cat", "cat"])
    assert (first.token_indices, second.token_indices) == ((2,), (5,))
    with pytest.raises(SubjectNotFound, match="named 3 times.*has it 2 times"):
        find_subjects(tokenizer, "a cat and a cat", ["cat"] * 3)


@pytest.mark.parametrize(
    "word", ["zebra", "cat frog", ("zebra", "cat"), ("red", "zebra"), 0, 6, -1]
)
def test_absent_words_list_the_tokens(tokenizer: CLIPTokenizer, word: object) -> None:
    with pytest.raises(SubjectNotFound, match=r"1 a, 2 cat, 3 and"):
        find_subjects(tokenizer, "a cat and a frog", [word])  # type: ignore[list-item]


def test_words_beyond_the_limit_say_so(tokenizer: CLIPTokenizer) -> None:
    prompt = "a cat " + "and " * 80 + "a frog"
    with pytest.raises(SubjectNotFound, match="reads 77 tokens and cuts"):
        find_subjects(tokenizer, prompt, ["frog"])
    with pytest.raises(SubjectNotFound, match="reads 77 tokens and cuts"):
        find_subjects(tokenizer, "and " * 80 + "a frog")
    with pytest.warns(UserWarning, match="cuts off frog"):
        (cat,) = find_subjects(tokenizer, prompt)
    assert cat.text == "cat"


@pytest.mark.parametrize("prompt", ["", "  \n", None, ["a cat"]])
def test_empty_prompt(tokenizer: CLIPTokenizer, prompt: object) -> None:
    with pytest.raises(ValueError, match="prompt"):
        find_subjects(tokenizer, prompt)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", ["cat", [], [True], [()], [None]])
def test_words_that_name_nothing(tokenizer: CLIPTokenizer, words: object) -> None:
    with pytest.raises(ValueError, match="subject"):
        find_subjects(tokenizer, "a cat", words)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt", ["very quickly", "?!", "and, or"])
def test_prompt_without_a_noun(tokenizer: CLIPTokenizer, prompt: str) -> None:
    with pytest.raises(SubjectNotFound, match="No noun was found"):
        find_subjects(tokenizer, prompt)


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_every_prompt_is_read_and_every_span_lies_in_it(prompt: str) -> None:
    for found in noun_phrases(prompt):
        assert found.count >= 1
        for start, end in (found.noun, *found.attributes):
            assert 0 <= start < end <= len(prompt)


LEXICON = sorted(
    {
        word
        for file in (files("adhere") / "subjects" / "words").iterdir()
        for word in lexicon(file.name.removesuffix(".txt"))
    }
)


@pytest.mark.parametrize(
    "template", ["{0}", "{0} a dog", "a cat {0}, a dog", "a {0} cat, a {1} dog", "{0}, {1}, a dog"]
)
def test_every_word_of_the_lexicon_can_stand_anywhere(template: str) -> None:
    for i, word in enumerate(LEXICON):
        prompt = template.format(word, LEXICON[(7 * i + 1) % len(LEXICON)])
        for found in noun_phrases(prompt):
            assert 0 <= found.noun[0] < found.noun[1] <= len(prompt)


@given(st.lists(st.sampled_from([*LEXICON, ",", "and", "a", "two", "cat", "wug"]), max_size=9))
def test_words_of_the_lexicon_can_stand_together(words: list[str]) -> None:
    prompt = " ".join(words)
    assert all(prompt[slice(*found.noun)].strip() for found in noun_phrases(prompt))


@pytest.mark.parametrize(
    ("words", "times"),
    [([2, 6], 0), ([Subject("cat", (2,))], 0), ([(2, 6)], 0), (["a", "cat"], 1)],
)
def test_the_prompt_is_read_only_for_names_in_words(
    tokenizer: CLIPTokenizer, words: list, times: int
) -> None:
    read: list[str] = []
    prompt = "a cat asleep, a frog"

    def phrases() -> tuple[Phrase, ...]:
        read.append(prompt)
        return noun_phrases(prompt)

    assert name_subjects(tokenize(tokenizer, prompt), phrases, words)
    assert len(read) == times


@pytest.mark.parametrize(
    "part",
    [
        "cat ",
        "big, ",
        "big and ",
        "sleeping ",
        "(",
        '"a" ',
        "very ",
        "(a:1.2) ",
        "[a|b:1",
        "<a:b> ",
    ],
)
def test_long_prompts_take_time_in_proportion(part: str) -> None:
    seconds = []
    for number in (250, 2000):
        prompt = "a " + part * number + "dog"
        tries = []
        for again in range(3):  # The fastest: other work disturbs the rest.
            start = time.process_time()
            for ends in range(2000 // number):
                parse(prompt + " " * (10 * again + ends))  # No prompt is read twice.
            tries.append(time.process_time() - start)
        seconds.append(min(tries))
    # With the square of the length the second would take 8 times as long as the first.
    assert seconds[1] < 4 * seconds[0]


# A little under what `python benchmarks/subjects.py` measured.
FLOORS = {
    ("tune", "benchmark"): {"subjects": (0.99, 0.99), "attributes": (0.99, 0.99)},
    ("tune", "free"): {"subjects": (0.99, 0.99), "attributes": (0.99, 0.99)},
    ("held-out", "benchmark"): {"subjects": (0.98, 0.98), "attributes": (0.98, 0.98)},
    ("held-out", "free"): {"subjects": (0.95, 0.97), "attributes": (0.95, 0.93)},
    ("held-out", "outside"): {"subjects": (0.81, 0.90), "attributes": (0.80, 0.89)},
    ("tune", "written"): {"subjects": (0.97, 0.98), "attributes": (0.97, 0.97)},
    ("held-out", "written"): {"subjects": (0.95, 0.97), "attributes": (0.96, 0.95)},
}


@pytest.mark.parametrize(("split", "kind"), FLOORS)
def test_precision_and_recall_on_the_labelled_prompts(split: str, kind: str) -> None:
    source = importlib.util.spec_from_file_location("labels", ROOT / "benchmarks" / "subjects.py")
    assert source is not None and source.loader is not None
    labels = importlib.util.module_from_spec(source)
    source.loader.exec_module(labels)
    entries = [e for e in labels.read_prompts() if (e["split"], e["kind"]) == (split, kind)]
    measured = labels.score(entries)
    for fact, (precision, recall) in FLOORS[split, kind].items():
        right, got, want = measured[fact]
        assert right / got >= precision and right / want >= recall


def test_a_pipeline_with_the_second_tokenizer_alone_has_one():
    refiner = toys.refiner()
    assert refiner.tokenizer is None
    assert [s.text for s in find_subjects(refiner, "a cat and a frog")] == ["cat", "frog"]
