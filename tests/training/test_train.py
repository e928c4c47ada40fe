"""The recipe: resumable to the bit, refused when settings differ, never half-written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train_kills import STEPS, Line
from training.assemble import install
from training.autoencoder import AutoencoderStage, to_model, to_picture
from training.denoiser import Captioned, DenoiserStage
from training.dial import TrainingRecipe
from training.latents import cached
from training.recipe import train
from training.scorer.sets import decoded
from training.text import build_text_encoder, build_tokenizer, vocabulary
from training.world import sprites

from training import checkpoint, loop

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def weights(folder):
    return checkpoint.load(folder / "line.safetensors", {"stage": "line", "seed": 0})[0]


def test_a_stage_that_was_stopped_ends_as_if_it_had_not_been(tmp_path):
    whole, cut = Line(20), Line(20)
    loop.run(whole, tmp_path / "whole", CPU, bar=False)
    loss = Line.loss

    def killed(self, batch, step, device):
        if step == 11:
            raise KeyboardInterrupt
        return loss(self, batch, step, device)

    cut.loss = killed.__get__(cut)
    with pytest.raises(KeyboardInterrupt):
        loop.run(cut, tmp_path / "cut", CPU, save_seconds=0, bar=False)
    loop.run(Line(20), tmp_path / "cut", CPU, bar=False)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_stage_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL at random moments, many of them within a write, as every step writes."""
    command = [sys.executable, Path(__file__).with_name("train_kills.py"), tmp_path, "6", "5"]
    reached = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert len(set(reached)) >= 3, reached
    one, other = weights(tmp_path / "calm"), weights(tmp_path / "killed")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    lines = log_of(tmp_path / "killed")
    assert [line["step"] for line in lines] == list(range(5, STEPS + 1, 5))


def log_of(folder):
    return [json.loads(line) for line in (folder / "line.log.jsonl").read_text().splitlines()]


def test_the_log_goes_on_from_the_checkpoint(tmp_path, monkeypatch):
    """Rows that a kill left beyond it, or half of one, are not kept; seconds add up."""

    def stopped(self, device):
        if (tmp_path / "line.log.jsonl").exists() and len(log_of(tmp_path)) == 3:
            raise KeyboardInterrupt
        return {}, None

    monkeypatch.setattr(Line, "report", stopped)
    with pytest.raises(KeyboardInterrupt):
        loop.run(Line(20), tmp_path, CPU, save_seconds=0, bar=False)
    path = tmp_path / "line.safetensors"
    tensors, step, seconds = checkpoint.load(path, Line(20).settings)
    assert step == 19
    assert seconds > 0
    checkpoint.save(path, tensors, 12, Line(20).settings, 1000.0)
    with open(tmp_path / "line.log.jsonl", "a") as log:
        log.write('{"step": 2')
    monkeypatch.undo()
    loop.run(Line(20), tmp_path, CPU, bar=False)
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert [line["seconds"] >= 1000 for line in lines] == [False, False, True, True]


def test_the_loss_falls_and_is_logged(tmp_path):
    loop.run(Line(60), tmp_path, CPU, bar=False)
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == list(range(5, 61, 5))
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]


def test_other_settings_are_refused_by_name(tmp_path):
    loop.run(Line(3), tmp_path, CPU, bar=False)
    with pytest.raises(ValueError, match="seed: 0 there, 1 here"):
        loop.run(Line(3, seed=1), tmp_path, CPU, bar=False)


def test_other_networks_are_refused(tmp_path):
    loop.run(Line(3), tmp_path, CPU, bar=False)
    with pytest.raises(ValueError, match="does not fit the networks"):
        loop.run(Line(3, width=13), tmp_path, CPU, bar=False)


