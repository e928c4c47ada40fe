"""The laws that hold for every pipeline, scheduler and method."""

from dataclasses import fields, replace

import pytest
import torch

import adhere
import toys
from adhere.errors import UnsupportedPipeline
from adhere.families import family_of
from adhere.methods.attention_regulation import AttentionRegulation
from adhere.methods.base import AttentionMethod, LatentMethod, checked
from adhere.methods.objective import Objective
from adhere.methods.schedule import Schedule
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch
from adhere.methods.weighted_sum import WeightedSum, terms_of
from adhere.nursing import nurse
from adhere.subjects import Attribute, Subject
from engine import SCHEDULERS, Noting, always, scheduled, state, taking_turns

KINDS = sorted(toys.calls())
# So small that latents do not move, in float32, though every pass is run.
NOTHING = 1e-30
# Active at every one of few steps, without thresholds, and with few iterations of what a method
# does before or beside its steps, for many of them are chaotic.
NUMBERS = {"stop": 1.0, "refine_at": (), "iterations": 4, "rounds": 1, "last_iterations": 2}
NUMBERS |= {"draws": 2}
# Pipelines whose runs begin from a noised image, unless their `strength` is 1.
FROM_IMAGE = ("img2img", "refiner")
PROMPT = "a red cat and a blue frog"
CAT = Subject("cat", (3,), (Attribute("red", (2,)),))
FROG = Subject("frog", (7,), (Attribute("blue", (6,)),))


def on_toys(kind, **changes):
    """A method with as many of these numbers as it has."""
    has = {field.name for field in fields(kind)}
    return kind(**{name: v for name, v in (NUMBERS | changes).items() if name in has})


# All that the package knows: a new method is held to the laws without a word here. Those that need
# joint attention are held to them in tests/families.
REGISTERED = {
    name: on_toys(kind) for name, kind in adhere.METHODS.items() if not kind.needs_joint_attention
}
METHODS = REGISTERED | {"both": [always(), TokenReweighting()]}
MOVERS = [name for name, method in REGISTERED.items() if isinstance(method, LatentMethod)]
# Those that do nothing but move latents.
PURE = [name for name in MOVERS if not isinstance(REGISTERED[name], AttentionMethod)]
SUBJECTS = [CAT, FROG]
# For methods that need them.
BOXES = [(0.0, 0.1, 0.4, 0.9), (0.5, 0.2, 1.0, 1.0)]


DOG = Subject("dog", (3,))


def is_refused(method, kind):
    """Whether a method needs noise to begin from, and a kind of pipeline gives none."""
    return getattr(method, "needs_noise", False) and any(one in kind for one in FROM_IMAGE)


# A law takes seconds for all pipelines times all methods: every method meets the first pipeline,
# and every pipeline meets two of the methods, and each method that it must refuse.
PURE_TURNS = taking_turns(KINDS, PURE)
REFUSED = [(k, m) for k in KINDS for m in METHODS if is_refused(METHODS[m], k)]
METHOD_TURNS = list(dict.fromkeys([*taking_turns(KINDS, METHODS), *REFUSED]))
SCHEDULER_TURNS = taking_turns(SCHEDULERS, METHODS)
SIZES = [(24, 40), (56, 16), (8, 8)]
MODELS = {"sd": toys.sd, "sdxl": toys.sdxl}


def in_double(pipe):
    """In double precision, where differences that are not of rounding stand out."""
    return pipe.to(torch.float64)


def nursed(pipe, method, prompt=PROMPT, subjects=SUBJECTS, **others):
    if any(t.needs_boxes for one in checked(method) for t in terms_of(one)):
        subjects = [replace(s, box=box) for s, box in zip(subjects, BOXES, strict=False)]
    with nurse(pipe, method, prompt=prompt, subjects=subjects) as trace:
        latents = toys.run(pipe, prompt, **others)
    return latents, trace


@pytest.mark.parametrize(("kind", "name"), PURE_TURNS)
def test_a_step_size_of_nothing_changes_no_bit(kind, name):
    make, others = toys.calls()[kind]
    pipe = make()
    plain = toys.run(pipe, PROMPT, **others)
    method = on_toys(adhere.METHODS[name], step_size=NOTHING, rounds=0)
    latents, trace = nursed(pipe, method, **others)
    assert torch.equal(latents, plain)
    assert trace.truncated_forwards == trace.backwards == trace.full_forwards > 0


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_a_step_size_of_nothing_changes_no_bit_under_any_scheduler(scheduler, guidance_scale):
    pipe = scheduled(scheduler)
    plain = toys.run(pipe, PROMPT, guidance_scale=guidance_scale)
    latents, trace = nursed(pipe, always(step_size=NOTHING), guidance_scale=guidance_scale)
    assert torch.equal(latents, plain)
    assert trace.backwards > 0


