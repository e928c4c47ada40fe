"""What a prompt says of two of its subjects."""

import pytest
from transformers import CLIPTokenizer

from adhere.subjects import Relation, find_relations, find_subjects
from prompts import learnt_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return learnt_tokenizer()


def related(tokenizer: CLIPTokenizer, prompt: str) -> list[str]:
    """The relations of a prompt as text: "cat with hat"."""
    subjects = find_subjects(tokenizer, prompt)
    found = find_relations(tokenizer, prompt, subjects)
    return [f"{subjects[r.subject].text} {r.kind} {subjects[r.other].text}" for r in found]


@pytest.mark.parametrize(
    ("prompt", "relations"),
    [
        ("a cat", []),
        ("a lion with a crown", ["lion with crown"]),
        ("a cat wearing a hat and a dog", ["cat wearing hat", "hat and dog"]),
        ("a bird sitting on a bench", ["bird on bench"]),
        ("a mouse eaten by a cat", ["cat does mouse"]),
        ("in the foreground a dog, in the background a cat", ["dog beside cat"]),
        ("a man in red riding a horse", ["man riding horse"]),
        ("a fox and a bear ride a bike", ["fox and bear", "bear riding bike"]),
        ("a (red:1.2) bird on top of a [bench:chair:0.5]", ["bird on bench", "bench and chair"]),
        ("a dog in a car next to a cat", ["dog in car", "car beside cat"]),
        ("a dog in a coat holding a bone", ["dog wearing coat", "dog holding bone"]),
        ("a red backpack and a blue chair", ["backpack and chair"]),
        ("a cat, a dog. a frog", ["cat and dog", "dog and frog"]),
        ("a fox rides a horse, holding a cup", ["fox riding horse", "fox holding cup"]),
        ("a sword held by a knight", ["knight holding sword"]),
        ("a cat on the left side of a dog", ["cat beside dog"]),
        ("a cat at the top of a tree near a lamp", ["cat on tree", "tree beside lamp"]),
        ("a dog chasing a cat", ["dog does cat"]),
        ("a bowl of soup with a spoon", ["bowl of soup", "soup with spoon"]),
        ("a cat in the park with a ball", ["cat with ball"]),
        ("a woman wearing a hat and carrying a bag", ["woman wearing hat", "woman holding bag"]),
        ("a mouse behind a cheese", ["mouse behind cheese"]),
        ("a cat wearing a hat and a scarf", ["cat wearing hat", "cat wearing scarf"]),
        ("a fox with sword and shield", ["fox with sword", "fox with shield"]),
        ("a fox in a red coat with a lantern", ["fox wearing coat", "fox with lantern"]),
        ("a horse's long tail", ["horse with tail"]),
        ("a lion whose mane is red", ["lion with mane"]),
        ("a squirrel eating a nut", ["squirrel touching nut"]),
        ("a monkey hanging from a tree", ["monkey on tree"]),
        ("a castle surrounded by a moat", ["moat around castle"]),
        ("a man and a woman holding a fish", ["man and woman", "woman holding fish"]),
        ("a woman wearing a black and white dress", ["woman wearing dress"]),
        ("a man in a long, red and warm coat", ["man wearing coat"]),
        ("a cat on a red, green, and blue chair", ["cat on chair"]),
        ("a cat in a hat and white shoes", ["cat wearing hat", "cat wearing shoes"]),
        ("a bird and a cat, both wearing hats", ["bird and cat", "cat wearing hats"]),
        ("a man with a group of dogs", ["man with dogs"]),
        ("a cat and a pair of dogs", ["cat and dogs"]),
        ("a fox sitting on a stack of books", ["fox on books"]),
        ("a jug on the bottom shelf", ["jug on bottom shelf"]),
        ("a fox in a red hat, green gloves", ["fox wearing hat", "fox wearing gloves"]),
        ("a dog on a bed. In the park a cat", ["dog on bed", "bed and cat"]),
        ("a cat. It is wearing a hat", ["cat wearing hat"]),
        ("a cup as big as a house", ["cup as house"]),
        ("a fox in a tie and a party hat", ["fox wearing tie", "fox wearing party hat"]),
        ("women's shoes and men's hats", ["women with shoes", "shoes and men", "men with hats"]),
        ("a cat on a chair, and there's a dog", ["cat on chair", "chair and dog"]),
        ("a bear dressed as a cook", ["bear of cook"]),
        ("a fox peeking out of a box", ["fox touching box"]),
    ],
)  # fmt: skip
def test_relations_of_a_prompt(
    tokenizer: CLIPTokenizer, prompt: str, relations: list[str]
) -> None:
    assert related(tokenizer, prompt) == relations


def test_relations_point_into_the_subjects_as_given(tokenizer: CLIPTokenizer) -> None:
    prompt = "a cat with a hat on a chair"
    cat, hat, chair = find_subjects(tokenizer, prompt)
    relations = find_relations(tokenizer, prompt, [chair, cat, hat])
    assert relations == (Relation("with", 1, 2), Relation("on", 2, 0))
    assert find_relations(tokenizer, prompt, [hat, cat]) == (Relation("with", 1, 0),)
    assert find_relations(tokenizer, prompt, [chair, cat]) == (Relation("on", 1, 0),)
    named = find_subjects(tokenizer, prompt, [2, 8])
    assert find_relations(tokenizer, prompt, named) == (Relation("on", 0, 1),)


def test_what_is_joined() -> None:
    assert all(Relation(k, 0, 1).is_joined for k in ("with", "wearing", "holding", "on", "in"))
    assert not any(Relation(k, 0, 1).is_joined for k in ("and", "beside", "behind", "does"))


def test_another_language_and_no_subjects_have_no_relations(tokenizer: CLIPTokenizer) -> None:
    named = find_subjects(tokenizer, "un chat et une grenouille", ["chat", "grenouille"])
    assert find_relations(tokenizer, "un chat et une grenouille", named) == ()
    assert find_relations(tokenizer, "a cat", []) == ()
