"""Several pipelines at once: what is nursed in one thread leaves the others alone."""

import contextlib
import copy
import pickle
import threading

import pytest
import torch
from diffusers import StableDiffusionPipeline

import adhere
import toys
from engine import PROMPT

STEPS = 4


def twin(pipe):
    """A pipeline of the same components with a scheduler of its own."""
    parts = {**pipe.components, "scheduler": copy.deepcopy(pipe.scheduler)}
    return toys.quiet(StableDiffusionPipeline(**parts, requires_safety_checker=False))


def sample(pipe, seed=0):
    """Latents of one image."""
    return pipe(
        PROMPT,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    ).images


@pytest.mark.parametrize(
    "method",
    [adhere.AttendAndExcite(), adhere.TokenReweighting(), adhere.AttentionRegulation()],
    ids=lambda method: method.name,
)
def test_a_thread_that_is_not_nursed_is_left_alone(method):
    nursed = toys.sd()
    plain = twin(nursed)
    expected = sample(plain)
    with adhere.nurse(nursed, method, prompt=PROMPT):
        expected_nursed = sample(nursed)
    found, errors = [], []
    stop = threading.Event()

    def draw_plainly():
        try:
            while not stop.is_set():
                found.append(sample(plain))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=draw_plainly)
    thread.start()
    try:
        with adhere.nurse(nursed, method, prompt=PROMPT):
            results = [sample(nursed) for _ in range(4)]
    finally:
        stop.set()
        thread.join()
    assert not errors
    assert found
    assert all(torch.equal(image, expected) for image in found)
    assert all(torch.equal(image, expected_nursed) for image in results)


@pytest.mark.parametrize("how", ["error", "interrupt"])
def test_a_pipeline_that_shares_the_denoiser_is_left_alone_after_a_break(how):
    nursed = toys.sd()
    plain = twin(nursed)
    expected = sample(plain)
    before = toys.run(nursed, PROMPT)

    def stop(pipe, index, time, changed):
        if how == "error":
            raise KeyboardInterrupt
        pipe._interrupt = True
        return changed

    with adhere.nurse(nursed, adhere.AttendAndExcite(), prompt=PROMPT):
        whole = toys.run(nursed, PROMPT)
        with contextlib.suppress(KeyboardInterrupt):
            toys.run(nursed, PROMPT, callback_on_step_end=stop)
        assert torch.equal(sample(plain), expected)
        assert torch.equal(toys.run(nursed, PROMPT), whole)
    assert torch.equal(toys.run(nursed, PROMPT), before)


def test_a_pipeline_that_shares_the_denoiser_is_left_alone_inside_the_block():
    nursed = toys.sd()
    plain = twin(nursed)
    expected = sample(plain)
    with adhere.nurse(nursed, adhere.AttendAndExcite(), prompt=PROMPT):
        before = sample(plain)
        sample(nursed)
        after = sample(plain)
    assert torch.equal(before, expected)
    assert torch.equal(after, expected)


def test_copies_made_inside_a_block_are_on_their_own():
    pipe = toys.sd()
    plain, before = sample(twin(pipe)), sorted(vars(pipe.scheduler))
    with adhere.nurse(pipe, adhere.AttendAndExcite(), prompt=PROMPT):
        expected = sample(pipe)
        copies = [copy.deepcopy(pipe), twin(pipe), twin(pipe)]
        copies[2].scheduler = pickle.loads(pickle.dumps(pipe.scheduler))
        assert all(torch.equal(sample(one), plain) for one in copies)
        assert torch.equal(sample(pipe), expected)
    assert sorted(vars(pipe.scheduler)) == before
    for one in copies:
        assert torch.equal(sample(one), plain)
        with adhere.nurse(one, adhere.AttendAndExcite(), prompt=PROMPT):
            assert torch.equal(sample(one), expected)
