"""`official()` computes what the authors' own code did; tests/goldens says how theirs was run."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from training.text import build_tokenizer

import author_toys
import toys
from adhere.methods.attention_regulation import AttentionRegulation
from adhere.methods.base import LayerContext
from adhere.methods.divide_and_bind import DivideAndBind
from adhere.methods.schedule import Step
from adhere.nursing import nurse
from method_maps import clip_columns, made, read, subject

GOLDENS = Path(__file__).parent / "goldens"
# Turn of the authors' loop to the weight of binding from there on.
WEIGHTS = {0: 1.0, 10: 5.0, 20: 10.0}
# One token a word: purple 2, dog 3, green 6, bench 7, and the end token at 8.
PROMPT = "a purple dog and a green bench"


def names(method):
    return sorted(path.stem for path in GOLDENS.glob(f"{method}_*.safetensors"))


def load(name):
    with safe_open(GOLDENS / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["settings"])


def pipeline(settings):
    common = {**toys.BETAS, "steps_offset": 1, "set_alpha_to_one": False}
    schedulers = {
        "ddim": lambda: DDIMScheduler(**common, clip_sample=False),
        "pndm": lambda: PNDMScheduler(**common, skip_prk_steps=True),
    }
    return toys.quiet(
        StableDiffusionPipeline(
            vae=toys.vae(),
            text_encoder=None,
            tokenizer=build_tokenizer(),
            unet=author_toys.denoiser(settings["toy"]),
            scheduler=schedulers[settings["scheduler"]](),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def sample(pipe, settings):
    batch = len(settings["tokens"]) if "tokens" in settings else 1
    return pipe(
        num_inference_steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        output_type="latent",
        **author_toys.inputs(settings["toy"], batch, settings["input_seed"]),
    ).images


def subjects(settings):
    return [
        [
            subject(noun, modifier) if modifier > 0 else subject(noun)
            for noun, modifier in zip(nouns, modifiers, strict=True)
        ]
        for nouns, modifiers in zip(settings["tokens"], settings["attributes"], strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in names("divide_and_bind") if not n.endswith("losses")])
def test_divide_and_bind_ends_where_the_authors_end(name):
    tensors, settings = load(name)
    method = dataclasses.replace(
        DivideAndBind.official(binding=settings["mode"] == "tv_bind"),
        step_size=settings["step_size"],
        stop=settings["alter"],
        refine_at=tuple((int(i), t) for i, t in settings["thresholds"].items()),
        binding_weights=tuple(WEIGHTS.items()),
    )
    pipe = pipeline(settings)
    own = subjects(settings)
    prompts = [PROMPT] * len(own)
    with nurse(pipe, method, prompt=prompts, subjects=own) as trace:
        ours = sample(pipe, settings)
    refinements = {
        str(record.step.index): int(record.refinements.sum())
        for record in trace.steps
        if record.refinements.any()
    }
    assert refinements == settings["refinements"] != {}
    assert (ours - tensors["final"]).abs().max() < 1e-4
    if settings["steps"] == 4:
        plain = sample(pipe, settings)
        assert (plain - tensors["final"]).abs().max() > 0.5, "nursing must change something"


@pytest.mark.parametrize(
    "name", [n for n in names("attention_regulation") if not n.endswith("layer")]
)
def test_attention_regulation_ends_where_the_authors_end(name):
    tensors, settings = load(name)
    method = dataclasses.replace(AttentionRegulation.official(), stop=settings["edited"])
    pipe = pipeline(settings)
    own = [subject(index) for index in settings["targets"]]
    with (
        torch.random.fork_rng(),
        nurse(pipe, method, prompt=PROMPT, subjects=own),
    ):
        torch.manual_seed(settings["seed"])
        ours = sample(pipe, settings)
    # The authors round the edited scores to float16.
    assert (ours - tensors["final"]).abs().max() < 1e-2
    plain = sample(pipe, settings)
    assert (plain - tensors["final"]).abs().max() > 0.1, "the edit must change something"


def test_attention_regulation_edits_a_layers_scores_as_the_authors_do():
    tensors, settings = load("attention_regulation_layer")
    own = ([subject(index) for index in settings["targets"]],)
    method = dataclasses.replace(AttentionRegulation.official(), keeps_specials=False)
    memory, columns = {}, clip_columns((settings["end"],), tensors["scores"].shape[-1])
    with torch.random.fork_rng():
        torch.manual_seed(settings["seed"])
        for index, scores in enumerate(tensors["scores"]):
            step = Step(index, 50, 0.0)
            context = LayerContext("layer", step, (16, 16), own, columns, memory=memory)
            ours = method.probabilities(scores[None], context)[0]
            # The authors' scores went through float16, all of them.
            edited = scores.half().float()
            edited[..., settings["targets"]] = tensors["edited"][index]
            torch.testing.assert_close(ours, edited.softmax(-1), rtol=0, atol=2e-3)
            assert (ours - edited.softmax(-1)).abs().mean() < 1e-5


@pytest.mark.parametrize("shape", ["soft", "sharp"])
@pytest.mark.parametrize("mode", ["tv", "tv_bind"])
@pytest.mark.parametrize("index", [0, 10, 20])
def test_divide_and_bind_losses_and_slopes_are_the_authors(shape, mode, index):
    tensors, settings = load("divide_and_bind_losses")
    # In double precision, so that only the authors' own rounding is left.
    objects = tensors[f"{shape}.objects"][None].double().requires_grad_()
    fine = tensors[f"{shape}.attributes"][None].double().requires_grad_()
    layers = {"own": objects, "fine": fine.repeat_interleave(2, 1).repeat_interleave(2, 2)}
    maps = made(layers, {"own": 2, "fine": 1}, (32, 32), clip_columns((8,), objects.shape[-1]))
    pairs = zip(settings["tokens"], settings["attributes"], strict=True)
    own = ([subject(noun, modifier) for noun, modifier in pairs],)
    method = DivideAndBind.official(binding=mode == "tv_bind")
    loss = method.loss(read(maps, own, Step(index, 50, 0.0)))
    slopes = torch.autograd.grad(loss.sum(), (objects, fine), allow_unused=True)
    golden = {
        k.rsplit(".", 1)[1]: v for k, v in tensors.items() if f"{shape}.{mode}.{index}." in k
    }
    close = {"rtol": 1e-4, "atol": 1e-7}
    golden = {name: value.double() for name, value in golden.items()}
    torch.testing.assert_close(loss, golden["loss"], **close)
    torch.testing.assert_close(method.score(read(maps, own)), golden["attained"], **close)
    torch.testing.assert_close(slopes[0].norm()[None], golden["slope"], **close)
    if mode == "tv_bind":
        torch.testing.assert_close(slopes[1].norm()[None], golden["attribute_slope"], **close)
