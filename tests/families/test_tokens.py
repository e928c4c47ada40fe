"""The columns that `adhere.tokens` gives are where the embeddings say that the words are."""

import pytest
import torch

import adhere
from adhere.cli.tokens import tokens
from adhere.families import family_of, place
from adhere.subjects import Subject
from adhere.subjects.tokenizing import tokenizer_of

from . import FAMILIES, TRANSFORMERS
from .probe import first_call, first_ids

PROMPT = "a cat and a frog"


def poked(position):
    """States of a text encoder with one token's changed."""

    def change(states):
        states = states.clone()
        states[:, position] += torch.linspace(-1, 2, states.shape[-1])
        return states

    return change


def changed(one, other):
    """The columns of a text that differ, of the conditional sample."""
    one, other = (each[0] if isinstance(each, list) else each[-1] for each in (one, other))
    return (one - other).abs().flatten(1).amax(1).nonzero().flatten().tolist()


def check(toy, pipe, prompt=PROMPT, words=("cat", "frog")):
    """Each word's token, moved in the text encoder, moves the columns that are told."""
    listed = adhere.tokens(pipe, prompt)
    family = family_of(pipe)
    call, _ = first_call(pipe, toy.call(prompt))
    for encoder in family.encoders():
        name, tokenizer = encoder.name.replace("tokenizer", "text_encoder"), encoder.tokenizer
        ids = first_ids(pipe, toy.call(prompt), name)[0].tolist()
        for word in words:
            # Templates may have the words too, before the prompt.
            position = max(
                at for at, number in enumerate(ids) if tokenizer.decode([number]).strip() == word
            )
            (token,) = [token for token in listed if token.text == word]
            other, _ = first_call(pipe, toy.call(prompt), states=(name, poked(position)))
            text = call[family.text]
            width = text[0].shape[0] if isinstance(text, list) else text.shape[1]
            told = [column % width for column in token.columns[encoder.name]]
            assert changed(text, other[family.text]) == told
            assert not token.is_cut


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_word_is_at_its_columns(kind):
    toy = FAMILIES[kind]
    check(toy, toy.build())


@pytest.mark.parametrize("word", ["cat", "text"])
@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_prompt_that_its_template_has_too_is_found_behind_it(kind, word):
    toy = FAMILIES[kind]
    check(toy, toy.build(), word, [word])


@pytest.mark.parametrize(
    ("kind", "start"),
    [("sana", "\u0130, "), ("pixart-sigma", "  \u0130, "), ("qwen-image", "e\u0301, ")],
)
def test_letters_that_change_their_length_move_no_word(kind, start):
    toy = FAMILIES[kind]
    check(toy, toy.build(), start + PROMPT)


@pytest.mark.parametrize("kind", ["flux2-klein", "flux2-dev", "cogview4"])
def test_padding_on_the_other_side(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    tokenizer = family_of(pipe).encoders()[0].tokenizer
    tokenizer.padding_side = "left" if tokenizer.padding_side == "right" else "right"
    check(toy, pipe)


@pytest.mark.parametrize("kind", FAMILIES)
def test_subjects_of_a_pipeline_have_the_tokens_that_nursing_reads(kind):
    pipe = FAMILIES[kind].build()
    assert tokenizer_of(pipe) is family_of(pipe).encoders()[0].tokenizer
    listed = adhere.tokens(pipe, PROMPT)
    for subject in adhere.find_subjects(pipe, PROMPT):
        assert listed[subject.token_indices[0]].text == subject.text


def test_words_of_another_text_are_found_as_whole_words():
    encoders = family_of(FAMILIES["sd3"].build()).encoders()
    t5, subject = encoders[1], Subject("cat", (2,))

    def columns(other):
        placed = place(encoders, {"prompt": "a cat", "prompt_3": other}, [subject], t5.first + 40)
        return placed.placed[0].token_indices

    other = "a scattered category, a cat"
    pieces = [t5.tokenizer.decode([one]).strip() for one in t5.tokenizer(other)["input_ids"]]
    last = max(place for place, piece in enumerate(pieces) if piece == "cat")
    assert columns(other) == (2, t5.first + last)
    assert columns("a scattered category") == (2,)


def test_words_that_are_cut_off_are_named():
    toy = FAMILIES["sd3"]
    pipe = toy.build()
    prompt = "a cat and " * 40 + "a frog " + "and a cat " * 60 + "and a bowl"
    listed = adhere.tokens(pipe, prompt)
    frog, bowl = (next(t for t in listed if t.text == word) for word in ("frog", "bowl"))
    assert frog.columns["tokenizer"] == ()
    assert len(frog.columns["tokenizer_3"]) == 1 and not frog.is_cut
    assert bowl.is_cut and listed[bowl.index] is bowl


@pytest.mark.parametrize("kind", ["sd3", "flux", "qwen-image"])
def test_the_command_line_lists_columns_of_every_encoder(kind, tmp_path, capsys):
    pipe = FAMILIES[kind].build()
    pipe.save_pretrained(tmp_path)
    capsys.readouterr()
    prompt = "a cat and a 猫"
    tokens(prompt, model=str(tmp_path), subjects=["cat"])
    header, *rows = capsys.readouterr().out.splitlines()
    listed = adhere.tokens(pipe, prompt)
    assert header.split() == ["token", *listed[0].columns]
    assert len(rows) == len(listed) and all("\ufffd" not in row for row in rows)
    (cat,) = [token for token in listed if token.text == "cat"]
    numbers = [str(column) for columns in cat.columns.values() for column in columns]
    assert rows[cat.index].split() == [str(cat.index), "cat", *numbers, "subject", "cat"]
