"""Where a family has image and words in a call is where they are in a run of each toy."""

import math

import pytest

from adhere.attention.call import AttentionCall
from adhere.families import family_of, same

from . import FAMILIES, TRANSFORMERS
from .probe import first_call, moved, poked_sample, poked_text, within

PROMPT = "a cat and a frog"
# Parts that also reach their other places by linear attention, or by their mean.
SPREAD = {"SanaTransformer2DModel", "HunyuanImageTransformer2DModel"}


@pytest.fixture(params=TRANSFORMERS, scope="module")
def case(request):
    """A toy, its pipeline, its family."""
    toy = FAMILIES[request.param]
    pipe = toy.build()
    return toy, pipe, family_of(pipe)


@pytest.fixture(scope="module")
def wide(case):
    """The first call of a run that is not square, as its family opens it, and what attention got.

    Attention of one part with itself is muted, which would carry a change to other places.
    """
    toy, pipe, family = case
    call, seen = first_call(pipe, toy.call(PROMPT, wide=True))
    mute = {each.module for each in seen} - {each.module for each in within(seen, family)}
    _, plain = first_call(pipe, toy.call(PROMPT, wide=True), mute=mute)
    return family.open(call.args, call.keywords, None, 1), seen, mute, plain


def region_of(family, opened, seen):
    """The conditional samples' image queries and text keys in the layers' calls."""
    first = within(seen, family)[0]
    return family.region(opened, AttentionCall(first.query, first.key, first.key))


def poked_latents(family, opened, cell):
    """Changes one cell of the grid."""

    def change(call):
        poked = poked_sample(family.samples_of(call), opened.size, cell)
        return family.with_samples(call, poked)

    return change


def places(family, one, two, count=1):
    """What has moved: all of it, or the most moved where the denoiser spreads a change."""
    found = moved(one, two)
    return found[:count] if type(family.denoiser).__name__ in SPREAD else found


def test_the_layers_are_those_in_which_the_image_attends_to_text(case, wide):
    _, _, family = case
    opened, seen, others, _ = wide
    rows, text = math.prod(opened.size), region_of(family, opened, seen).keys[0]
    joint = within(seen, family)
    assert len(joint) == len(family.layers())
    whole = joint[0].key.shape[2]
    for each in seen:
        queries, keys = each.query.shape[2], each.key.shape[2]
        if each.module in others:
            assert keys < whole if family.is_joint else keys == rows
        elif family.is_joint:
            assert queries == keys
        else:
            assert (queries, keys) == (rows, text.stop - text.start)


def test_a_cell_of_the_image_is_its_query(case, wide):
    toy, pipe, family = case
    opened, seen, mute, plain = wide
    height, width = opened.size
    assert width * toy.wide[0] == height * toy.wide[1]
    queries = region_of(family, opened, seen).queries[0]
    assert queries.stop - queries.start == height * width
    for row, column in ((0, 0), (1, 3), (height - 1, width - 1)):
        change = poked_latents(family, opened, (row, column))
        _, other = first_call(pipe, toy.call(PROMPT, wide=True), change, mute=mute)
        one, two = (within(each, family)[0].query for each in (plain, other))
        assert places(family, one, two) == [queries.start + row * width + column]


def test_a_column_of_the_text_is_its_key(case, wide):
    toy, pipe, family = case
    opened, seen, mute, plain = wide
    keys = region_of(family, opened, seen).keys[0]
    for column in (0, 3, keys.stop - keys.start - 1):

        def change(call, column=column):
            return call.replace(family.text, poked_text(call[family.text], column))

        _, other = first_call(pipe, toy.call(PROMPT, wide=True), change, mute=mute)
        one, two = (within(each, family)[0].key for each in (plain, other))
        assert places(family, one, two) == [keys.start + column]


def test_quoted_text_has_keys_before_the_prompts():
    toy = FAMILIES["hunyuan-image"]
    pipe = toy.build()
    family, prompt = family_of(pipe), 'a cat "hi"'
    call, plain = first_call(pipe, toy.call(prompt))
    keys = region_of(family, family.open(call.args, call.keywords, None, 1), plain).keys[0]

    def change(call):
        return call.replace(family.text, poked_text(call[family.text], 1))

    _, other = first_call(pipe, toy.call(prompt), change)
    one, two = (within(each, family)[0].key for each in (plain, other))
    assert keys.start > 64 + 2 and places(family, one, two) == [keys.start + 1]


def test_places_are_those_of_each_sample(case, wide):
    toy, pipe, family = case
    if not toy.lists:
        pytest.skip("the pipeline takes one prompt")
    prompts = ["a red car and a blue bowl and a dog", "a frog"]

    def run(change=None, mute=()):
        # Z-Image writes into the list.
        return first_call(pipe, toy.call([*prompts], seeds=(0, 1)), change, mute=mute)

    call, seen = run()
    opened = family.open(call.args, call.keywords, None, 2)
    assert opened.samples == 2
    region, mute = region_of(family, opened, seen), wide[2]
    _, plain = run(mute=mute)

    def change(call):
        poked = poked_latents(family, opened, (1, 3))(call)
        return poked.replace(family.text, poked_text(poked[family.text], 1))

    _, other = run(change, mute)
    one, two = (within(each, family)[0] for each in (plain, other))
    for sample in (0, 1):
        at = slice(sample, sample + 1)
        cell = region.queries[sample].start + opened.size[1] + 3
        keys = {region.keys[sample].start + 1} | ({cell} if family.is_joint else set())
        assert set(places(family, one.key[at], two.key[at], len(keys))) == keys
        assert cell in moved(one.query[at], two.query[at])


def test_the_conditional_samples_are_those_with_the_prompt(case):
    toy, pipe, family = case
    alone, _ = first_call(pipe, toy.call(PROMPT))
    call, _ = first_call(pipe, toy.call(PROMPT, guided=True))
    own, guided = (family.open(one.args, one.keywords, None, 1) for one in (alone, call))
    texts = [family.text_of(one.call, one.first, one.samples) for one in (own, guided)]
    assert guided.samples == 1 and same(texts[0], texts[1])
    assert guided.rows == (2 if toy.guidance == "batch" else 1)
