"""The table of facts agrees with what happens in a run of each toy."""

import math
import re
from operator import attrgetter

import pytest
import torch

from . import FAMILIES
from .layout import starts, text_length
from .layouts import LAYOUTS
from .probe import first_call, first_ids, joined, moved, poked_sample, poked_text, within

PROMPT = "a cat and a frog"
# Parts that also reach their other places by linear attention, or by their mean.
SPREAD = {"SanaTransformer2DModel", "HunyuanImageTransformer2DModel"}


@pytest.fixture(params=LAYOUTS, scope="module")
def case(request):
    """A toy, its layout, its pipeline."""
    toy = FAMILIES[request.param]
    return toy, LAYOUTS[request.param], toy.build()


@pytest.fixture(scope="module")
def wide(case):
    """The first call of a run that is not square, and the attention in it."""
    toy, _, pipe = case
    return first_call(pipe, toy.call(PROMPT, wide=True))


def tensors(call):
    """The arguments that are tensors, or lists of such."""
    found = {}
    for name, value in call.items():
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            found[name] = value
    return found


def fit(shape, value, sizes):
    """Assert that a value has a shape, with letters standing for one size each."""
    if shape.startswith("list "):
        for each in value:
            fit(shape.removeprefix("list "), each, dict(sizes))
        return
    letters = shape.split()
    assert len(letters) == value.ndim, (shape, tuple(value.shape))
    for letter, size in zip(letters, value.shape, strict=True):
        expected = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
        assert expected == size, (shape, tuple(value.shape), sizes)


def dropped(stream, pipe):
    return stream.drop(pipe) if callable(stream.drop) else stream.drop


@pytest.mark.parametrize("guided", [False, True])
def test_the_denoiser_gets_these_arguments(case, guided):
    toy, layout, pipe = case
    call, _ = first_call(pipe, toy.call(PROMPT, guided=guided, wide=True))
    assert type(pipe.transformer).__name__ == layout.denoiser
    found = tensors(call)
    sizes = {}
    for name, shape in layout.shapes.items():
        fit(shape, found.pop(name), sizes)
    assert not {name for name in found if "controlnet" not in str(name)}


def test_the_modules_are_those_with_joint_attention(case, wide):
    toy, layout, pipe = case
    call, seen = wide
    columns = text_length(call, layout)
    rows = math.prod(layout.grid(pipe.transformer, call))
    other = mixing(layout, seen)
    whole = within(seen, layout.modules)[0].key.shape[2]
    for each in seen:
        if each.module in other:
            assert (
                each.key.shape[2] == rows if layout.order == "cross" else each.key.shape[2] < whole
            )
    matched = [
        name for name, _ in pipe.transformer.named_modules() if re.fullmatch(layout.modules, name)
    ]
    assert len(within(seen, layout.modules)) == len(matched)
    for each in within(seen, layout.modules):
        queries, keys = each.query.shape[2], each.key.shape[2]
        assert (queries, keys) == (rows, columns) or layout.order != "cross" and queries == keys


def test_a_cell_of_the_image_is_its_row(case, wide):
    toy, layout, pipe = case
    call, seen = wide
    mute = mixing(layout, seen)
    _, plain = first_call(pipe, toy.call(PROMPT, wide=True), mute=mute)
    grid = layout.grid(pipe.transformer, call)
    assert grid[1] * toy.wide[0] == grid[0] * toy.wide[1]
    rows, columns = math.prod(grid), text_length(call, layout)
    image, _ = starts(layout, rows, columns)
    for cell in ((0, 0), (1, 3), (grid[0] - 1, grid[1] - 1)):

        def change(model, call, cell=cell):
            return call | {layout.sample: poked_sample(call[layout.sample], grid, cell)}

        _, other = first_call(pipe, toy.call(PROMPT, wide=True), change, mute=mute)
        one, two = (within(each, layout.modules)[0].query for each in (plain, other))
        assert places(layout, one, two) == [image + cell[0] * grid[1] + cell[1]]


def places(layout, one, two, count=1):
    """What has moved: all of it, or the most moved where the denoiser spreads a change."""
    found = moved(one, two)
    return found[:count] if layout.denoiser in SPREAD else found


def mixing(layout, seen):
    """The modules with attention of one part with itself."""
    joint = {each.module for each in within(seen, layout.modules)}
    return {each.module for each in seen} - joint


