"""What else a pipeline may have switched on: nursed all the same, or refused by name."""

import gc
from dataclasses import dataclass, field

import pytest
import torch
from diffusers import (
    IPNDMScheduler,
    SASolverScheduler,
    StableDiffusion3PAGPipeline,
    StableDiffusionAttendAndExcitePipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPAGPipeline,
)
from diffusers.models.attention_processor import AttnProcessor

import toys
from adhere.errors import (
    AlreadyNursed,
    NoAttentionRecorded,
    NonFiniteLoss,
    SubjectNotFound,
    UnsupportedPipeline,
)
from adhere.families import family_of
from adhere.methods.attention_regulation import AttentionRegulation
from adhere.methods.objective import Objective
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch
from adhere.nursing import nurse
from adhere.subjects import Subject
from engine import CAT, FROG, PROMPT, SCHEDULERS, Noting, always, scheduled, state
from families import sd3

SUBJECTS = [CAT, FROG]


def nursed(pipe, method=None, prompt=PROMPT, subjects=SUBJECTS, **others):
    """Latents and trace of a nursed run."""
    with nurse(pipe, method or always(), prompt=prompt, subjects=subjects) as trace:
        latents = toys.run(pipe, prompt, **others)
    return latents, trace


def close(a, b, tolerance=1e-4):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


# What is switched on leaves the nursed picture as it is.


def test_gradient_checkpointing_leaves_the_gradient():
    pipe = toys.sd(sample_size=32).to(torch.float64)
    plain, _ = nursed(pipe)
    pipe.unet.enable_gradient_checkpointing()
    checkpointed, trace = nursed(pipe)
    close(checkpointed, plain, 1e-9)
    assert len(trace.steps) == 3


def test_inference_mode_around_the_call():
    pipe = toys.sd()
    for method in (always(), AttentionRegulation(), TokenReweighting(mode="words")):
        plain, _ = nursed(pipe, method)
        with torch.inference_mode():
            inside, _ = nursed(pipe, method)
        assert torch.equal(inside, plain)


@pytest.mark.parametrize("make", [toys.sd, toys.sdxl])
def test_inference_mode_for_every_input(make):
    pipe = make()
    with torch.inference_mode(), nurse(pipe, always(), prompt=PROMPT) as trace:
        toys.run(pipe)
    assert trace.backwards == 3


def test_the_users_own_callback_sees_nursed_latents():
    pipe, seen = toys.sd(), []

    def note(_pipe, _index, _timestep, given):
        seen.append(given["latents"])
        return {"latents": given["latents"] * 1.01}

    plain = toys.run(pipe, callback_on_step_end=note)
    latents, _ = nursed(pipe, callback_on_step_end=note)
    assert len(seen) == 6
    assert torch.equal(seen[-1] * 1.01, latents)
    assert not torch.equal(latents, plain)


def test_an_interrupted_run_does_not_shift_the_next():
    pipe = toys.sd()
    plain, _ = nursed(pipe)

    def interrupt(_pipe, _index, _timestep, given):
        _pipe._interrupt = True
        return given

    with nurse(pipe, always(), prompt=PROMPT, subjects=SUBJECTS) as trace:
        toys.run(pipe, callback_on_step_end=interrupt)
        again = toys.run(pipe)
    assert torch.equal(again, plain)
    assert [record.step.index for record in trace.steps] == [0, 1, 2]


@pytest.mark.parametrize("place", ["to_q", "to_out.0"])
@pytest.mark.parametrize("method", [AttentionRegulation(), TokenReweighting(), Watch()])
def test_an_interrupt_inside_attention_does_not_disturb_the_next_run(method, place):
    pipe = toys.sd()
    plain, undisturbed = nursed(pipe, method)
    before = state(pipe)

    def interrupted(*_):
        raise KeyboardInterrupt

    with nurse(pipe, method, prompt=PROMPT, subjects=SUBJECTS) as trace:
        attention = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
        layer = attention.get_submodule(place)
        hook = layer.register_forward_pre_hook(interrupted)
        with pytest.raises(KeyboardInterrupt):
            toys.run(pipe)
        hook.remove()
        assert torch.equal(toys.run(pipe), plain)
    assert len(trace.steps) == len(undisturbed.steps)
    assert trace.edited_layers == undisturbed.edited_layers
    assert state(pipe) == before


