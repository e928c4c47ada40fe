"""The laws of nursing for every family of transformer, at toy size."""

import threading
from dataclasses import dataclass, field, replace

import pytest
import torch

import adhere
from adhere.attention.call import AttentionCall, Region
from adhere.errors import SubjectNotFound, UnsupportedPipeline
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.nursing import nurse

from . import FAMILIES
from .refused import REFUSED
from .toy import with_scheduler

PROMPT = "a red car and a blue bowl"
# So small that latents do not move, though every pass is run.
NOTHING = 1e-30
KINDS = sorted(FAMILIES)
EDITS = [adhere.TokenReweighting(), adhere.TokenReweighting(mode="words")]


@dataclass(frozen=True)
class Noting(AttendAndExcite):
    """Attend-and-Excite that notes what every pass has reached."""

    seen: list = field(default_factory=list)

    def loss(self, reading):
        """As ever, and noted."""
        loss = super().loss(reading)
        self.seen.append(1 - loss.detach())
        return loss


def always(kind=AttendAndExcite, **changes):
    """A method at every step, without thresholds, on raw probabilities."""
    return kind(**{"stop": 1.0, "refine_at": (), "temperature": None, **changes})


def state(pipe):
    """Everything of a pipeline that nursing could leave behind."""
    denoiser = getattr(pipe, "transformer", None) or pipe.unet
    modules = {
        name: (
            sorted(set(vars(m)) - {"_is_full_backward_hook"}),
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            vars(m.processor).get("_attention_backend") if hasattr(m, "processor") else None,
        )
        for name, m in denoiser.named_modules()
    }
    shadows = {"step", "set_timesteps", "disable_corrector"} & set(vars(pipe.scheduler))
    asking = [p.requires_grad for p in denoiser.parameters()]
    return modules, shadows, "encode_prompt" in vars(pipe), asking


def nursed(toy, pipe, method, prompt=PROMPT, **others):
    """Latents and trace of a nursed run."""
    # A modular pipeline encodes its prompt in a block, where it cannot be overheard.
    told = {} if hasattr(pipe, "encode_prompt") else {"prompt": prompt}
    with nurse(pipe, method, **told) as trace:
        latents = plain(toy, pipe, prompt, **others)
    return latents, trace


def plain(toy, pipe, prompt=PROMPT, **others):
    """Latents as the pipeline gives them."""
    # Some schedulers draw from the global generator; Z-Image writes into a list of prompts.
    torch.manual_seed(0)
    prompt = prompt if isinstance(prompt, str) else list(prompt)
    return torch.as_tensor(toy.run(pipe, prompt, **others))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("guided", "wide"), [(True, False), (False, True)])
def test_a_step_size_of_nothing_changes_no_bit_and_nothing_stays(kind, guided, wide):
    toy = FAMILIES[kind]
    pipe = toy.build()
    options = {"guided": guided, "wide": wide}
    # diffusers itself leaves something behind in a first run.
    expected, before = plain(toy, pipe, **options), state(pipe)
    latents, trace = nursed(toy, pipe, always(step_size=NOTHING), **options)
    assert torch.equal(latents, expected)
    assert len(trace.steps) == trace.backwards > 0
    assert [subject.text for subject in trace.subjects[0]] == ["car", "bowl"]
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe, **options), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nursing_moves_the_latents_and_one_small_step_lowers_the_loss(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    expected = plain(toy, pipe, guided=True)
    latents, _ = nursed(toy, pipe, always(step_size=5.0), guided=True)
    assert latents.isfinite().all()
    assert not torch.equal(latents, expected)
    method = always(Noting, refine_at=((0.0, 2.0),), max_refinements=1, step_size=0.05, stop=0.3)
    nursed(toy, pipe, method, guided=True)
    before, after = method.seen[:2]
    assert (after > before).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "method", [adhere.TokenReweighting(), adhere.TokenReweighting(mode="words")]
)
def test_edits_act_on_the_conditional_call_alone(kind, method):
    toy = FAMILIES[kind]
    pipe = toy.build()
    expected = plain(toy, pipe, guided=True)
    neutral = replace(method, alpha=1.0, beta=1.0)
    same, _ = nursed(toy, pipe, neutral, guided=True)
    torch.testing.assert_close(same, expected, rtol=1e-3, atol=1e-3)
    latents, trace = nursed(toy, pipe, method, guided=True)
    assert not torch.allclose(latents, expected, rtol=1e-4, atol=1e-4)
    assert trace.edited_layers > 0


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_samples_one_by_one(kind):
    toy = FAMILIES[kind]
    if not toy.lists:
        pytest.skip("The pipeline takes one prompt.")
    pipe = toy.build()
    pipe.to(torch.float64)
    prompts = [PROMPT, "a red cat and a blue frog"]
    method = always(step_size=2.0)
    expected = plain(toy, pipe, prompts, seeds=(0, 1))
    _, trace = nursed(toy, pipe, method, prompts, seeds=(0, 1))
    for sample, prompt in enumerate(prompts):
        single = plain(toy, pipe, prompt, seeds=(sample,))
        if not torch.allclose(single[0], expected[sample], rtol=1e-4, atol=1e-6):
            pytest.skip("The pipeline itself draws another image in a batch.")
        _, alone = nursed(toy, pipe, method, prompt, seeds=(sample,))
        assert trace.weakest(sample) == pytest.approx(alone.weakest(), rel=1e-4, abs=1e-6)


