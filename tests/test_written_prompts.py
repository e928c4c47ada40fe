"""Prompts as people write them: with markup, in other scripts and languages."""

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from adhere.drawing.outline import load_outline
from adhere.errors import SubjectNotFound
from adhere.subjects import find_subjects, parse
from adhere.subjects.lexicon import english, lexicon
from adhere.subjects.markup import without_markup
from adhere.subjects.tokenizing import tokenize
from prompts import ROOT, labelled, learnt_tokenizer, read_back, spell


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return learnt_tokenizer()


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("a car and a (blue:0.8) bench", ["car", "bench<blue"]),
        ("((two)) dogs, a [[ red : 1.2 ]] fire (truck:1.1)", ["dogs*2", "fire truck<red"]),
        ("(a cat) (a dog)", ["cat", "dog"]),
        ("(cat:1.2)(dog:0.8)", ["cat", "dog"]),
        ("((cat)) ((dog))", ["cat", "dog"]),
        ("a (fire:1.2) (truck:1.1), a ((police)) (car)", ["fire truck", "police car"]),
        ("a (woman:1.2) (red dress:1.1)", ["woman", "dress<red"]),
        ("a (slice:1.2) (of:1.1) pizza", ["pizza"]),
        ("a (bright:1.2)-(yellow:1,3) taxi", ["taxi<bright yellow"]),
        ("a woman (red dress, black hat)", ["woman", "dress<red", "hat<black"]),
        ("saber \\(fate\\), sword", ["saber", "sword"]),
        ("a [cat:dog:0.5], a [big::0.3] hat", ["cat", "dog", "hat<big"]),
        ("a [red|blue] car, a {small|large} fox", ["car<red,blue", "fox<small,large"]),
        ("a white++ dove, a (black)1.4 crow", ["dove<white", "crow<black"]),
        ("embedding:bad_hands, a cat <lora:x:1>", ["cat"]),
        ("<lora:x:1><hypernet:y:0.5>, a cat <lyco:z:1> a dog", ["cat", "dog"]),
        ("a boy, red shirt BREAK a girl, hat", ["boy", "shirt<red", "girl", "hat"]),
        ("score_9, score_8_up, source_anime, a cat", ["cat"]),
        ("a cat :1.2 AND a dog :0.8", ["cat", "dog"]),
        ("a fox --ar 16:9 --v 6 --no dogs, cats", ["fox"]),
        ("a fox —ar 3:2", ["fox"]),
        ("a mat -- a cat --sitting on it", ["mat", "cat"]),
        ("/imagine prompt: https://x.y/z.png cat:: frog::2", ["cat", "frog"]),
        ("a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a", ["cat"]),
        ("a red\ncar\na taxi", ["car<red", "taxi"]),
        ("a cute \N{CAT FACE} kitten \N{DOG FACE} puppy", ["kitten<cute", "puppy"]),
        ("a red - car, a big... dog | a cat", ["car<red", "dog<big", "cat"]),
        ("a <b>red</b> car<br>a mug (white)", ["car<red", "mug<white"]),
        ("**a bear**, _honey_, #bees", ["bear", "honey", "bees"]),
        ('"a robot" by "An Artist"', ["robot"]),
        ('"two red boats", "No swimming"', ["boats<red*2"]),
        ("a black/white cat + a dog", ["cat<black,white", "dog"]),
        ("the knight fights with a dragon", ["knight", "dragon"]),
        ("the quick brown fox jumps over the lazy dog", ["fox<quick,brown", "dog<lazy"]),
        ("her horse runs through the ocean waves at sunset", ["horse", "ocean waves"]),
        ("Batman looks at the moon cake", ["Batman", "moon cake"]),
        ("ocean waves over rocks, radio towers", ["ocean waves", "rocks", "radio towers"]),
        ("power plants across the river", ["power plants"]),
        ("both sleeping cats are white", ["cats<sleeping,white"]),
        ("a man without a hat and a woman with a hat", ["man", "woman", "hat"]),
        ("a pizza without cheese and a glass of beer", ["pizza", "glass", "beer"]),
        ("a portrait of a woman by Greg Rutkowski", ["woman"]),
        ("an oil painting of a ship and a boat by Monet", ["ship", "boat"]),
        ("a painting of a ship by rocks", ["ship", "rocks"]),
        ("a cartoon of a mouse chased by cat", ["mouse", "cat"]),
        ("a room without a table and a chair", ["room"]),
        ("a house made of brass and a tree", ["house<brass", "tree"]),
        ("a two headed dragon, a dozen goldfish", ["dragon<headed", "goldfish*12"]),
        ("a 12 foot robot and these 3 cats", ["foot robot", "cats*3"]),
        ("three red, white and blue balloons", ["balloons<red,white,blue*3"]),
        ("a red, green, and blue ball, a fox", ["ball<red,green,blue", "fox"]),
        ("two dogs, red cars", ["dogs*2", "cars<red"]),
        ("a trash can and a robot that can fly", ["trash can", "robot"]),
        ("an extremely large dog, a curly brown cat", ["dog<large", "cat<curly,brown"]),
        ("a bird and a cat, both wearing hats", ["bird", "cat", "hats"]),
    ],
)  # fmt: skip
def test_subjects_are_found_through_markup(prompt: str, subjects: list[str]) -> None:
    assert read_back(prompt) == subjects