def test_a_column_of_the_text_is_its_key(case, wide):
    toy, layout, pipe = case
    call, seen = wide
    grid = layout.grid(pipe.transformer, call)
    rows, columns = math.prod(grid), text_length(call, layout)
    if layout.references:
        rows = call[layout.sample].shape[1]
    _, text = starts(layout, rows, columns)
    mute = mixing(layout, seen)
    _, plain = first_call(pipe, toy.call(PROMPT, wide=True), mute=mute)
    for column in (0, 3, columns - 1):

        def change(model, call, column=column):
            return call | {layout.text: poked_text(call[layout.text], column)}

        _, other = first_call(pipe, toy.call(PROMPT, wide=True), change, mute=mute)
        one, two = (within(each, layout.modules)[0].key for each in (plain, other))
        assert places(layout, one, two) == [text + column]


def test_places_are_those_of_each_sample(case):
    toy, layout, pipe = case
    if not toy.lists:
        pytest.skip("the pipeline takes one prompt")
    prompts = ["a red car and a blue bowl and a dog", "a frog"]
    # Z-Image writes into the list.
    call, seen = first_call(pipe, toy.call([*prompts], seeds=(0, 1)))
    mute = mixing(layout, seen)
    _, plain = first_call(pipe, toy.call([*prompts], seeds=(0, 1)), mute=mute)
    grid = layout.grid(pipe.transformer, call)
    rows = call[layout.sample].shape[1] if layout.references else math.prod(grid)
    for sample in (0, 1):
        image, text = starts(layout, rows, text_length(call, layout, sample))

        def change(model, call):
            return call | {
                layout.sample: poked_sample(call[layout.sample], grid, (1, 3)),
                layout.text: poked_text(call[layout.text], 1),
            }

        _, other = first_call(pipe, toy.call([*prompts], seeds=(0, 1)), change, mute=mute)
        one, two = (within(each, layout.modules)[0] for each in (plain, other))
        at, cell = slice(sample, sample + 1), image + grid[1] + 3
        keys = {text + 1} if layout.order == "cross" else {text + 1, cell}
        assert set(places(layout, one.key[at], two.key[at], len(keys))) == keys
        assert cell in moved(one.query[at], two.query[at])


@pytest.mark.parametrize("word", ["cat", "frog"])
def test_a_word_is_its_column(case, word):
    toy, layout, pipe = case
    call, _ = first_call(pipe, toy.call(PROMPT))
    for stream in layout.streams:
        tokenizer = attrgetter(stream.tokenizer)(pipe)
        text = stream.template(pipe, PROMPT)
        place = text.rindex(word)
        offsets = tokenizer(text, return_offsets_mapping=True).offset_mapping
        (token,) = [
            number for number, (begin, end) in enumerate(offsets) if begin <= place + 1 < end
        ]
        column = token - dropped(stream, pipe) + stream.start
        if stream.end:
            column = text_length(call, layout) - len(offsets) + token

        position = column + dropped(stream, pipe) - stream.start

        def change(states, position=position):
            states = states.clone()
            states[:, position] += torch.linspace(-1, 2, states.shape[-1])
            return states

        other, _ = first_call(pipe, toy.call(PROMPT), states=(stream.encoder, change))
        one, two = (
            each[layout.text][0] if isinstance(each[layout.text], list) else each[layout.text][-1]
            for each in (call, other)
        )
        changed = (one - two).abs().flatten(1).amax(1).nonzero().flatten().tolist()
        assert changed == [column]
        ids = first_ids(pipe, toy.call(PROMPT), stream.encoder)
        shown = tokenizer.decode(ids[0, position])
        assert shown.strip() == word


def test_branches_come_in_this_order(case):
    toy, layout, pipe = case
    alone, _ = first_call(pipe, toy.call(PROMPT))
    calls, steps = [], []
    hook = pipe.transformer.register_forward_pre_hook(
        lambda model, positional, named: calls.append(joined(positional, named)), with_kwargs=True
    )
    own = pipe.scheduler.step

    def step(*positional, **named):
        steps.append(positional[2])
        return own(*positional, **named)

    pipe.scheduler.step = step
    try:
        toy.run(pipe, PROMPT, guided=True)
    finally:
        hook.remove()
        del pipe.scheduler.step
    texts = []
    for call in calls[: len(calls) // len(steps)]:
        value = call[layout.text]
        texts += value if isinstance(value, list) else list(value)
    expected = alone[layout.text][0]
    order = ["positive" if _same(text, expected) else "negative" for text in texts]
    branches = (
        layout.guidance.partition(": ")[2].split(", ") if ": " in layout.guidance else ["positive"]
    )
    assert order == branches
    assert layout.guidance.startswith(toy.guidance)
    assert len(calls) == len(steps) * (len(branches) if "two" in layout.guidance else 1)
    sizes = {}
    fit(layout.shapes[layout.sample].removeprefix("list "), _one(calls[0][layout.sample]), sizes)
    sizes["B"] = 1
    fit(layout.step, steps[0], sizes)


def _one(value):
    return value[0] if isinstance(value, list) else value


def _same(one, other):
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