# The first scheduler of a toy is the one that every other test runs.
@pytest.mark.parametrize("kind", [k for k in KINDS if len(FAMILIES[k].schedulers) > 1])
def test_every_scheduler_of_the_family(kind):
    toy = FAMILIES[kind]
    for name in toy.schedulers[1:]:
        pipe = with_scheduler(toy.build(), name)
        expected = plain(toy, pipe)
        latents, trace = nursed(toy, pipe, always(step_size=NOTHING))
        assert torch.equal(latents, expected), name
        latents, _ = nursed(toy, pipe, always(step_size=5.0))
        assert latents.isfinite().all() and not torch.equal(latents, expected), name
        assert torch.equal(plain(toy, pipe), expected), name


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_half_precision_stays_finite(kind, dtype):
    toy = FAMILIES[kind]
    pipe = toy.build()
    pipe.to(dtype)
    latents, trace = nursed(toy, pipe, always(step_size=2.0))
    assert latents.isfinite().all()
    assert trace.loss.dtype == torch.float32


def test_probabilities_are_over_all_keys_and_the_text_has_a_share():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((2, 3, 12, 4), generator=generator) for _ in range(3))
    call = AttentionCall(query, key, value)
    region = Region.of(1, 1, slice(4, 12), slice(0, 4))
    rows = call.mean_probabilities(region)
    whole = (query @ key.mT / 2).softmax(-1)[1:, :, 4:, :4].mean(1)
    torch.testing.assert_close(rows, whole)
    assert (rows.sum(-1) < 1).all()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_nursed_is_refused_by_name_with_the_reason(kind):
    reasons = {
        "glm-image": "GlmImageTransformer2DModel.*quoted words",
        "fibo": "BriaFiboTransformer2DModel.*structured",
        "ideogram-4": "Ideogram4Transformer2DModel.*structured",
        "klein-kv": "Flux2KleinKVPipeline keeps keys and values",
    }
    with (
        pytest.raises(UnsupportedPipeline, match=reasons[kind]),
        nurse(REFUSED[kind](), always(), prompt=PROMPT),
    ):
        pass


@pytest.mark.parametrize("kind", ["flux", "z-image", "pixart-sigma"])
def test_two_threads_nurse_two_pipelines(kind):
    toy = FAMILIES[kind]
    pipes = [toy.build(), toy.build()]
    expected = [nursed(toy, pipe, always(step_size=5.0), guided=True)[0] for pipe in pipes]
    found, errors = {}, []

    def draw(index):
        try:
            for _ in range(3):
                found[index] = nursed(toy, pipes[index], always(step_size=5.0), guided=True)[0]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=draw, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for index in range(2):
        torch.testing.assert_close(found[index], expected[index])


def test_a_prompt_that_is_cut_off_names_the_word():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    prompt = "a red car and a blue bowl and " * 6 + "a frog"
    with (
        pytest.raises(SubjectNotFound, match="'frog' has no column"),
        nurse(pipe, always(), subjects=["car", "frog"]),
    ):
        toy.run(pipe, prompt)


def test_a_second_prompt_inside_one_block():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    with nurse(pipe, always()) as trace:
        toy.run(pipe, PROMPT, guided=True)
        toy.run(pipe, "a cat and a frog", guided=True)
    assert [run.prompts for run in trace.runs] == [(PROMPT,), ("a cat and a frog",)]
    assert [subject.text for subject in trace.subjects[0]] == ["cat", "frog"]


def test_a_prompt_given_and_another_overheard():
    toy = FAMILIES["sd3"]
    pipe = toy.build()
    with (
        pytest.raises(UnsupportedPipeline, match="other prompts than the 1 that nurse got"),
        nurse(pipe, always(), prompt="a dog and a car"),
    ):
        toy.run(pipe, PROMPT)