def test_a_block_holds_for_several_calls():
    pipe = scheduled("unipc")
    first, second = nursed(pipe, seeds=[1])[0], nursed(pipe, seeds=[2], steps=5)[0]
    with nurse(pipe, always(), prompt=PROMPT, subjects=SUBJECTS):
        assert torch.equal(toys.run(pipe, seeds=[1]), first)
        assert torch.equal(toys.run(pipe, seeds=[2], steps=5), second)


def test_model_cpu_offload():
    accelerate = pytest.importorskip("accelerate")
    pipe = toys.sd()
    plain, _ = nursed(pipe)
    accelerate.cpu_offload_with_hook(pipe.unet, execution_device="cpu")
    offloaded, _ = nursed(pipe)
    assert torch.equal(offloaded, plain)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("way", ["wrapped", "in place", "blocks", "forward"])
def test_a_compiled_denoiser(way):
    pipe = toys.sd(
        block_out_channels=(16,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
    )
    methods = always(), AttentionRegulation()
    plain = [nursed(pipe, method, steps=2)[0] for method in methods]
    options = {"backend": "eager", "fullgraph": way != "forward"}
    if way == "wrapped":
        pipe.unet = torch.compile(pipe.unet, **options)
    elif way == "in place":
        pipe.unet.compile(**options)
    elif way == "blocks":
        pipe.unet.up_blocks[0].compile(**options)
    else:
        pipe.unet.forward = torch.compile(pipe.unet.forward, **options)
    torch._dynamo.reset()
    unnursed, before = toys.run(pipe, steps=2), state(pipe)
    graphs = dict(torch._dynamo.utils.counters["stats"])
    assert graphs["unique_graphs"] > 0
    for method, expected in zip(methods, plain, strict=True):
        close(nursed(pipe, method, steps=2)[0], expected)
    assert state(pipe) == before
    assert torch.equal(toys.run(pipe, steps=2), unnursed)
    assert dict(torch._dynamo.utils.counters["stats"]) == graphs
    torch._dynamo.reset()


@pytest.mark.parametrize("scale", [None, 0.5])
def test_lora(scale):
    peft = pytest.importorskip("peft")
    pipe = toys.sd()
    plain, _ = nursed(pipe)
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    pipe.unet.add_adapter(config)
    others = {} if scale is None else {"cross_attention_kwargs": {"scale": scale}}
    unnursed, before = toys.run(pipe, **others), state(pipe)
    latents, _ = nursed(pipe, **others)
    assert not torch.allclose(latents, plain)
    assert not torch.allclose(latents, unnursed)
    assert state(pipe) == before
    assert any(before["asking"])
    assert torch.equal(toys.run(pipe, **others), unnursed)


def test_textual_inversion_of_several_vectors():
    pipe = toys.sd()
    width = pipe.text_encoder.config.hidden_size
    vectors = torch.randn((3, width), generator=torch.Generator().manual_seed(0))
    pipe.load_textual_inversion(vectors, token="<toy>")
    prompt = "a <toy> and a frog"
    with nurse(pipe, always(), prompt=prompt, subjects=["frog"]) as trace:
        toys.run(pipe, prompt)
    (frog,) = trace.subjects[0]
    assert frog.token_indices == (7,)
    assert trace.tokens[0][7] == "frog"


def test_ip_adapter():
    pipe = toys.sd()
    plain, _ = nursed(pipe)
    pipe.unet._load_ip_adapter_weights([ip_adapter_weights(pipe.unet)])
    pipe.set_ip_adapter_scale(0.5)
    embeds = torch.randn((2, 1, 8), generator=torch.Generator().manual_seed(0))
    others = {"ip_adapter_image_embeds": [embeds]}
    unnursed = toys.run(pipe, **others)
    for method in (always(), AttentionRegulation(), TokenReweighting()):
        latents, _ = nursed(pipe, method, **others)
        assert not torch.allclose(latents, unnursed)
        assert not torch.allclose(latents, plain)
    assert torch.equal(toys.run(pipe, **others), unnursed)


def ip_adapter_weights(unet, width=8, tokens=4):
    """The weights of an image prompt adapter, as its checkpoints name them."""
    generator = torch.Generator().manual_seed(1)
    inner, layers, key = unet.config.cross_attention_dim, {}, 1
    for name in unet.attn_processors:
        if not name.endswith("attn1.processor"):
            hidden = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in ("k", "v"):
                shape = (hidden, inner)
                layers[f"{key}.to_{part}_ip.weight"] = torch.randn(shape, generator=generator)
        key += name.endswith("attn2.processor") * 2
    project = {
        "proj.weight": torch.randn((tokens * inner, width), generator=generator),
        "proj.bias": torch.zeros(tokens * inner),
        "norm.weight": torch.ones(inner),
        "norm.bias": torch.zeros(inner),
    }
    return {"image_proj": project, "ip_adapter": layers}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", [toys.sd, toys.sdxl])
def test_half_precision_goes_the_same_way(dtype, make):
    method = Noting(refine_at=((0.0, 2.0),), max_refinements=2, step_size=1.0, stop=0.34)
    whole = Noting(refine_at=((0.0, 2.0),), max_refinements=2, step_size=1.0, stop=0.34)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    nursed(make(), whole, latents=noise)
    latents, trace = nursed(make().to(dtype), method, latents=noise.to(dtype))
    assert latents.dtype == dtype and latents.isfinite().all()
    assert trace.loss.dtype == torch.float32
    assert method.seen[0].dtype == torch.float32
    for half, single in zip(method.seen, whole.seen, strict=True):
        close(half, single, 0.1)
    assert method.seen[-1] > method.seen[0]


def test_half_precision_keeps_gradients_too_small_for_it():
    """A loss of a millionth moves latents a million times less, not by nothing."""
    pipe = toys.sd().to(torch.float16)

    def tiny(reading):
        return 1e-6 * always().loss(reading)

    plain = toys.run(pipe)
    latents, _ = nursed(pipe, Objective(tiny, step_size=2e7, stop=0.34))
    assert not torch.equal(latents, plain)
    expected, _ = nursed(pipe, always(step_size=20.0, stop=0.34))
    assert (latents - expected).abs().mean() < 0.1 * (latents - plain).abs().mean()


@dataclass(frozen=True)
class Casting(AttentionRegulation):
    """An edit that notes whether autocast is on where it computes."""

    seen: list = field(default_factory=list)

    def probabilities(self, scores, context):
        """As ever, and noted."""
        self.seen.append(torch.is_autocast_enabled("cpu"))
        return super().probabilities(scores, context)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_for_the_denoiser_alone(dtype):
    """Maps, losses and edits stay in float32; layers that are not read run as the user asked."""
    method, edit, kinds = Noting(stop=1.0, refine_at=()), Casting(stop=1.0), []
    plain, single = toys.sd(), Noting(stop=1.0, refine_at=())
    nursed(plain, single)
    pipe = toys.sd()
    project = pipe.unet.down_blocks[0].attentions[0].proj_in
    project.register_forward_hook(lambda *given: kinds.append(given[-1].dtype))
    with torch.autocast("cpu", dtype=dtype):
        latents, trace = nursed(pipe, [method, edit])
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is dtype
    assert latents.isfinite().all()
    assert set(kinds) == {dtype} and len(kinds) == 6
    assert {loss.dtype for loss in method.seen} == {trace.loss.dtype} == {torch.float32}
    close(method.seen[0], single.seen[0], 0.02)
    assert edit.seen and not any(edit.seen)


def test_watching_under_autocast():
    pipe = toys.sd()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = toys.run(pipe)
        latents, trace = nursed(pipe, Watch())
    assert torch.equal(latents, plain)
    assert nursed(pipe, Watch())[1].weakest() == pytest.approx(trace.weakest(), abs=0.05)


def test_float16_autocast_keeps_gradients_too_small_for_it():
    def tiny(reading):
        return 1e-6 * always().loss(reading)

    pipe = toys.sd()
    with torch.autocast("cpu", dtype=torch.float16):
        plain = toys.run(pipe)
        latents, _ = nursed(pipe, Objective(tiny, step_size=2e7, stop=0.34))
        expected, _ = nursed(pipe, always(step_size=20.0, stop=0.34))
    assert (latents - expected).abs().mean() < 0.1 * (expected - plain).abs().mean()


def test_a_scheduler_that_is_not_known_is_named():
    pipe = toys.sd()
    pipe.scheduler = IPNDMScheduler()
    with pytest.warns(UserWarning, match="IPNDMScheduler is not among the schedulers"):
        latents, _ = nursed(pipe)
    assert latents.isfinite().all()


# Cost.


class Saved:
    """A tensor that a graph keeps, and how many are kept at a time."""

    kept = most = 0

    def __init__(self, tensor):
        self.tensor = tensor.detach()
        Saved.kept += 1
        Saved.most = max(Saved.most, Saved.kept)

    def __del__(self):
        Saved.kept -= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_refinement_keeps_no_graph_of_the_one_before(dtype):
    most = []
    for count in (0, 2):
        Saved.kept = Saved.most = 0
        method = always(refine_at=((0.0, 2.0),), max_refinements=count, step_size=1.0, stop=0.34)
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            _, trace = nursed(toys.sd().to(dtype), method)
        assert trace.backwards == count + 1
        assert Saved.kept == 0
        most.append(Saved.most)
    assert most[0] == most[1] > 0


def test_the_pass_ends_after_the_last_layer_read():
    pipe = toys.sd(sample_size=32)
    seen = []
    pipe.unet.up_blocks[1].register_forward_hook(lambda *_: seen.append("up_blocks.1"))
    _, trace = nursed(pipe)
    assert trace.truncated_forwards == 3
    assert len(seen) == trace.full_forwards == 3


def test_no_pass_where_nothing_is_moved():
    _, trace = nursed(toys.sd(), always(stop=0.5), steps=6)
    assert [record.step.index for record in trace.steps] == [0, 1, 2]
    assert trace.truncated_forwards == 3 and trace.full_forwards == 6


def test_watching_costs_no_pass_and_changes_no_bit():
    pipe = toys.sd()
    plain = toys.run(pipe)
    latents, trace = nursed(pipe, Watch())
    assert torch.equal(latents, plain)
    assert trace.truncated_forwards == trace.backwards == 0
    assert [record.step.index for record in trace.steps] == [0, 1, 2]
    first = nursed(pipe, always(stop=0.34))[1].steps[0]
    assert trace.steps[0].peaks[0] == pytest.approx(first.peaks[0], abs=1e-4)


def test_weights_get_no_gradient():
    pipe = toys.sd()
    asked = []

    def look(reading):
        asked.extend(p.requires_grad for p in pipe.unet.parameters())
        return always().loss(reading)

    nursed(pipe, Objective(look))
    assert not any(asked)
    assert all(p.requires_grad and p.grad is None for p in pipe.unet.parameters())


def test_nothing_is_kept_alive():
    pipe = toys.sd()
    with nurse(pipe, always(), prompt=PROMPT, subjects=SUBJECTS) as trace:
        toys.run(pipe)
    assert not any(record.loss.requires_grad for record in trace.steps)
    gc.collect()
    assert not any(
        issubclass(type(o), torch.Tensor) and o.grad_fn is not None for o in gc.get_objects()
    )


@pytest.mark.parametrize("scheduler", ["pndm", "heun", "dpm-single"])
def test_a_sample_the_scheduler_ignores_is_not_moved(scheduler):
    pipe = scheduled(scheduler)
    _, trace = nursed(pipe, steps=6)
    indices = [record.step.index for record in trace.steps]
    assert (
        indices
        == {
            "pndm": [0, 2, 3, 4, 5, 6],
            "heun": [0, 1, 2, 3, 4, 5],
            "dpm-single": [0, 2, 4, 5],
        }[scheduler]
    )
    counts = {record.step.count for record in trace.steps}
    assert counts == {7 if scheduler == "pndm" else 6}
    repeats, others = nursed(pipe, always(nurses_repeats=True), steps=6)
    assert len(others.steps) == others.full_forwards


# What cannot be nursed says so by name.


def refused(pipe, error, match, method=None, **others):
    """A run is refused, and the pipeline is as before."""
    before = state(pipe)
    with pytest.raises(error, match=match):
        nursed(pipe, method, **others)
    assert state(pipe) == before


def test_sliced_attention_is_named():
    pipe = toys.sd()
    pipe.enable_attention_slicing(1)
    refused(pipe, NoAttentionRecorded, r"3 of 3 layers.*down_blocks.*disable_attention_slicing")
    pipe.disable_attention_slicing()
    nursed(pipe)


@pytest.mark.parametrize("method", [AttentionRegulation(), TokenReweighting()])
def test_edits_that_never_reach_attention_are_named(method):
    pipe = toys.sd()
    pipe.enable_attention_slicing(1)
    refused(pipe, NoAttentionRecorded, "disable_attention_slicing", method)


def test_a_processor_that_writes_attention_out_is_named():
    pipe = toys.sd()
    pipe.unet.up_blocks[1].attentions[0].transformer_blocks[0].attn2.set_processor(AttnProcessor())
    refused(pipe, NoAttentionRecorded, "1 of 3 layers.*up_blocks.1.attentions.0", Watch())


def test_a_cache_is_named():
    from diffusers import PyramidAttentionBroadcastConfig
    from diffusers.hooks import apply_pyramid_attention_broadcast

    pipe = toys.sd()
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_block_identifiers=["transformer_blocks"],
        current_timestep_callback=lambda: 500,
    )
    apply_pyramid_attention_broadcast(pipe.unet, config)
    refused(pipe, UnsupportedPipeline, "hook")