@pytest.mark.parametrize(
    "mark", ["({}:1.2)", "({})", "(({}))", "[{}]", "{{{}}}", "{}++", "({})1.3", "*{}*"]
)
def test_markup_around_a_word_changes_nothing(mark: str) -> None:
    for entry in labelled()[:40]:
        prompt = entry["prompt"]
        plain = read_back(prompt)
        for word in re.finditer(r"(?<![\w'-])[A-Za-z]+(?![\w'-])", prompt):
            marked = prompt[: word.start()] + mark.format(word[0]) + prompt[word.end() :]
            assert read_back(marked) == plain, marked


@pytest.mark.parametrize(
    "mark",
    ["(({}))", "({}:1.3)", '"{}"', "{} BREAK", "{} --ar 16:9", "<lora:x:1>, {}", "{} <lora:x:1>"],
)
def test_markup_around_a_prompt_changes_nothing(mark: str) -> None:
    for entry in labelled():
        prompt = entry["prompt"]
        assert read_back(mark.format(prompt)) == read_back(prompt)


@given(st.text() | st.lists(st.sampled_from("([{:|.5)]}<>\\a _+-/*\n\"'")).map("".join))
def test_markup_is_blanked_in_place(prompt: str) -> None:
    plain = without_markup(prompt)
    assert len(plain) == len(prompt)
    assert not set("()[]{}").intersection(plain)


def test_indices_are_those_of_the_prompt_with_its_markup(tokenizer: CLIPTokenizer) -> None:
    prompt = "<lora:x:1> a (red:1.3) fire (truck:1.1), black_cat"
    with pytest.warns(UserWarning, match="<lora:x:1>, which loads nothing here"):
        truck, cat = find_subjects(tokenizer, prompt)
    assert (truck.text, cat.text) == ("fire truck", "cat")
    assert spell(tokenizer, prompt, truck.token_indices).split() == ["fire", "truck"]
    assert spell(tokenizer, prompt, truck.attributes[0].token_indices) == "red"
    assert spell(tokenizer, prompt, cat.token_indices) == "cat"
    with pytest.warns(UserWarning, match="loads nothing"):
        named = find_subjects(tokenizer, prompt, ["red fire truck", "black cat"])
    assert named == (truck, cat)


