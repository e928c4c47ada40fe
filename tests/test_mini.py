"""The bundled model is an ordinary pipeline, whole, small, and better when nursed."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from safetensors.torch import load_file
from training.gates import presence as gates
from training.gates.localisation import localisation

import adhere
from adhere import mini
from adhere.drawing import loading
from adhere.drawing.stated import method_named
from adhere.evaluation.prompts import prompt_set
from adhere.methods.watch import Watch
from adhere.mini import scorer


@pytest.fixture(scope="module")
def pipe():
    loaded = mini.load()
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_it_is_what_diffusers_makes_of_the_folder(pipe):
    assert type(pipe) is StableDiffusionPipeline
    again = DiffusionPipeline.from_pretrained(mini.folder(), use_safetensors=True)
    assert type(again) is StableDiffusionPipeline


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("unet", "unet/diffusion_pytorch_model.safetensors"),
        ("vae", "vae/diffusion_pytorch_model.safetensors"),
        ("text_encoder", "text_encoder/model.safetensors"),
    ],
)
def test_what_is_loaded_is_what_was_saved(pipe, part, file):
    saved = load_file(mini.folder() / file)
    loaded = getattr(pipe, part).state_dict()
    as_saved = {name.removeprefix("text_model."): value for name, value in saved.items()}
    as_loaded = {name.removeprefix("text_model."): value for name, value in loaded.items()}
    as_loaded.pop("embeddings.position_ids", None)
    assert as_saved.keys() == as_loaded.keys()
    for name, value in as_saved.items():
        assert torch.equal(value.float(), as_loaded[name].float()), name


@pytest.mark.filterwarnings("ignore:.*nursed nothing")
def test_a_bundled_model_is_a_folder_that_is_there(tmp_path, monkeypatch):
    assert mini.bundled() == {"mini": mini.folder(), "mini-joint": mini.ROOT / "joint"}
    shutil.copytree(mini.folder(), tmp_path / "joint")
    assert mini.bundled(tmp_path) == {"mini-joint": tmp_path / "joint"}
    monkeypatch.setattr(mini, "bundled", partial(mini.bundled, tmp_path))
    monkeypatch.setattr(loading, "bundled", mini.bundled)
    assert adhere.draw("a cat", model="mini-joint", steps=2).recipes[0].model.name == "mini-joint"


def test_it_fits_into_the_wheel():
    files = [path for path in mini.folder().rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in files) <= 40 * 2**20
    assert scorer.SHIPPED.stat().st_size <= 10 * 2**20


def test_attention_peaks_where_the_noun_is(pipe):
    shares = localisation(pipe, count=48)
    assert min(shares["first_own"], shares["second_own"]) > 0.65
    assert max(shares["first_other"], shares["second_other"]) < 0.25


def test_the_model_states_what_suits_it(pipe):
    assert method_named("attend-and-excite", model="mini") == adhere.AttendAndExcite(
        temperature=0.05, step_size=18.8, refine_at=((0.0, 0.503), (0.2, 0.35), (0.4, 0.208))
    )
    assert gates.tuned(pipe) == method_named("attend-and-excite", model="mini")
    assert method_named("divide-and-bind", model="mini") == adhere.DivideAndBind(
        temperature=0.05, step_size=135.0, refine_at=((0.0, 0.0627), (0.2, 0.0482), (0.4, 0.0253))
    )
    assert method_named("attention-regulation", model="mini") == adhere.AttentionRegulation()
    with pytest.raises(ValueError, match="Unknown method 'nursing'"):
        method_named("nursing", model="mini")


def test_by_name_the_bundled_model_gets_its_own_numbers():
    drawing = adhere.draw("a cat and a frog", method="attend-and-excite", steps=2)
    assert drawing.trace.methods == (method_named("attend-and-excite", model="mini"),)
    assert method_named("attend-and-excite", model="other") == adhere.AttendAndExcite()
    assert method_named("attend-and-excite", official=True, model="mini") == (
        adhere.AttendAndExcite.official()
    )


PAIRS = prompt_set("attend-and-excite-objects").prompts[1::16][:4]
SEEDS = (30, 31)


def right(pipe, method) -> float:
    """How often both objects are there in their colours, over all pairs and seeds."""
    texts = [prompt.text for prompt in PAIRS]
    images = gates.pictures_of(pipe, texts, SEEDS, method, steps=12)
    rows = gates.judged(images, scorer.load(), PAIRS, SEEDS)
    return np.mean([row["all_right"] for row in rows])


@pytest.mark.parametrize("model", ["mini", "mini-joint"])
def test_the_emergent_layout_keeps_colours_apart(model):
    """Four pairs of painted objects, seeds that chose nothing, 12 steps."""
    pipe = loading.load(model).pipe
    assert right(pipe, adhere.EmergentLayout()) >= right(pipe, None) + 0.1


@pytest.mark.parametrize("model", ["mini", "mini-joint"])
def test_attend_and_excite_raises_the_weakest_subject(model):
    """Four pairs of painted objects, one seed, 12 steps, by the numbers that the model states."""
    pipe, method = loading.load(model).pipe, method_named("attend-and-excite", model=model)
    watch = Watch(stop=method.stop, temperature=method.temperature)
    prompts = [prompt.text for prompt in PAIRS]

    def weakest(nursing) -> float:
        found = []
        for prompt in prompts:
            trace = adhere.draw(prompt, model=pipe, method=nursing, seeds=SEEDS[0], steps=12).trace
            found.append(np.mean(trace.weakest()[1:6]))
        return np.mean(found)

    assert weakest(method) >= 1.05 * weakest(watch)