def test_group_offload_is_named():
    from diffusers.hooks import apply_group_offloading

    pipe = toys.sd()
    cpu = torch.device("cpu")
    apply_group_offloading(pipe.unet, onload_device=cpu, offload_type="leaf_level")
    refused(pipe, UnsupportedPipeline, "group offload")


def test_sequential_offload_is_named():
    accelerate = pytest.importorskip("accelerate")
    pipe = toys.sd()
    accelerate.cpu_offload(pipe.unet, execution_device="cpu")
    with pytest.raises(UnsupportedPipeline, match="enable_model_cpu_offload"):
        nursed(pipe)


def test_three_branches_are_named():
    parts = toys._sd_parts(in_channels=8) | {"image_encoder": None}
    with pytest.raises(UnsupportedPipeline, match="three branches"):
        nursed(StableDiffusionInstructPix2PixPipeline(**parts))
    parts = toys._sd_parts() | {"image_encoder": None, "pag_applied_layers": "mid"}
    with pytest.raises(UnsupportedPipeline, match="three branches"):
        nursed(StableDiffusionPAGPipeline(**parts))
    parts = sd3.parts() | {"pag_applied_layers": "blocks.0"}
    with pytest.raises(UnsupportedPipeline, match="three branches"):
        nursed(StableDiffusion3PAGPipeline(**parts))