def test_a_checkpoint_from_before_a_setting_was_noted_is_taken_with_a_warning(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.ones(2)}, 1, {"seed": 0})
    with pytest.warns(UserWarning, match="does not say its sprites_sha256"):
        assert checkpoint.load(path, {"seed": 0, "sprites_sha256": "f"}).step == 1
    checkpoint.save(path, {"a": torch.ones(2)}, 1, {"seed": 0, "sprites_sha256": "e"})
    with pytest.raises(ValueError, match="sprites_sha256: e there, f here"):
        checkpoint.load(path, {"seed": 0, "sprites_sha256": "f"})


def test_what_another_autoencoder_made_is_refused(tmp_path):
    recipe = TrainingRecipe(dial=1)
    first, second = AutoencoderStage(recipe).model, AutoencoderStage(recipe).model
    settings = recipe.settings()
    assert settings["sprites_sha256"] == sprites.fingerprint()
    made = cached(tmp_path, first, 2, 0, settings, CPU, bar=False)
    decoded(tmp_path, first, 2, 0, settings, CPU, bar=False)
    assert torch.equal(cached(tmp_path, second, 2, 0, settings, CPU, bar=False), made)
    one = DenoiserStage(recipe, made, {"vae": first}).settings
    with torch.no_grad():
        second.encoder.conv_in.bias[0] += 1
    for again in (cached, decoded):
        with pytest.raises(ValueError, match="autoencoder_sha256"):
            again(tmp_path, second, 2, 0, settings, CPU, bar=False)
    assert DenoiserStage(recipe, made, {"vae": second}).settings != one


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04pickled"])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "line.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is no checkpoint"):
        loop.run(Line(3), tmp_path, CPU, bar=False)
    assert (tmp_path / "line.safetensors").read_bytes() == content


def test_a_failed_write_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.ones(2)}, 1, {})

    def full(_, path, *__):
        Path(path).write_bytes(b"half a checkpoint")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, {"a": torch.zeros(2)}, 2, {})
    monkeypatch.undo()
    assert checkpoint.load(path, {})[1] == 1


def test_every_word_of_the_world_is_one_token():
    tokenizer = build_tokenizer()
    for word in vocabulary():
        assert len(tokenizer(word).input_ids) == 3, word
    assert len(tokenizer("unicorn").input_ids) > 3


def test_captions_are_empty_in_the_stated_share():
    captioned = Captioned(torch.zeros(8, 4, 1, 1), 1.0, 0)
    start, end = captioned.tokenizer("").input_ids
    empty = sum(captioned[i][1][:2].tolist() == [start, end] for i in range(2000))
    assert empty / 2000 == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 2000) ** 0.5)


def test_a_token_says_nothing_of_other_tokens():
    recipe = TrainingRecipe(dial=1)
    tokenizer = build_tokenizer()
    encoder = build_text_encoder(recipe, tokenizer).eval()
    ids = tokenizer(
        ["a cat and a dog", "a cat and a red car"],
        padding="max_length",
        max_length=77,
        return_tensors="pt",
    ).input_ids
    one, other = encoder(ids).last_hidden_state
    assert torch.equal(one[:5], other[:5])
    assert not torch.equal(one[5], other[5])


def test_pictures_survive_the_way_to_the_model_and_back():
    pictures = torch.arange(256, dtype=torch.uint8).repeat(3, 1).T.reshape(1, 16, 16, 3)
    assert (to_picture(to_model(pictures)) == pictures.numpy()).all()


def test_both_stages_take_a_step_at_toy_size():
    recipe = TrainingRecipe(dial=1, length=1e-9)
    stage = AutoencoderStage(recipe)
    dataset = stage.dataset()
    batch = torch.stack([dataset[i] for i in range(2)])
    loss = stage.loss(batch, 0, CPU)
    loss.backward()
    assert loss.isfinite() and stage.model.encoder.conv_in.weight.grad.abs().sum() > 0
    means = torch.randn(8, 4, 16, 16).half()
    stage = DenoiserStage(recipe, means, {"vae": stage.model})
    latents, ids = zip(*(stage.dataset()[i] for i in range(2)), strict=True)
    loss = stage.loss([torch.stack(latents), torch.stack(ids)], 0, CPU)
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=0.5)
    assert stage.text_encoder.get_input_embeddings().weight.grad.abs().sum() > 0
    shares = stage.localisation(stage.pipeline().to(CPU), count=2)
    assert shares.keys() == {"first_own", "first_other", "second_own", "second_other"}
    assert {type(p).__name__ for p in stage.unet.attn_processors.values()} == {"AttnProcessor"}


