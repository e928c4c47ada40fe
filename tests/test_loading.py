import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import toys
from adhere.drawing import draw
from adhere.drawing.loading import hash_weights, load, variant_of
from adhere.drawing.outline import load_outline
from adhere.drawing.recipe import ModelRecipe, SchedulerRecipe
from adhere.drawing.request import check_schedule
from adhere.drawing.schedulers import (
    SCHEDULERS,
    scheduler_from_recipe,
    scheduler_named,
    scheduler_recipe,
)
from doors import PROMPT, copied, saved
from hub import hub


def test_a_folder_becomes_a_pipeline():
    loaded = load(saved())
    assert type(loaded.pipe).__name__ == "StableDiffusionPipeline"
    assert loaded.pipe.dtype is torch.float32
    assert loaded.source == ModelRecipe(str(saved()), None, hash_weights(saved()))


def test_weights_of_half_the_size():
    assert load(saved(), dtype="bfloat16").pipe.unet.dtype is torch.bfloat16


def test_the_hash_follows_the_weights_and_nothing_else(tmp_path):
    folder = copied(tmp_path)
    assert hash_weights(folder) == hash_weights(saved())
    (folder / "notes.txt").write_text("hello")
    assert hash_weights(folder) == hash_weights(saved())
    file = next((folder / "unet").glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert hash_weights(folder) != hash_weights(saved())


@pytest.mark.parametrize("name", ["tokenizer", "unet"])
def test_a_missing_folder_is_not_sought_elsewhere(tmp_path, monkeypatch, name):
    shutil.rmtree(copied(tmp_path) / name)
    monkeypatch.chdir(tmp_path)
    for read in (load_outline, load):
        with pytest.raises(ValueError, match=f"model' lacks the folder '{name}'"):
            read("model")


def empty(folder):
    for file in list(folder.rglob("*")):
        if file.is_file():
            file.unlink()


def no_index(folder):
    (folder / "model_index.json").unlink()


def broken_index(folder):
    (folder / "model_index.json").write_text("{")


def index_without_a_class(folder):
    (folder / "model_index.json").write_text("{}")


def index_with_code(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["my_pipeline", "MyPipeline"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "my_pipeline.py").write_text("open('/tmp/adhere-was-here', 'w')")


def component_with_code(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["my_unet", "MyUNet"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet" / "my_unet.py").write_text(
        f"open({str(folder / 'ran')!r}, 'w')\nclass MyUNet: pass"
    )


def component_outside(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["../unet"] = index["unet"]
    (folder / "model_index.json").write_text(json.dumps(index))


def no_unet(folder):
    for file in (folder / "unet").iterdir():
        file.unlink()
    (folder / "unet").rmdir()


def without_some(file):
    kept = {n: own for n, own in load_file(file).items() if not re.search("layers.0|conv_out", n)}
    save_file(kept, file)


def weights_left_out(folder):
    without_some(next((folder / "unet").glob("*.safetensors")))


def encoder_weights_left_out(folder):
    without_some(next((folder / "text_encoder").glob("*.safetensors")))


def no_vocabulary(folder):
    (folder / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="'tokenizer' in .* has no vocabulary"):
        load_outline(folder)


def config_of_a_list(folder):
    (folder / "unet" / "config.json").write_text("[]")


def no_weights(folder):
    next((folder / "unet").glob("*.safetensors")).unlink()


def renamed_weights(folder):
    next((folder / "vae").glob("*.safetensors")).rename(folder / "vae" / "vae.safetensors")


class Opens:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(folder):
    file = next((folder / "unet").glob("*.safetensors"))
    file.unlink()
    with open(file.with_suffix(".bin"), "wb") as stream:
        pickle.dump(Opens(str(folder / "ran")), stream)


def pickled_encoder(folder):
    file = next((folder / "text_encoder").glob("*.safetensors"))
    file.unlink()
    with open(folder / "text_encoder" / "pytorch_model.bin", "wb") as stream:
        pickle.dump(Opens(str(folder / "ran")), stream)


def cut_off(folder):
    file = next((folder / "vae").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])


def scrambled(folder):
    file = next((folder / "unet").glob("*.safetensors"))
    file.write_bytes(os.urandom(1000))


def other_sizes(folder):
    config = json.loads((folder / "unet" / "config.json").read_text())
    config["block_out_channels"] = [8, 16]
    (folder / "unet" / "config.json").write_text(json.dumps(config))


BREAKS = {
    empty: "no model_index.json",
    no_index: "no model_index.json",
    broken_index: "is broken",
    index_without_a_class: "is broken",
    index_with_code: "code of its own",
    component_with_code: "could not be loaded",
    component_outside: "names no component",
    no_unet: "lacks the folder 'unet'",
    no_weights: "'unet' in .* has no weights; expected diffusion_pytorch_model.safetensors",
    renamed_weights: "'vae' in .* has vae.safetensors; expected diffusion_pytorch_model",
    weights_left_out: "unet lacks 2 weights .*conv_out.*copy or download",
    encoder_weights_left_out: "text_encoder lacks 16 weights .*layers.0.*copy or download",
    no_vocabulary: "'tokenizer' in .* has no vocabulary; expected",
    config_of_a_list: "unet/config.json in .* is broken",
    pickled: "unet/diffusion_pytorch_model.bin.*pickle.*safetensors",
    pickled_encoder: "text_encoder/pytorch_model.bin.*pickle.*safetensors",
    cut_off: "vae/diffusion_pytorch_model.safetensors.*is broken",
    scrambled: "unet/diffusion_pytorch_model.safetensors.*is broken",
    other_sizes: "could not be loaded",
}


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_a_broken_folder_is_refused_and_nothing_in_it_runs(damage, tmp_path):
    folder = copied(tmp_path)
    damage(folder)
    with pytest.raises(ValueError, match=f"(?s){BREAKS[damage]}"):
        load(folder)
    assert not (folder / "ran").exists()


def test_names_that_are_nothing():
    with pytest.raises(ValueError, match="did you mean 'mini'"):
        load("minni")
    with pytest.raises(ValueError, match="Unknown model './nowhere'"):
        load("./nowhere")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        load(__file__)
    with pytest.raises(ValueError, match="did you mean 'float32'"):
        load(saved(), dtype="float23")
    with pytest.raises(ValueError, match="Unknown device 'cuda:99'"):
        load(saved(), device="cuda:99")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_take_the_pipelines_configuration_and_are_made_again(name):
    own = toys.scheduler()
    scheduler = scheduler_named(name, own)
    assert type(scheduler).__name__ == SCHEDULERS[name][0]
    assert scheduler.config.beta_end == toys.BETAS["beta_end"]
    assert not scheduler.config.get("clip_sample", False)
    recipe = scheduler_recipe(scheduler)
    again = scheduler_from_recipe(SchedulerRecipe(recipe.name, json_copy(recipe.config)), own)
    assert scheduler_recipe(again) == recipe


def json_copy(value):
    return json.loads(json.dumps(value))


def test_latents_are_never_clipped_like_pixels():
    euler = scheduler_named("euler", toys.scheduler())
    assert scheduler_named("ddim", euler).config.clip_sample is False
    assert scheduler_named("ddim", euler).config.set_alpha_to_one is False


def test_fewer_trained_betas_than_timesteps_are_told():
    scheduler = toys.scheduler()
    few = type(scheduler).from_config(scheduler.config, trained_betas=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="this model's 3 timesteps"):
        check_schedule(few, 2)


def test_a_recipe_names_no_class_of_its_choice():
    for name in ("StableDiffusionPipeline", "KDPM2DiscreteScheduler", "__import__"):
        with pytest.raises(ValueError, match="Unknown scheduler"):
            scheduler_from_recipe(SchedulerRecipe(name, {}), toys.scheduler())
    with pytest.raises(ValueError, match="does not take"):
        scheduler_from_recipe(
            SchedulerRecipe("DDIMScheduler", {"beta_schedule": "steep"}), toys.scheduler()
        )


def test_a_folder_with_weights_of_one_variant_is_loaded(tmp_path):
    folder = tmp_path / "half"
    toys.sd().save_pretrained(folder, variant="fp16")
    assert variant_of(folder) == "fp16"
    drawing = draw(PROMPT, model=folder, steps=2)
    assert drawing.images[0].size == (32, 32)


def test_the_only_variant_of_some_parts_is_found_beside_plain_weights(tmp_path):
    folder = tmp_path / "some"
    toys.sd().save_pretrained(folder)
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_name(weights.name.replace(".saf", ".fp16.saf")))
    assert variant_of(folder) == "fp16"
    assert load(folder).pipe.unet is not None


def test_several_variants_are_named(tmp_path):
    folder = tmp_path / "mixed"
    toys.sd().save_pretrained(folder, variant="fp16")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_name(weights.name.replace("fp16", "ema")))
    with pytest.raises(ValueError, match="several variants .ema, fp16."):
        load(folder)


def test_a_variant_that_some_parts_lack_altogether_is_not_preferred(tmp_path):
    folder = tmp_path / "mixed"
    toys.sd().save_pretrained(folder, variant="fp16")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_name(weights.name.replace("fp16", "ema")))
    with pytest.raises(ValueError, match="several variants .ema, fp16."):
        load(folder, dtype="float16")


