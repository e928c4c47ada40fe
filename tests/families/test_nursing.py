"""Nursing the families: what is refused, threads, prompts, and the reading of attention."""

import threading

import pytest
import torch

from adhere.attention.call import AttentionCall, Region
from adhere.errors import SubjectNotFound, UnsupportedPipeline
from adhere.nursing import nurse

from . import FAMILIES
from .nursing import PROMPT, always, nursed
from .refused import REFUSED


def test_probabilities_are_over_all_keys_and_the_text_has_a_share():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((2, 3, 12, 4), generator=generator) for _ in range(3))
    call = AttentionCall(query, key, value)
    region = Region.of(1, 1, slice(4, 12), slice(0, 4))
    rows = call.mean_probabilities(region)
    whole = (query @ key.mT / 2).softmax(-1)[1:, :, 4:, :4].mean(1)
    torch.testing.assert_close(rows, whole)
    assert (rows.sum(-1) < 1).all()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_nursed_is_refused_by_name_with_the_reason(kind):
    reasons = {
        "glm-image": "GlmImageTransformer2DModel.*quoted words",
        "fibo": "BriaFiboTransformer2DModel.*structured",
        "ideogram-4": "Ideogram4Transformer2DModel.*structured",
        "omnigen": "OmniGenTransformer2DModel.*language model",
        "klein-kv": "Flux2KleinKVPipeline keeps keys and values",
    }
    with (
        pytest.raises(UnsupportedPipeline, match=reasons[kind]),
        nurse(REFUSED[kind](), always(), prompt=PROMPT),
    ):
        pass


@pytest.mark.parametrize(
    "kinds",
    [
        ("flux", "flux"),
        ("z-image", "z-image"),
        ("pixart-sigma", "sd3"),
        ("qwen-image", "flux2-klein-base"),
        ("sana", "lumina-2"),
    ],
)
def test_two_threads_nurse_two_pipelines(kinds):
    drawers = [(FAMILIES[kind], FAMILIES[kind].build()) for kind in kinds]

    def nursed_by(index):
        return nursed(*drawers[index], always(step_size=5.0), guided=True)[0]

    expected = [nursed_by(index) for index in range(2)]
    found, errors = {}, []

    def draw(index):
        try:
            for _ in range(3):
                found[index] = nursed_by(index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for index in range(2):
        torch.testing.assert_close(found[index], expected[index])


def test_a_prompt_that_is_cut_off_names_the_word():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    prompt = "a red car and a blue bowl and " * 6 + "a frog"
    with (
        pytest.raises(SubjectNotFound, match="'frog' has no column"),
        nurse(pipe, always(), subjects=["car", "frog"]),
    ):
        toy.run(pipe, prompt)


def test_a_second_prompt_inside_one_block():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    with nurse(pipe, always()) as trace:
        toy.run(pipe, PROMPT, guided=True)
        toy.run(pipe, "a cat and a frog", guided=True)
    assert [run.prompts for run in trace.runs] == [(PROMPT,), ("a cat and a frog",)]
    assert [subject.text for subject in trace.subjects[0]] == ["cat", "frog"]


def test_a_prompt_given_and_another_overheard():
    toy = FAMILIES["sd3"]
    pipe = toy.build()
    with (
        pytest.raises(UnsupportedPipeline, match="other prompts than the 1 that nurse got"),
        nurse(pipe, always(), prompt="a dog and a car"),
    ):
        toy.run(pipe, PROMPT)
