"""The second bundled model is an ordinary Stable Diffusion 3 pipeline, and better when nursed."""

import pytest
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline
from training.gates.localisation import localisation

import adhere
from adhere import mini
from adhere.drawing.loading import load


@pytest.fixture(scope="module")
def pipe():
    return load("mini-joint").pipe


def test_it_is_what_diffusers_makes_of_the_folder(pipe):
    assert type(pipe) is StableDiffusion3Pipeline
    folder = mini.bundled()["mini-joint"]
    again = DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    assert type(again) is StableDiffusion3Pipeline


def test_it_fits_into_the_wheel():
    files = [path for path in mini.bundled()["mini-joint"].rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in files) <= 25 * 2**20


def test_attention_peaks_where_the_noun_is(pipe):
    shares = localisation(pipe, count=48, noise=0.6)
    assert min(shares["first_own"], shares["second_own"]) > 0.75
    assert max(shares["first_other"], shares["second_other"]) < 0.2


def test_by_default_it_is_drawn_with_the_emergent_layout():
    drawing = adhere.draw("a cat and a frog", model="mini-joint", steps=2)
    assert drawing.recipes[0].model.name == "mini-joint"
    assert [method.name for method in drawing.recipes[0].methods] == ["emergent-layout"]
    assert drawing.trace.edited_layers == len(
        load("mini-joint").pipe.transformer.transformer_blocks
    )
