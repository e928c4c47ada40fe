"""The joint miniature's training at toy size: exact, resumable, a stock pipeline at the end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file
from torch.nn import functional
from training.__main__ import fill_with_averages
from training.joint import Shape, attend_with_counts, build, columns, initial_words
from training.joint_stage import JointStage, noise_levels
from training.latents import scene
from training.optimise import Muon, orthogonal
from training.precision import autocast
from training.starting import begin_from, finer
from training.teacher import Teacher
from training.text import build_tokenizer
from training.unet_stage import UNetStage
from training.words import RESERVED, kept_tokenizer
from training.world.captions import caption
from training.world.mix import FORGET

from adhere import mini
from training import checkpoint, data, judge, loop, stable, state

CPU = torch.device("cpu")
TOY = Shape(width=16, layers=2, heads=2, text_width=32, length=24, patch=2)


def toy_stage(folder=None, steps=4):
    means = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    stage = JointStage(means.half(), TOY, folder=folder)
    stage.batch_size, stage.steps, stage.warm = 4, steps, 2
    stage.report = lambda device: ({}, None)
    return stage


def weights(path):
    return load_file(path)


def test_a_run_cut_into_sittings_ends_as_one_without_a_cut(tmp_path):
    loop.run(toy_stage(), tmp_path / "whole", CPU, bar=False)
    for steps in (1, 3, 4):
        loop.run(toy_stage(steps=steps), tmp_path / "cut", CPU, bar=False)
    one, other = (weights(tmp_path / x / "joint.safetensors") for x in ("whole", "cut"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_loss_falls(tmp_path):
    stage = toy_stage(steps=40)
    stage.lr, stage.report_every, stage.warm = 1e-2, 10, 1
    batch = [torch.stack(x) for x in zip(*(stage.dataset()[i] for i in range(8)), strict=True)]
    before = np.mean([stage.loss(batch, step, CPU).item() for step in range(20)])
    loop.run(stage, tmp_path, CPU, bar=False)
    after = np.mean([stage.loss(batch, step, CPU).item() for step in range(20)])
    assert after < 0.9 * before
    log = [json.loads(x) for x in (tmp_path / "joint.log.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in log] == [40, 80, 120, 160]


def test_a_decay_starts_from_a_copy_and_falls_to_zero(tmp_path):
    loop.run(toy_stage(), tmp_path, CPU, bar=False)
    kept = (tmp_path / "joint.safetensors").read_bytes()
    stage = toy_stage()
    stable.decay(stage, tmp_path, 3, CPU)
    assert [stage.rate(step) for step in (4, 7)] == pytest.approx([stage.lr, 0])
    assert (tmp_path / "joint.safetensors").read_bytes() == kept
    decayed = tmp_path / "decayed-4" / "joint.safetensors"
    assert checkpoint.load(decayed, stage.settings).step == 7
    pipeline = decayed.parent / "pipeline"
    assert (pipeline / "model_index.json").is_file()
    assert not any("_name_or_path" in path.read_text() for path in pipeline.rglob("config.json"))
    assert toy_stage().rate(100) == stage.lr
    with pytest.raises(ValueError, match="no checkpoint"):
        stable.decay(toy_stage(), tmp_path / "nothing", 3, CPU)


def drawn(pipe, **more):
    settings = {"num_inference_steps": 2, "output_type": "np"} | more
    return pipe("a cat and a dog", generator=torch.Generator().manual_seed(0), **settings).images


def awakened(stage):
    """A stage whose weights are none of them zero, as after a training."""
    with torch.no_grad():
        for value in stage.transformer.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    return stage


def test_the_pipeline_is_stock_loads_plainly_and_draws_the_same(tmp_path):
    pipe = awakened(toy_stage()).pipeline()
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(tmp_path / "pipeline")
    loaded = StableDiffusion3Pipeline.from_pretrained(tmp_path / "pipeline", dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)
    assert type(loaded.transformer) is SD3Transformer2DModel
    assert np.array_equal(drawn(loaded), drawn(pipe))
    assert drawn(loaded).shape == (1, 128, 128, 3)
    with_t5 = drawn(loaded, max_sequence_length=7)
    loaded.text_encoder_3 = None
    assert np.array_equal(drawn(loaded, max_sequence_length=7), with_t5)


@pytest.mark.parametrize("zeros", [1, 16, 256])
def test_training_computes_what_the_pipeline_does(zeros):
    stage = awakened(toy_stage())
    pipe = stage.pipeline()
    text, _, pooled, _ = pipe.encode_prompt(*3 * ["a red car"], max_sequence_length=zeros)
    assert text.shape == (1, TOY.length + zeros, TOY.text_width)
    noisy = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.7])
    with torch.no_grad():
        theirs = pipe.transformer(noisy, text, pooled, level * 1000).sample
        ids = judge._ids(stage, ["a red car"])
        ours = stage.velocity(noisy, level, ids, torch.tensor([zeros]))
    assert theirs.std() > 0.1
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_recorded_rows_are_probabilities_without_a_change():
    model = build(TOY)
    layers = attend_with_counts(model)
    words = initial_words(TOY, kept_tokenizer(None, TOY.length))
    text = columns(words(torch.zeros(2, TOY.length, dtype=torch.long)))
    for layer in layers:
        layer.record = True
    model(
        torch.randn(2, 4, 16, 16),
        text,
        torch.zeros(2, TOY.text_width),
        torch.tensor([500.0, 500.0]),
        joint_attention_kwargs={"zeros": torch.tensor([3.0, 3.0]).log()},
    )
    for layer in layers:
        assert layer.rows.shape == (2, 64, 64 + TOY.length + 1)
        assert torch.allclose(layer.rows.sum(-1), torch.ones(2, 64), atol=1e-5)


def test_known_words_start_from_the_bundled_embeddings():
    tokenizer, bundled = kept_tokenizer(None, 24), mini.load()
    words = initial_words(Shape(), tokenizer).token_embedding.weight
    table = bundled.text_encoder.get_input_embeddings().weight
    new, old = (t.get_vocab()["cat</w>"] for t in (tokenizer, bundled.tokenizer))
    assert torch.allclose(words[new], table[old] / table.std())


def test_a_stage_begun_from_a_pipeline_computes_what_it_does():
    finished, stage = awakened(toy_stage()), toy_stage()
    torch.nn.init.normal_(finished.words.token_embedding.weight)
    torch.nn.init.normal_(finished.words.position_embedding.weight)
    pipe = finished.pipeline()
    begin_from(stage, pipe)
    for name, module in finished.modules.items():
        own = stage.modules[name].state_dict()
        assert all(torch.equal(own[key], value) for key, value in module.state_dict().items())
    with pytest.raises(RuntimeError, match="size mismatch"):
        begin_from(JointStage(stage.means, replace(TOY, width=32)), pipe)


def test_finer_patches_read_and_write_even_patches_as_coarse_ones_do():
    coarse = awakened(toy_stage()).transformer
    shape = replace(TOY, patch=1)
    fine = build(shape)
    fine.load_state_dict(finer(coarse.state_dict(), shape))
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    even = latents.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(
        fine.pos_embed.proj(latents), coarse.pos_embed.proj(even), rtol=1e-4, atol=1e-5
    )
    # The positions of every second latent are those of the coarse patches.
    table = fine.pos_embed.pos_embed.view(16, 16, -1)[::2, ::2]
    wanted = coarse.pos_embed.pos_embed.view(8, 8, -1)
    assert torch.allclose(table, wanted, atol=1e-3)
    tokens = torch.randn(3, TOY.width, generator=torch.Generator().manual_seed(2))
    found = coarse.proj_out(tokens).view(3, 2, 2, 4).mean((1, 2))
    assert torch.allclose(fine.proj_out(tokens), found, atol=1e-5)


def test_the_teacher_says_in_velocities_what_the_unet_says():
    teacher = Teacher()
    scenes = [scene(1, number) for number in range(8)]
    texts = [caption(one, np.random.default_rng(0), FORGET) for one in scenes]
    stage = JointStage(torch.zeros(1, 4, 16, 16), TOY, teacher=teacher)
    latents, ids = judge.latents_of(stage, scenes), judge._ids(stage, texts)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    timesteps = teacher.timesteps(torch.full((8,), 0.6))
    level = teacher.levels[timesteps].view(-1, 1, 1, 1)
    assert torch.allclose(level, torch.tensor(0.6), atol=2e-3)
    noisy = latents.lerp(noise, level)
    velocity = teacher.velocity(noisy, timesteps, ids)
    others = teacher.velocity(noisy, timesteps, ids.flip(0))
    right, wrong, blind = (
        (x - (noise - latents)).square().mean() for x in (velocity, others, 0 * velocity)
    )
    assert right < min(wrong, 0.25 * blind)
    # From the velocity follow the image and the noise, and from them the U-Net's own v.
    image, of_noise = noisy - level * velocity, noisy + (1 - level) * velocity
    a, s = (x[timesteps].view(-1, 1, 1, 1) for x in (teacher.of_image, teacher.of_noise))
    whole = functional.pad(ids, (0, 77 - ids.shape[1]), value=teacher.padding)
    with torch.no_grad():
        hidden = teacher.text_encoder(whole).last_hidden_state
        v = teacher.unet(noisy * (a + s), timesteps, hidden).sample
    assert torch.allclose(a * of_noise - s * image, v, atol=1e-4)


def test_a_stage_learns_from_its_teacher(tmp_path):
    stage = JointStage(
        torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(3)).half(),
        TOY,
        teacher=Teacher(),
    )
    batch = [torch.stack(x) for x in zip(*(stage.dataset()[i] for i in range(4)), strict=True)]
    taught = stage.loss(batch, 0, CPU)
    asked = []
    velocity = stage.teacher.velocity
    stage.teacher.velocity = lambda *given: asked.append(given) or velocity(*given)
    assert torch.equal(stage.loss(batch, 0, CPU), taught)
    (noisy, timesteps, ids), *_ = asked
    levels = stage.teacher.levels[timesteps]
    noise = (noisy - (1 - levels.view(-1, 1, 1, 1)) * batch[0]) / levels.view(-1, 1, 1, 1)
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert torch.equal(ids, batch[1])
    # An untrained stage says 0, so its loss is the square of what it is to learn.
    assert taught.item() == pytest.approx(velocity(*asked[0]).square().mean().item(), rel=0.2)


def test_averaged_weights_fill_a_stage(tmp_path):
    loop.run(toy_stage(), tmp_path, CPU, bar=False)
    stage = toy_stage()
    fill_with_averages(stage, tmp_path / "joint.safetensors")
    saved = weights(tmp_path / "joint.safetensors")
    for key, value in stage.transformer.state_dict().items():
        assert torch.equal(value, saved[f"average.transformer.{key}"])


@pytest.mark.parametrize("stage", [JointStage, UNetStage])
def test_a_caption_is_that_of_the_scene_whose_latents_it_stands_beside(stage, tmp_path):
    means = data.load(tmp_path, 3)
    one = stage(means)
    # As the kept ones are made: how far another precision or batch is depends on the machine.
    one.vae.to(memory_format=torch.channels_last)
    with autocast(CPU), torch.no_grad():
        drawn_again = judge.latents_of(one, [scene(one.seed, number) for number in range(3)])
    for number in range(3):
        assert torch.allclose(one.dataset()[number][0], drawn_again[number].float(), atol=0.02)
        random = np.random.default_rng((one.seed, 3, number))
        said = caption(scene(one.seed, number), random, FORGET)
        ids = one.dataset()[number][1]
        assert one.tokenizer.decode(ids, skip_special_tokens=True).split() in (
            one.tokenizer.decode(one.tokenizer(said).input_ids, skip_special_tokens=True).split(),
            [],
        )


def test_the_unet_goes_on_from_the_bundled_weights_with_more_words(tmp_path):
    prompt, new = "a cat and a red car", "unicorn"
    build_tokenizer((*RESERVED, new)).save_pretrained(tmp_path / "begun" / "tokenizer")
    stage = UNetStage(torch.zeros(2, 4, 16, 16), folder=tmp_path / "begun")
    bundled = mini.load()
    ids = [t(prompt, return_tensors="pt").input_ids for t in (stage.tokenizer, bundled.tokenizer)]
    assert len(stage.tokenizer(new).input_ids) == 3 < len(bundled.tokenizer(new).input_ids)
    with torch.no_grad():
        ours = stage.text_encoder(ids[0]).last_hidden_state
        theirs = bundled.text_encoder(ids[1]).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-5)
    batch = [torch.stack(x) for x in zip(*(stage.dataset()[i] for i in range(2)), strict=True)]
    stage.loss(batch, 0, CPU).backward()
    row = stage.tokenizer.get_vocab()["unicorn</w>"]
    assert stage.text_encoder.get_input_embeddings().weight.grad[row].abs().sum() == 0
    stage.pipeline().save_pretrained(tmp_path / "pipeline")
    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "pipeline", safety_checker=None)
    loaded.set_progress_bar_config(disable=True)
    assert drawn(loaded, height=128, width=128).shape == (1, 128, 128, 3)


def test_an_exported_state_is_gone_on_with_elsewhere(tmp_path):
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "state" / "joint"
    loop.run(toy_stage(first), first, CPU, bar=False)
    assert state.export(toy_stage(first), first, target) == 4
    state.begin("joint", second, target)
    filled = toy_stage(second)
    fill_with_averages(filled, second / "joint.safetensors")
    averages = weights(first / "joint.safetensors")
    for key, value in filled.transformer.state_dict().items():
        assert torch.allclose(value, averages[f"average.transformer.{key}"], atol=2e-3)
    loop.run(toy_stage(second, steps=6), second, CPU, bar=False)
    assert checkpoint.load(second / "joint.safetensors", filled.settings).step == 6
    before = (second / "joint.safetensors").read_bytes()
    state.begin("joint", second, target)
    assert (second / "joint.safetensors").read_bytes() == before
    with pytest.raises(ValueError, match="holds no state"):
        state.begin("joint", tmp_path / "third", tmp_path / "nowhere")


def test_a_quarter_of_the_noise_levels_is_where_an_image_begins():
    levels = torch.cat([noise_levels(64, torch.Generator().manual_seed(i)) for i in range(50)])
    assert ((levels > 0) & (levels < 1)).all()
    # Three quarters of the logit-normal's shares, one quarter of those around 0.9.
    normal = torch.distributions.Normal(0, 1)
    for level in (0.3, 0.5, 0.8, 0.936):
        logit = torch.logit(torch.tensor(level))
        high = torch.logit(torch.tensor(0.9))
        share = 0.75 * normal.cdf(logit) + 0.25 * normal.cdf(logit - high)
        assert (levels < level).float().mean() == pytest.approx(share.item(), abs=0.03)


@pytest.mark.parametrize("columns", [6, 11, 12, 60])
def test_orthogonal_matrices_have_singular_values_near_one(columns):
    found = orthogonal(torch.randn(3, 6, columns, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(6, 6), (6, 20), (20, 6), (8, 3, 3, 3)])
def test_muon_moves_every_shape_down_the_gradient(shape):
    weight = torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    optimizer = Muon([weight], lr=0.2, weight_decay=0.0)
    first = weight.square().sum().item()
    for _ in range(20):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.square().sum().item() < 0.7 * first


@pytest.mark.parametrize("shape", [(6, 6), (6, 20), (20, 6)])
def test_muon_is_torchs_in_another_precision(shape):
    start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    one, other = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 0.1, "momentum": 0.95, "weight_decay": 0.01}
    ours = Muon([one], **settings)
    theirs = torch.optim.Muon([other], **settings, adjust_lr_fn="match_rms_adamw")
    for number in range(3):
        grad = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        one.grad, other.grad = grad.clone(), grad.clone()
        ours.step()
        theirs.step()
    assert (one - start).abs().max() > 0.1
    assert torch.allclose(one, other, atol=0.01)


def test_the_command_names_what_is_missing(tmp_path):
    stage = toy_stage()
    with pytest.raises(ValueError, match="no checkpoint"):
        fill_with_averages(stage, Path(tmp_path) / "joint.safetensors")