def test_the_pipeline_beside_a_folder_that_is_none_is_named(tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    toys.sd().save_pretrained(snapshot)
    for wrong in (tmp_path / "models--a--b", snapshot.parent, snapshot / "unet"):
        with pytest.raises(ValueError, match=f"no pipeline: .* such as {str(snapshot)!r}"):
            load(wrong)
    with pytest.raises(ValueError, match="is a file of a pipeline; give its folder"):
        load(snapshot / "model_index.json")


def test_loading_says_nothing():
    code = "import adhere; print(adhere.draw('a cat and a frog', steps=2).images[0].size)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(128, 128)\n"
    assert done.stderr == ""


def test_the_hash_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = copied(tmp_path)
    files = list(folder.glob("*/*.safetensors"))
    for file in files:
        os.utime(file, (1e9, 1e9))
    first = hash_weights(folder)
    assert len(list((tmp_path / "cache").rglob("weights/*"))) == 1
    data = bytearray(files[0].read_bytes())
    data[-1] ^= 1
    files[0].write_bytes(data)
    os.utime(files[0], (1e9, 1e9))
    assert hash_weights(folder) == first, "the same size and time: no byte is read"
    os.utime(files[0], (1e9, 1e9 + 1))
    assert hash_weights(folder) != first
    next((tmp_path / "cache").rglob("weights/*")).write_text("no hash")
    assert hash_weights(folder) != first


def test_only_the_weights_that_are_read_are_hashed(tmp_path):
    folder = copied(tmp_path)
    plain = hash_weights(folder)
    weights = next((folder / "unet").glob("*.safetensors"))
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert hash_weights(folder) == plain
    assert variant_of(folder) is None
    assert variant_of(folder, "fp16") == "fp16"
    assert hash_weights(folder, "fp16") != plain


@pytest.mark.slow
def test_the_hub_is_asked_for_weights_of_half_the_size(tmp_path):
    both = tmp_path / "both"
    toys.sd().save_pretrained(both)
    toys.sd().save_pretrained(both, variant="fp16")
    code = """
import pathlib, os
from adhere.drawing.loading import load
for name, dtype in [("a/both", "float16"), ("a/both", "float32"), ("a/plain", "float16")]:
    loaded = load(name, dtype=dtype, device="cpu")
    home = pathlib.Path(os.environ["HF_HOME"])
    files = home.rglob("models--" + name.replace("/", "--") + "/snapshots/*/unet/*.safetensors")
    print(str(loaded.pipe.unet.dtype), *sorted(file.name for file in files))
"""
    with hub({"a/both": both, "a/plain": saved()}) as address:
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
    plain, half = (f"diffusion_pytorch_model{v}.safetensors" for v in ("", ".fp16"))
    assert done.stdout.splitlines() == [
        f"torch.float16 {half}",
        f"torch.float32 {half} {plain}",
        f"torch.float16 {plain}",
    ], done.stderr
