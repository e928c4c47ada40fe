"""Bad input of transformers: one clear line each, and what is harmless is nursed."""

import functools

import pytest
import torch
from diffusers import ContextParallelConfig, DiTTransformer2DModel, FirstBlockCacheConfig

import adhere
from adhere.errors import SubjectNotFound, UnsupportedPipeline
from adhere.nursing import nurse

from . import FAMILIES
from .nursing import PROMPT, always, nursed, plain, state


def refused(pipe, match, prompt=PROMPT):
    """The block does not open, and the pipeline is as before."""
    before = state(pipe)
    with (
        pytest.raises(UnsupportedPipeline, match=match),
        nurse(pipe, always(), prompt=prompt),
    ):
        pass
    assert state(pipe) == before


def test_a_transformer_that_is_not_listed_is_named_with_those_that_are():
    pipe = FAMILIES["pixart-sigma"].build()
    pipe.transformer = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=1, sample_size=8
    )
    refused(pipe, "DiTTransformer2DModel, which cannot be nursed. Use a .* around one of: UNet2D")


def test_a_cache_that_keeps_state_is_named():
    pipe = FAMILIES["flux"].build()
    pipe.transformer.enable_cache(FirstBlockCacheConfig())
    refused(pipe, "cache that keeps state .* Turn it off first: .*disable_cache")
    pipe.transformer.disable_cache()
    nursed(FAMILIES["flux"], pipe, always(), steps=2)


def test_a_denoiser_split_over_processes_is_named():
    pipe = FAMILIES["flux"].build()
    pipe.transformer._parallel_config = ContextParallelConfig(ring_degree=2)
    refused(pipe, "runs context-parallel, .* Load it without enable_parallelism")


def test_weights_loaded_in_inference_mode_are_named():
    with torch.inference_mode():
        pipe = FAMILIES["flux"].build()
    refused(pipe, "loaded under torch.inference_mode.*Load it outside")


def test_layerwise_casting_is_harmless():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.bfloat16, compute_dtype=torch.float32
    )
    expected = plain(toy, pipe, steps=2)
    latents, trace = nursed(toy, pipe, always(step_size=5.0), steps=2)
    assert len(trace.steps) == trace.backwards == 2
    assert latents.isfinite().all() and not torch.equal(latents, expected)
    assert torch.equal(plain(toy, pipe, steps=2), expected)


@pytest.mark.parametrize("kind", ["flux", "qwen-image"])
def test_another_attention_backend_is_pytorchs_own_where_attention_is_read(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    methods = always(step_size=5.0), adhere.TokenReweighting()
    expected = [nursed(toy, pipe, method, steps=2)[0] for method in methods]
    pipe.transformer.set_attention_backend("_native_math")
    try:
        before = state(pipe)
        for method, latents in zip(methods, expected, strict=True):
            found, _ = nursed(toy, pipe, method, steps=2)
            torch.testing.assert_close(found, latents, atol=1e-4, rtol=1e-4)
        assert state(pipe) == before
    finally:
        # Diffusers keeps the backend for the whole process.
        pipe.transformer.set_attention_backend("native")


def rewriting(pipe, old, new):
    """The pipeline, of a class that rewrites what it is given before it is encoded."""
    own = type(pipe).encode_prompt

    @functools.wraps(own)
    def encode_prompt(self, prompt, *positional, **named):
        prompts = [prompt] if isinstance(prompt, str) else prompt
        changed = [text.replace(old, new) for text in prompts]
        return own(self, changed, *positional, **named)

    pipe.__class__ = type("Rewriting", (type(pipe),), {"encode_prompt": encode_prompt})
    return pipe


@pytest.mark.parametrize("new", ["large yellow car", "dog"])
@pytest.mark.parametrize(
    "kind", [name for name, toy in FAMILIES.items() if hasattr(toy.build(), "encode_prompt")]
)
def test_a_prompt_that_the_pipeline_rewrites_is_named(kind, new):
    toy = FAMILIES[kind]
    pipe = rewriting(toy.build(), "car", new)
    with pytest.raises(UnsupportedPipeline, match=f"rewritten the prompt .a red car.*{new}"):
        nursed(toy, pipe, always(), steps=2)


def test_a_mask_longer_than_the_prompts_is_named():
    toy = FAMILIES["qwen-image"]
    pipe = toy.build()
    with torch.no_grad():
        text, _ = pipe.encode_prompt(PROMPT)
    text = torch.cat([text, text], 1)[:, : text.shape[1] + 2]
    call = toy.call(None, prompt_embeds=text, prompt_embeds_mask=torch.ones(text.shape[:2]).long())
    with (
        pytest.raises(UnsupportedPipeline, match=r"reads \d+ text columns, where 'a red car"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        pipe(**call)


def test_embeddings_that_are_too_short_name_the_word():
    toy = FAMILIES["flux"]
    pipe = toy.build()
    with torch.no_grad():
        text, pooled, _ = pipe.encode_prompt(PROMPT, None)
    call = toy.call(None, prompt_embeds=text[:, :4], pooled_prompt_embeds=pooled)
    with (
        pytest.raises(SubjectNotFound, match="'bowl' has no column .* Shorten the prompt"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        pipe(**call)


@pytest.mark.parametrize("kind", ["flux", "sd3", "qwen-image", "pixart-sigma"])
def test_another_prompt_of_a_pipeline_that_shares_the_components_is_named(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    second = type(pipe)(**pipe.components)
    with nurse(pipe, always(), prompt=PROMPT) as trace:
        second(**toy.call(PROMPT))
        with pytest.raises(UnsupportedPipeline, match="rewritten the prompt 'a red car"):
            second(**toy.call("a green dog and a small cat"))
        second(**toy.call(PROMPT))
    assert trace.backwards > 0