def test_a_batch_that_does_not_fit_the_prompts_is_named():
    pipe = toys.sd()
    with (
        pytest.raises(UnsupportedPipeline, match="other prompts than the 2"),
        nurse(pipe, always(), prompt=[PROMPT] * 2),
    ):
        toys.run(pipe)
    nursed(pipe)


OTHER = "a red dog"


@pytest.mark.parametrize(
    ("told", "drawn", "images"),
    [
        (PROMPT, [PROMPT, OTHER], 1),
        ([PROMPT, OTHER], [PROMPT, OTHER] * 2, 1),
        ([PROMPT, OTHER], PROMPT, 2),
        ([PROMPT, PROMPT, OTHER], PROMPT, 3),
    ],
)
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_other_prompts_than_the_pipelines_are_named(told, drawn, images, guidance_scale):
    pipe = toys.sd()
    others = {"num_images_per_prompt": images, "guidance_scale": guidance_scale}
    with (
        pytest.raises(UnsupportedPipeline, match="other prompts than the"),
        nurse(pipe, Watch(), prompt=told),
    ):
        toys.run(pipe, drawn, **others)


@pytest.mark.parametrize("told", [PROMPT, [PROMPT, PROMPT]])
def test_one_prompt_may_be_said_twice(told):
    pipe = toys.sd()
    with nurse(pipe, Watch(), prompt=told) as trace:
        toys.run(pipe, [PROMPT, PROMPT], seeds=[0, 1])
    assert trace.prompts == (PROMPT, PROMPT)