@pytest.mark.parametrize(("kind", "method"), METHOD_TURNS)
def test_leaving_the_block_restores_everything(kind, method):
    make, others = toys.calls()[kind]
    pipe = make()
    pipe.unet.down_blocks.requires_grad_(False)
    before, plain = state(pipe), toys.run(pipe, PROMPT, **others)
    if is_refused(METHODS[method], kind):
        with pytest.raises(UnsupportedPipeline, match="begins at step .* from a noised image"):
            nursed(pipe, METHODS[method], **others)
    else:
        latents, _ = nursed(pipe, METHODS[method], **others)
        assert not torch.equal(latents, plain)
    assert state(pipe) == before
    assert torch.equal(toys.run(pipe, PROMPT, **others), plain)


@pytest.mark.parametrize(("scheduler", "method"), SCHEDULER_TURNS)
def test_leaving_the_block_restores_every_scheduler(scheduler, method):
    pipe = scheduled(scheduler)
    before, plain = state(pipe), toys.run(pipe, PROMPT)
    latents, _ = nursed(pipe, METHODS[method])
    assert not torch.equal(latents, plain)
    assert state(pipe) == before
    assert torch.equal(toys.run(pipe, PROMPT), plain)


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["callback", "real attention", "nursing attention", "loss"])
def test_an_exception_anywhere_restores_everything(error, place):
    pipe = toys.sd()
    attention = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    before, plain = state(pipe), toys.run(pipe, PROMPT)
    passes = {"real attention": 2, "nursing attention": 3}

    def fail(*_, **__):
        raise error

    def fail_later(*_):
        passes[place] -= 1
        if not passes[place]:
            raise error

    method, hook, others = [always(), AttentionRegulation()], None, {}
    if place == "callback":
        others = {"callback_on_step_end": fail}
    elif place == "loss":
        method = Objective(fail)
    else:
        hook = attention.to_v.register_forward_hook(fail_later)
    with pytest.raises(error):
        nursed(pipe, method, **others)
    if hook is not None:
        hook.remove()
    assert state(pipe) == before
    assert torch.equal(toys.run(pipe, PROMPT), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_restores_every_pipeline(kind):
    make, others = toys.calls()[kind]
    pipe, readings = make(), []
    before, plain = state(pipe), toys.run(pipe, PROMPT, **others)

    def fail_later(reading):
        readings.append(len(reading))
        if len(readings) > 1:
            raise Stop
        return always().loss(reading)

    with pytest.raises(Stop):
        nursed(pipe, [Objective(fail_later, stop=1.0), TokenReweighting()], **others)
    assert state(pipe) == before
    assert torch.equal(toys.run(pipe, PROMPT, **others), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_samples_one_by_one(kind):
    make, others = toys.calls()[kind]
    pipe = in_double(make())
    prompts, subjects = [PROMPT, "a red dog"], [[CAT, FROG], [DOG]]
    noise, tolerance = [None] * 4, 1e-7
    if "inpaint" in kind:
        # This pipeline draws noise in another order for a batch: give it, and encode without.
        noise = torch.randn((4, 1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
        others, tolerance = others | {"latents": noise.flatten(0, 1).double()}, 1e-4
        with torch.no_grad():
            pipe.vae.quant_conv.weight[4:], pipe.vae.quant_conv.bias[4:] = 0, -30
    batch = {"seeds": range(4), "num_images_per_prompt": 2, **others}
    if "t2i" in kind:
        # This pipeline wants a picture for each prompt.
        batch["image"] = [others["image"]] * 2
    _, watched = nursed(pipe, Watch(), prompts, subjects, **batch)
    # Thresholds that some samples attain at once, and others after some moves.
    levels = [torch.tensor([min(own) for own in r.peaks]).median() for r in watched.steps[:2]]
    at = tuple((i / watched.steps[0].step.count, 1.02 * float(v)) for i, v in enumerate(levels))
    method = always(refine_at=at, step_size=2.0, max_refinements=3)
    whole, trace = nursed(pipe, method, prompts, subjects, **batch)
    assert trace.refinements[0].unique().numel() > 1, trace.refinements
    for sample in range(4):
        if noise[sample] is not None:
            others = others | {"latents": noise[sample].double()}
        prompt, own = prompts[sample // 2], subjects[sample // 2]
        single, alone = nursed(pipe, method, prompt, own, seeds=[sample], **others)
        torch.testing.assert_close(
            whole[sample : sample + 1], single, atol=tolerance, rtol=tolerance
        )
        assert torch.equal(alone.refinements[:, 0], trace.refinements[:, sample])


@pytest.mark.parametrize("method", REGISTERED)
def test_a_batch_equals_its_samples_one_by_one_for_every_method(method):
    pipe = in_double(toys.sdxl())
    whole, _ = nursed(pipe, METHODS[method], seeds=range(2), num_images_per_prompt=2)
    for sample in range(2):
        single, _ = nursed(pipe, METHODS[method], seeds=[sample])
        torch.testing.assert_close(whole[sample : sample + 1], single, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("method", ["attend-and-excite", "attention-regulation"])
def test_a_batch_equals_its_samples_under_any_scheduler(scheduler, method):
    pipe = in_double(scheduled(scheduler))
    whole, _ = nursed(pipe, METHODS[method], seeds=range(2), num_images_per_prompt=2)
    for sample in range(2):
        single, _ = nursed(pipe, METHODS[method], seeds=[sample])
        torch.testing.assert_close(whole[sample : sample + 1], single, atol=1e-6, rtol=1e-6)


def test_samples_that_are_done_do_not_move():
    pipe = toys.sd()
    plain = nursed(pipe, always(), seeds=range(4), num_images_per_prompt=4)[1]
    peaks = torch.tensor([min(own) for own in plain.steps[0].peaks])
    threshold = float(peaks.sort().values[1:3].mean())
    method = Noting(refine_at=((0.0, threshold),), max_refinements=3, stop=1.0)
    _, trace = nursed(pipe, method, seeds=range(4), num_images_per_prompt=4)
    assert torch.equal(trace.refinements[0] > 0, peaks < threshold)
    # Of the samples that are done, not even a reading is made.
    assert [len(read) for read in method.seen[:2]] == [4, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_one_small_step_raises_the_weakest_peak(kind, guidance_scale):
    make, others = toys.calls()[kind]
    method = Noting(refine_at=((0.0, 2.0),), max_refinements=1, step_size=0.02, stop=0.5)
    nursed(
        make(),
        method,
        seeds=[0, 1],
        num_images_per_prompt=2,
        guidance_scale=guidance_scale,
        **others,
    )
    before, after = method.seen
    assert (after > before).all()


@pytest.mark.parametrize("make", [toys.sd, toys.sdxl])
@pytest.mark.parametrize("name", MOVERS)
def test_one_small_step_lowers_the_loss_of_every_method(name, make):
    losses = []
    for count in (0, 1):
        # What is refined once has been read a second time, after one step.
        own = Schedule(0.02, refine_at=((0.0, 1e9),), max_refinements=count)
        method = WeightedSum(((1.0, on_toys(adhere.METHODS[name], rounds=0)),), own)
        _, trace = nursed(make(), method, seeds=[0, 1], num_images_per_prompt=2)
        losses.append(trace.loss[0])
    assert (losses[1] < losses[0]).all()


@pytest.mark.parametrize(
    ("model", "method", "size"),
    # The three sizes go round: a method meets two of them, one on each model.
    [
        (model, method, SIZES[(first + second) % len(SIZES)])
        for first, model in enumerate(MODELS)
        for second, method in enumerate(METHODS)
    ],
)
def test_any_size_and_shape(model, method, size):
    pipe = MODELS[model]()
    height, width = size
    latents, trace = nursed(pipe, METHODS[method], height=height, width=width)
    assert latents.isfinite().all()
    if trace.steps:
        assert trace.heat_map("cat").shape == (height // 4, width // 4)


def test_only_words_compete_where_the_text_encoder_is_not_the_first_generations():
    competes = {
        make: family_of(make()).encoders()[0].pads for make in (toys.sd, toys.sd2, toys.sdxl)
    }
    assert list(competes.values()) == [True, False, False]