@pytest.mark.parametrize(("dial", "length"), [(0, 1), (9, 1), (2, 0), (2, -1)])
def test_an_impossible_dial_is_refused(dial, length):
    with pytest.raises(ValueError, match="dial|length"):
        TrainingRecipe(dial=dial, length=length)


def test_the_denoiser_asks_for_an_autoencoder(tmp_path):
    with pytest.raises(ValueError, match="no autoencoder"):
        train(TrainingRecipe(), tmp_path, CPU, ("denoiser",))
    with pytest.raises(ValueError, match="no stage 'painter'"):
        train(TrainingRecipe(), tmp_path, CPU, ("painter",))


def a_pipeline(folder, said):
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(said)
    (folder / "unet" / "config.json").write_text(said)
    return folder


def test_a_new_pipeline_keeps_what_was_written_by_hand(tmp_path):
    weights = a_pipeline(tmp_path / "weights", "old")
    (weights / "README.md").write_text("card")
    (weights / "methods.json").write_text("{}")
    (weights / "unet" / "stale.safetensors").write_text("old")
    install(a_pipeline(tmp_path / "new", "new"), weights)
    held = {str(p.relative_to(weights)): p.read_text() for p in weights.rglob("*") if p.is_file()}
    assert held == {
        "README.md": "card", "methods.json": "{}",
        "model_index.json": "new", "unet/config.json": "new",
    }  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "weights"]


def test_a_pipeline_that_cannot_be_copied_leaves_the_former(tmp_path, monkeypatch):
    weights = a_pipeline(tmp_path / "weights", "old")
    new = a_pipeline(tmp_path / "new", "new")

    def full(source, target, **_):
        target.mkdir()
        (target / "model_index.json").write_text("n")
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space"):
        install(new, weights)
    assert (weights / "model_index.json").read_text() == "old"
    monkeypatch.undo()
    assert (install(new, weights) / "model_index.json").read_text() == "new"
    with pytest.raises(ValueError, match="holds no pipeline"):
        install(tmp_path, weights)


def test_the_recipe_ends_in_a_whole_package_and_the_commands_of_the_card(tmp_path):
    """The script itself; only what trains or measures is replaced by a note that it was run."""
    weights = a_pipeline(tmp_path / "src/adhere/mini/weights", "old")
    (weights / "methods.json").write_text("{}")
    (tmp_path / "src/adhere/mini/data").mkdir()
    a_pipeline(tmp_path / "runs/mini/pipeline", "new")
    (tmp_path / "runs/mini/scorer-weights.safetensors").write_text("scorer")
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    (commands := tmp_path / "bin").mkdir()
    note = f'echo "$(basename "$0") $*" >> {tmp_path}/said'
    real = f'case "$*" in *training.assemble*) exec {sys.executable} "$@";; esac'
    for name in ("npm", "python"):
        (commands / name).write_text(f"#!/bin/sh\n{note}\n{real}\n")
        (commands / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(["bash", tmp_path / "recipes/train_mini.sh"], env=environment, check=True)
    assert (weights / "model_index.json").read_text() == "new"
    assert (weights / "methods.json").read_text() == "{}"
    assert (tmp_path / "src/adhere/mini/data/scorer.safetensors").read_text() == "scorer"
    card = " ".join((ROOT / "src/adhere/mini/weights/README.md").read_text().split())
    said = (tmp_path / "said").read_text().splitlines()
    measured = [line.partition(" --out")[0] for line in said[-3:]]
    assert all(f"`{command}`" in card for command in measured), measured