def test_torch_still_has_the_call_that_is_covered():
    """`nurse` sets the first of these names on the denoiser; its call falls back on the second."""
    module, met = torch.nn.Identity(), []
    assert module._call_impl(3) == 3, "torch.nn.Module has no _call_impl any more"
    vars(module)["_compiled_call_impl"] = met.append
    module(3)
    assert met == [3], "torch.nn.Module no longer calls _compiled_call_impl"
    del vars(module)["_compiled_call_impl"]
    assert module(3) == 3 and met == [3]


def test_pipelines_of_other_kinds_are_named():
    with pytest.raises(UnsupportedPipeline, match="no unet and no transformer"):
        nursed(object())
    parts = {k: v for k, v in toys._sd_parts().items()}
    with pytest.raises(UnsupportedPipeline, match="nurses by itself"):
        nursed(StableDiffusionAttendAndExcitePipeline(**parts))


def test_a_pipeline_without_a_tokenizer_is_named():
    parts = toys._sd_parts() | {"text_encoder": None, "tokenizer": None}
    with pytest.raises(UnsupportedPipeline, match="no tokenizer"):
        nursed(toys.StableDiffusionPipeline(**parts))


def test_sa_solver_is_named():
    pipe = toys.sd()
    pipe.scheduler = SASolverScheduler(**toys.BETAS)
    refused(pipe, UnsupportedPipeline, "SASolver")