@pytest.mark.filterwarnings("ignore:The prompt has <")
@pytest.mark.filterwarnings("ignore:The prompt has embedding")
def test_what_is_found_can_be_named(tokenizer: CLIPTokenizer) -> None:
    lines = (ROOT / "tests" / "data" / "written_prompts.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    tuned = [e for e in entries if e["split"] == "tune" and e.get("english", True)]
    assert len(tuned) > 70
    for entry in tuned:
        for subject in find_subjects(tokenizer, entry["prompt"]):
            named = find_subjects(tokenizer, entry["prompt"], [subject.text])
            assert named[0].text == subject.text


def test_a_word_of_textual_inversion_may_stand_beside_a_letter(tokenizer: CLIPTokenizer) -> None:
    (named,) = find_subjects(tokenizer, "a photo of<toy> on a mat", ["<toy>"])
    assert named.text == "<toy>"


def test_quotes_are_no_tokens_of_a_subject(tokenizer: CLIPTokenizer) -> None:
    prompt = 'a "red" car'
    (car,) = find_subjects(tokenizer, prompt)
    assert spell(tokenizer, prompt, car.token_indices) == car.text == "car"
    assert spell(tokenizer, prompt, car.attributes[0].token_indices) == "red"
    (mat,) = find_subjects(tokenizer, 'a "Welcome" mat')
    assert mat.text == "Welcome mat"


@pytest.mark.parametrize(
    ("prompt", "name", "number"),
    [
        ("赤い猫と青いカエル", "猫", 0),
        ("赤い猫と青いカエル", "カエル", 0),
        ("一只红色的猫和一只猫", "猫", 1),
        ("고양이와 개구리", "고양이", 0),
        ("แมวสีดำกับลูกบอล", "ลูกบอล", 0),
        ("قطة وكلب", "كلب", 0),
        ("красная кошка", "кошка", 0),
        ("un chat rouge", "chat", 0),
        ("\N{CAT FACE} and \N{DOG FACE}", "\N{DOG FACE}", 0),
    ],
)
def test_names_are_found_in_every_script(prompt: str, name: str, number: int) -> None:
    bundled = load_outline("mini").tokenizer
    *_, subject = find_subjects(bundled, prompt, [name] * (number + 1))
    assert subject.text == name and subject.attributes == ()
    assert spell(bundled, prompt, subject.token_indices).replace(" ", "") == name


def test_a_name_without_spaces_is_found_across_a_mark() -> None:
    bundled, prompt = load_outline("mini").tokenizer, "一只(红色的:1.2)猫"
    (cat,) = find_subjects(bundled, prompt, ["红色的猫"])
    assert cat.text == "红色的 猫"
    assert spell(bundled, prompt, cat.token_indices).replace(" ", "") == "红色的猫"


@pytest.mark.parametrize(
    "prompt",
    [
        "un chat rouge et une grenouille", "Eine Katze und ein Frosch", "UN GATO NEGRO",
        "dos gatos blancos en la nieve",
        "一只红色的猫", "猫とカエル, masterpiece, 4k", "고양이", "красная кошка", "قطة",
        "एक बिल्ली",
    ],
)  # fmt: skip
def test_another_language_is_refused_and_names_are_the_cure(
    tokenizer: CLIPTokenizer, prompt: str
) -> None:
    with pytest.raises(SubjectNotFound, match="not in English.*name them"):
        find_subjects(tokenizer, prompt)
    assert parse(prompt) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        "trees",
        "blues, los angeles",
        "a café in the Place de la Concorde",
        "Notre Dame at dusk",
        "a piñata",
        "猫 a cat and a dog",
    ],
)
def test_names_and_loan_words_are_english(tokenizer: CLIPTokenizer, prompt: str) -> None:
    assert find_subjects(tokenizer, prompt)


def test_no_word_is_both_english_and_foreign() -> None:
    assert not (lexicon("foreign") | lexicon("particles")) & english()


