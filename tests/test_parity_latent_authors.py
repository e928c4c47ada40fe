"""`official()` of InitNO, CONFORM, Self-Cross and Bounded Attention against the authors' code.

tests/goldens says how theirs was run. All is in double precision.
"""

import dataclasses

import pytest
import torch

import author_toys
from adhere.methods.base import LayerContext
from adhere.methods.bounded_attention import BoundedAttention
from adhere.methods.conform import Conform
from adhere.methods.initno import InitNO
from adhere.methods.schedule import Step
from adhere.methods.self_cross import SelfCross
from adhere.nursing import nurse
from adhere.subjects.subject import Subject
from method_maps import clip_columns, made, read, subject
from test_parity_authors import PROMPT, load, names, pipeline

CLOSE = {"rtol": 1e-4, "atol": 1e-6}
BOXES = [(0.0625, 0.1875, 0.4375, 0.8125), (0.5625, 0.1875, 0.9375, 0.8125)]


def sample(pipe, settings, **latents):
    drawn = author_toys.inputs(settings["toy"], 1, settings["input_seed"])
    drawn = {key: value.double() for key, value in drawn.items()}
    return pipe.to(torch.float64)(
        num_inference_steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        output_type="latent",
        **{**drawn, **latents},
    ).images


def grouped(settings):
    groups = settings.get("groups") or [[one] for one in settings["targets"]]
    return [subject(group[-1], *group[:-1]) for group in groups]


def nursed(method, settings):
    pipe = pipeline(settings)
    with nurse(pipe, method, prompt=PROMPT, subjects=grouped(settings)):
        return sample(pipe, settings)


def ends(name, method):
    tensors, settings = load(name)
    method = dataclasses.replace(method, stop=settings["alter"])
    assert (nursed(method, settings) - tensors["final"]).abs().max() < 1e-4
    plain = sample(pipeline(settings), settings)
    assert (plain - tensors["final"]).abs().max() > 1e-2, "nursing must change something"


@pytest.mark.slow
@pytest.mark.parametrize("name", names("conform"))
def test_conform_ends_where_the_authors_end(name):
    _, settings = load(name)
    refined = tuple((at, 0.0) for at in settings["refined"])
    ends(name, dataclasses.replace(Conform.official(), refine_at=refined, max_refinements=2))


def test_initnos_loop_ends_where_the_authors_end():
    ends("initno_ddim", dataclasses.replace(InitNO.official(), refine_at=(), rounds=0))


@pytest.mark.slow
def test_self_cross_ends_where_the_authors_end():
    ends("self_cross_ddim", dataclasses.replace(SelfCross.official(), refine_at=()))


@pytest.mark.slow
def test_initnos_search_finds_the_authors_noise():
    tensors, settings = load("initno_search")
    # One round that may do nothing, then the last search from the same noise.
    method = dataclasses.replace(
        InitNO.official(),
        stop=0,
        refine_at=(),
        rounds=1,
        iterations=0,
        last_iterations=settings["iterations"],
    )
    expected = sample(pipeline(settings), settings, latents=tensors["noise"])
    assert (nursed(method, settings) - expected).abs().max() < 1e-4
    assert (sample(pipeline(settings), settings) - expected).abs().max() > 1e-2


def on_maps(sharpness, subjects):
    """A reading of the maps that the authors' losses had, and its leaves."""
    cross, own = author_toys.maps(sharpness)
    leaves = [one.clone().requires_grad_() for one in (cross, own)]
    reading = made({"layer": leaves[0][None]}, {"layer": 1}, (16, 16), clip_columns((8,), 12))
    reading = read(reading, (subjects,))
    looks = {"layer": leaves[1].flatten(0, 1)[None]}
    return dataclasses.replace(reading, self_layers=looks, _kept={}), leaves


def agree(value, leaves, tensors, key):
    torch.testing.assert_close(value.reshape(1), tensors[key], **CLOSE)
    slopes = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    for leaf, slope in zip(("cross", "self"), slopes, strict=True):
        norm = torch.zeros(1).double() if slope is None else slope.norm()[None]
        torch.testing.assert_close(norm, tensors[f"{key}.{leaf}_slope"], **CLOSE)


@pytest.mark.parametrize(("shape", "sharpness"), [("soft", 2.0), ("sharp", 6.0)])
def test_initnos_losses_are_the_authors(shape, sharpness):
    tensors, settings = load("initno_losses")
    method = InitNO.official()
    reading, leaves = on_maps(sharpness, grouped(settings))
    agree(method.loss(reading), leaves, tensors, f"{shape}.nurse.missing")
    agree(method._overlap(reading), leaves, tensors, f"{shape}.nurse.overlap")
    agree(method._outside(reading), leaves, tensors, f"{shape}.nurse.outside")
    # At a first reading the authors' alignment with earlier maps is 0, and so is its gradient.
    agree(method.refining_loss(reading), leaves, tensors, f"{shape}.nurse.joint")


@pytest.mark.parametrize(("shape", "sharpness"), [("soft", 2.0), ("sharp", 6.0)])
def test_self_crosss_losses_are_the_authors(shape, sharpness):
    tensors, settings = load("self_cross_losses")
    reading, leaves = on_maps(sharpness, grouped(settings))
    agree(SelfCross.official().loss(reading), leaves, tensors, f"{shape}.nurse.total")


def test_bounded_attentions_loss_and_bounds_are_the_authors():
    tensors, settings = load("bounded_attention_losses")
    boxed = tuple(
        Subject(own.text, own.token_indices, own.attributes, box=box)
        for own, box in zip(grouped(settings), BOXES, strict=True)
    )
    cross, own = author_toys.maps(2.0)
    reading, _ = on_maps(2.0, boxed)
    leaves = [(cross * (torch.arange(12) != 8)).requires_grad_(), own.requires_grad_()]
    reading = dataclasses.replace(
        reading,
        layers={"layer": leaves[0][None]},
        self_layers={"layer": leaves[1].flatten(0, 1)[None]},
        _kept={},
    )
    method = BoundedAttention.official()
    loss = method.loss(reading)
    torch.testing.assert_close(loss, tensors["loss"], **CLOSE)
    torch.testing.assert_close(1 - method.score(reading), tensors["mean"], **CLOSE)
    slopes = torch.autograd.grad(loss, leaves)
    for leaf, slope in zip(("cross", "self"), slopes, strict=True):
        torch.testing.assert_close(slope.norm()[None], tensors[f"{leaf}_slope"], **CLOSE)
    for nursing in (True, False):
        context = LayerContext(
            "layer",
            Step(0, 50, 0.0),
            (16, 16),
            (boxed,),
            clip_columns((8,), 12),
            is_nursing=nursing,
        )
        hidden = method.bias(context)[0, 0] < 0
        assert torch.equal(hidden, tensors[f"words_hidden_{nursing}"].bool())
    assert torch.equal(method.self_bias(context)[0, 0] < 0, tensors["cells_hidden"].bool())