def test_a_scheduler_replaced_inside_the_block_is_named():
    pipe = toys.sd()
    with (
        pytest.raises(UnsupportedPipeline, match="replaced"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        pipe.scheduler = SCHEDULERS["euler"]()
        toys.run(pipe)


@pytest.mark.parametrize("how", ["replaced", "wrapped", "compiled"])
def test_a_denoiser_replaced_or_compiled_inside_the_block_is_named(how):
    pipe = toys.sd()
    with (
        pytest.raises(UnsupportedPipeline, match="replaced or compiled"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        toys.run(pipe)
        if how == "compiled":
            pipe.unet.compile(backend="eager")
        elif how == "wrapped":
            pipe.unet = torch.compile(pipe.unet, backend="eager")
        else:
            pipe.unet = toys.unet()
        toys.run(pipe)
    assert ("_compiled_call_impl" in vars(pipe.unet)) == (how == "compiled")
    nursed(pipe)


def test_a_second_block_is_named():
    pipe, other = toys.sd(), toys.sd()
    other.scheduler = pipe.scheduler
    with nurse(pipe, always(), prompt=PROMPT):
        before = state(pipe)
        for second in (pipe, other):
            with pytest.raises(AlreadyNursed), nurse(second, always(), prompt=PROMPT):
                pass
        assert state(pipe) == before
        toys.run(pipe)
    nursed(pipe)


def test_a_block_is_entered_as_often_as_wanted():
    pipe = toys.sd()
    block = nurse(pipe, always(), prompt=PROMPT)
    traces = []
    for _ in range(2):
        with block as trace:
            with pytest.raises(AlreadyNursed), block:
                pass
            toys.run(pipe)
        traces.append(trace)
    assert [len(trace.runs) for trace in traces] == [1, 1]


def test_what_is_not_finite_is_named():
    pipe = toys.sd()
    noise = torch.full((1, 4, 8, 8), float("nan"))
    refused(pipe, NonFiniteLoss, "latents hold NaN .* step 0", latents=noise)

    def bad(reading):
        return always().loss(reading) / 0

    refused(pipe, NonFiniteLoss, "loss is", Objective(bad))

    def steep(reading):
        return always().loss(reading) * 1e38 * 1e38 * 0

    refused(pipe, NonFiniteLoss, "loss is", Objective(steep))


@pytest.mark.parametrize("method", [AttentionRegulation(), TokenReweighting(), Watch()])
def test_latents_that_are_not_finite_are_named_by_every_method(method):
    for bad in (float("nan"), float("inf")):
        noise = torch.zeros((1, 4, 8, 8))
        noise[0, 0, 0, 0] = bad
        refused(toys.sd(), NonFiniteLoss, "latents hold NaN .* step 0", method, latents=noise)


def test_steps_out_of_all_range_are_named():
    far = always(step_size=3e38 * 1e30)
    refused(toys.sd(), NonFiniteLoss, r"A step of size 3e\+68 took the latents to NaN", far)
    # Finite latents of which the model makes nothing finite, at the last step of all.
    last = always(step_size=1e37, start=0.67)
    refused(toys.sd(), NonFiniteLoss, "result holds NaN or infinity at step 2", last)


def test_a_loss_that_does_not_depend_on_the_maps_is_named():
    def detached(reading):
        return torch.ones(len(reading))

    refused(toys.sd(), ValueError, "does not depend on the attention maps", Objective(detached))


@pytest.mark.parametrize("index", [0, 6, 7, 76, 77, -1])
def test_a_token_index_that_is_no_word_is_named(index):
    subjects = [CAT, Subject("frog", (index,))]
    refused(toys.sd(), SubjectNotFound, "'frog'.*2 'cat'", subjects=subjects)


def test_two_methods_that_move_latents_are_named():
    refused(toys.sd(), ValueError, "add them", [always(), always()])


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("attend-and-excite", "'attend-and-excite' as"),
        (Objective, "<class .*Objective'> as"),
        ([always(), "token-reweighting"], "'token-reweighting' as"),
        ([TokenReweighting], "<class .*TokenReweighting'> as"),
        (None, "None as"),
        ([], "no method"),
    ],
)
def test_what_is_no_instance_of_a_method_is_named(given, got):
    with (
        pytest.raises(ValueError, match=f"Got {got}.*; give an instance"),
        nurse(toys.sd(), given, prompt=PROMPT),
    ):
        pass


def test_layers_are_chosen_by_a_pattern_that_ends():
    family = family_of(toys.sd())
    assert {layer.name.split(".")[0] for layer in family.chosen("up_blocks*")} == {"up_blocks"}
    with pytest.raises(ValueError, match="fits no attention layer .* a pattern of names"):
        family.chosen("([a-z_.0-9]+)+!")
    with pytest.raises(ValueError, match="fits no attention layer"):
        family.chosen("*a" * 100)