@given(st.text(min_size=1))
def test_lists_of_tokens_show_text(tokenizer: CLIPTokenizer, prompt: str) -> None:
    assume(prompt.strip() and "\N{REPLACEMENT CHARACTER}" not in prompt)
    found = tokenize(tokenizer, prompt)
    assert "\N{REPLACEMENT CHARACTER}" not in found.table() + "".join(found.kept)


def test_parts_of_a_character_are_listed_together(tokenizer: CLIPTokenizer) -> None:
    with pytest.raises(SubjectNotFound, match=r"1 a, 2-4 \u732b, 5 cat"):
        find_subjects(tokenizer, "a \u732b cat", ["zebra"])


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("a car whose color is blue", ["car<blue"]),
        ("the color of the car is red", ["car<red"]),
        ("a car of red color and a dog of brown color", ["car<red", "dog<brown"]),
        ('a "cat" and a "dog"', ["cat", "dog"]),
        ("positive prompt: a cat and a dog", ["cat", "dog"]),
        ("Subject: a cat. Background: a forest. Style: anime", ["cat"]),
        ("a cat (red hat:1.2)", ["cat", "hat<red"]),
        (
            "a girl (blonde hair:1.2) and a boy (green eyes:1.2)",
            ["girl", "hair<blonde", "boy", "eyes<green"],
        ),
        ("a knight (golden armor:1.3)", ["knight", "armor<golden"]),
        ("a robot [red eyes]", ["robot", "eyes<red"]),
        ("a dog[red collar]", ["dog", "collar<red"]),
        ("a man{blue hat}", ["man", "hat<blue"]),
        ("a (cute cat:1.2) and a dog", ["cat<cute", "dog"]),
        ("a cat (wearing a hat:1.2)", ["cat", "hat"]),
        ("a man and a woman walk on a beach", ["man", "woman"]),
        ("a fox and a bear ride a bike", ["fox", "bear", "bike"]),
        ("a lion and a tiger fight over a bone", ["lion", "tiger", "bone"]),
        ("a mother and her child look at a book", ["mother", "child", "book"]),
        ("Tom and Jerry fight", ["Tom", "Jerry"]),
        ("a cat and a dog sit on a bench", ["cat", "dog", "bench"]),
        ("a cat and a dog play chess", ["cat", "dog"]),
        ("a boy and a girl hold hands", ["boy", "girl", "hands"]),
        ("a frog and a duck swim in a pond", ["frog", "duck"]),
        ("a cat and a toy train", ["cat", "toy train"]),
        ("a fork and a fruit bowl", ["fork", "fruit bowl"]),
        ("a spoon and a tea kettle", ["spoon", "tea kettle"]),
        ("a man in red riding a horse", ["man<red", "horse"]),
        ("a woman in white sitting on a bench", ["woman<white", "bench"]),
        ("two men in black holding guns", ["men<black*2", "guns"]),
        ("a dog that is black sitting on a chair", ["dog<black", "chair"]),
        ("a chair painted red sitting next to a table", ["chair<red", "table"]),
        ("a dog that is black sits on a chair", ["dog<black", "chair"]),
        ("a man in red shoes", ["man", "shoes<red"]),
        ("1girl, solo, sword, shield, horse", ["1girl", "sword", "shield", "horse"]),
        ("1girl, highres, sword, shield, dragon", ["1girl", "sword", "shield", "dragon"]),
        ("a cat, masterpiece, dog, bird", ["cat", "dog", "bird"]),
        ("a dog which chases a cat", ["dog", "cat"]),
        ("a cat which wears a red hat", ["cat", "hat<red"]),
        ("a ball which is red on a table which is blue", ["ball<red", "table<blue"]),
        ("a cat sleeps while dogs play in the yard", ["cat", "dogs"]),
        ("a park where dogs play", ["dogs"]),
        ("a girl whose shoes are red", ["girl", "shoes<red"]),
        ("a house whose windows are blue", ["house", "windows<blue"]),
        ("if cats could fly", ["cats"]),
        ("a man whose red hat is big", ["man", "hat<red,big"]),
        ("a blender and a toaster", ["blender", "toaster"]),
        ("a red blender next to a kettle", ["blender<red", "kettle"]),
        ("a school bus and a fire engine", ["school bus", "fire engine"]),
        ("a car engine next to a toolbox", ["car engine", "toolbox"]),
        ("a painter holding a palette", ["painter", "palette"]),
        ("a brush and a palette", ["brush", "palette"]),
        ("a pencil in a cup", ["pencil", "cup"]),
        ("a pencil with an eraser", ["pencil", "eraser"]),
        ("a canvas with paint and a brush", ["canvas", "paint", "brush"]),
        ("a match and a candle", ["match", "candle"]),
        ("a board game and a cup", ["board game", "cup"]),
        ("a golf club and a ball", ["golf club", "ball"]),
        ("a gold bar on a desk", ["gold bar", "desk"]),
        ("a chocolate bar and a candy bar", ["chocolate bar", "candy bar"]),
        ("a green light and a red car", ["light<green", "car<red"]),
        ("Christmas lights on a tree", ["Christmas lights", "tree"]),
        ("string lights and a tent", ["string lights", "tent"]),
        ("a red circle on a blue square", ["circle<red", "square<blue"]),
        ("a cat in a golden light", ["cat"]),
        ("a crowd on a square", ["crowd"]),
        ("a cat in a bar", ["cat"]),
        ("a tea set and a cat", ["tea set", "cat"]),
        ("a stop light", ["stop light"]),
        ("a tv remote and a cat", ["tv remote", "cat"]),
        ("thirty five balloons", ["balloons*35"]),
        ("twenty-one balloons", ["balloons*21"]),
        ("two hundred birds", ["birds*200"]),
        ("half a dozen eggs", ["eggs*6"]),
        ("a half dozen eggs", ["eggs*6"]),
        ("two dozen eggs", ["eggs*24"]),
        ("zero cats and a dog", ["dog"]),
        ("0 cats and a dog", ["dog"]),
        ("sixty balloons", ["balloons*60"]),
        ("2x cats", ["cats*2"]),
        ("3x red cubes", ["cubes<red*3"]),
        ("a couple of glasses", ["glasses*2"]),
        ("a 3rd dog", ["dog"]),
        ("the 1st cat is red and the 2nd cat is blue", ["cat<red", "cat<blue"]),
        ("a ten year old boy", ["boy"]),
        ("a cat, 4x, 8k", ["cat"]),
        ("The image depicts a cat sitting on a red sofa.", ["cat", "sofa<red"]),
        ("The image features a dog and a cat.", ["dog", "cat"]),
        ("In this picture, a man is holding a phone.", ["man", "phone"]),
        ("This image shows two cats, one of which is black.", ["cats<black*2"]),
        ("a dog on the left of the image and a cat on the right of the image", ["dog", "cat"]),
        ("a cat in the center of the image", ["cat"]),
        ("a dog in the middle of the frame", ["dog"]),
        ("girl holds umbrella", ["girl", "umbrella"]),
        ("cat wears hat", ["cat", "hat"]),
        ("robot holds red flower", ["robot", "flower<red"]),
        ("two dogs, one black and one white", ["dogs*2"]),
        ("a pair of birds, one red, the other blue", ["birds*2"]),
        ('"a cat" and "a dog"', ["cat", "dog"]),
        ("Dr. Strange and Mrs. Potato Head", ["Dr. Strange", "Mrs. Potato Head"]),
        ("a St. Bernard dog", ["St. Bernard dog"]),
        ("Mr. Bean with a teddy bear", ["Mr. Bean", "teddy bear"]),
        ("a U.S. flag", ["U.S. flag"]),
        ("a cat, a dog, etc.", ["cat", "dog"]),
        ("animals, e.g. a cat", ["animals", "cat"]),
        ("Snow White and an apple", ["Snow White", "apple"]),
        ("a mouse eaten by a cat", ["mouse", "cat"]),
        ("a cart drawn by a horse", ["cart", "horse"]),
        ("a well in a garden", ["well"]),
        ("a red and a blue car", ["car<red,blue*2"]),
        ("a red, a green and a dark blue ball, a fox", ["ball<red,green,dark blue*3", "fox"]),
        ("one big and two small dogs", ["dogs<big,small*3"]),
        (
            "a baby and a small dog, a square and a red hat",
            ["baby", "dog<small", "square", "hat<red"],
        ),
        ("a red apple and a green one", ["apple<red,green*2"]),
        ("a horse, but not a brown one", ["horse"]),
        ("1 cat 2 dogs 3 birds", ["cat", "dogs*2", "birds*3"]),
        ("two women one holding a mug and the other a pen", ["women*2", "mug", "pen"]),
        ("a family of four posing at a car", ["family", "car"]),
        ("a black colored car", ["car<black"]),
        ("an art deco style lamp and a pixel style cat", ["lamp", "cat"]),
        ("a heart shaped box on a moss covered rock", ["box<heart,shaped", "rock<moss,covered"]),
        ("a cat covered in mud", ["cat"]),
        ("top left: a cat, bottom right: a dog", ["cat", "dog"]),
        ("top: a cat, bottom: a dog", ["cat", "dog"]),
        ("two cats side by side, a dog mid jump", ["cats*2", "dog"]),
        ("three birds in a row", ["birds*3"]),
        ("a dog is bigger than a cat", ["dog<bigger", "cat"]),
        ("two of the three cats, a dog", ["cats*3", "dog"]),
        ("dozens of bees, a duo of foxes", ["bees", "foxes*2"]),
        ("a kayak is tied to a rope", ["kayak", "rope"]),
        ("a close-up shot of a bee", ["bee"]),
        ("a girl, wearing a red coat, jumps in a puddle", ["girl", "coat<red"]),
        ("a dog holding cards in Chicago", ["dog", "cards"]),
        ("a cat, masterpiece, best quality, artgerm, wlop", ["cat"]),
        (
            "a first aid kit, a light switch, a lemon tart",
            ["first aid kit", "light switch", "lemon tart"],
        ),
        ("a cat, ready to jump, a man in his thirties", ["cat", "man"]),
        ("two cats (black and white)", ["cats<black,white*2"]),
        ("a house (old, red) and a car (shiny:1.2)", ["house<old,red", "car<shiny"]),
        ("a bird's-eye view of a farm with two cows", ["cows*2"]),
        ('"a cat", "a dog"', ["cat", "dog"]),
        ("a fox, 8 k", ["fox"]),
        ("a tree with red, orange and yellow leaves", ["tree", "leaves<red,orange,yellow"]),
        ("a woman in red, black shoes", ["woman<red", "shoes<black"]),
        ("a cat half hidden behind a box", ["cat", "box"]),
        ("an image without people, only a dog", ["dog"]),
        ("give me a picture with a lion", ["lion"]),
        ("a fox saying hello, an army of robots", ["fox", "robots"]),
        ("a male nurse, a wedding couple, a top down view", ["nurse<male", "wedding couple"]),
        ("a (red:1.2) and (a blue:1.1) car", ["car<red,blue*2"]),
        ("a cat hyper realistic, a dog", ["cat", "dog"]),
        ("a cat photo realistic, a fox wide awake", ["cat", "fox"]),
        ("black cat white dog", ["cat<black", "dog<white"]),
        ("a drab grey wall, a mild brown cow", ["cow<mild,brown"]),
        ("the tallest man and the smallest dog", ["man<tallest", "dog<smallest"]),
        ("a door left open, a rose in full bloom", ["door<open", "rose"]),
    ],
)
def test_what_people_type(prompt, subjects):
    assert read_back(prompt) == subjects
