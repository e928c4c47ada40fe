"""Pipelines that cannot be nursed: enough of each to be asked, not to be run.

GLM-Image's denoiser reads quoted text alone; FIBO and Ideogram-4 read structured prompts, and
Ideogram-4 has a second denoiser; OmniGen's is a language model; Klein-KV takes two calls of
attention a layer, then keeps keys.
"""

import torch
from diffusers import (
    BriaFiboPipeline,
    BriaFiboTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinKVPipeline,
    GlmImagePipeline,
    GlmImageTransformer2DModel,
    Ideogram4Pipeline,
    Ideogram4Transformer2DModel,
    OmniGenTransformer2DModel,
)
from transformers import ByT5Tokenizer, Qwen3ForCausalLM

from . import encoders, flux2, words
from .toy import quiet


def glm_image():
    """GLM-Image without the model that plans the image."""
    torch.manual_seed(2)
    model = GlmImageTransformer2DModel(
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=encoders.WIDTH,
        time_embed_dim=16,
        condition_dim=8,
        prior_vq_quantizer_codebook_size=32,
    )
    return quiet(
        GlmImagePipeline(
            tokenizer=ByT5Tokenizer(),
            processor=None,
            text_encoder=encoders.byt5(),
            vision_language_encoder=None,
            vae=encoders.vae(16),
            transformer=model.eval(),
            scheduler=FlowMatchEulerDiscreteScheduler(),
        )
    )


def fibo():
    """FIBO without its text encoder."""
    torch.manual_seed(2)
    model = BriaFiboTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=64,
        text_encoder_dim=32,
        axes_dims_rope=[4, 4, 8],
    )
    return quiet(
        BriaFiboPipeline(
            transformer=model.eval(),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=encoders.qwen_vae(4),
            text_encoder=None,
            tokenizer=words.qwen(),
        )
    )


def ideogram4():
    """Ideogram-4 without its text encoder, with both denoisers."""

    def model(seed):
        torch.manual_seed(seed)
        return Ideogram4Transformer2DModel(
            in_channels=16,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            intermediate_size=32,
            adaln_dim=16,
            llm_features_dim=32,
            mrope_section=(4, 2, 2),
        ).eval()

    return quiet(
        Ideogram4Pipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=flux2.vae(),
            text_encoder=None,
            tokenizer=words.qwen(),
            transformer=model(2),
            unconditional_transformer=model(3),
        )
    )


def klein_kv():
    """FLUX.2 Klein that keeps a reference's keys between steps."""
    return quiet(
        Flux2KleinKVPipeline(
            transformer=flux2.transformer(),
            scheduler=flux2.scheduler(),
            vae=flux2.vae(),
            text_encoder=encoders.qwen3(Qwen3ForCausalLM, layers=27),
            tokenizer=words.qwen(),
        )
    )


def omnigen():
    """OmniGen, whose language model denoises, in FIBO's pipeline: its own needs torchvision."""
    torch.manual_seed(2)
    model = OmniGenTransformer2DModel(
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        num_layers=1,
        vocab_size=64,
        pad_token_id=0,
        time_step_dim=8,
        rope_scaling={"short_factor": [1.0] * 8, "long_factor": [1.0] * 8},
    )
    pipe = fibo()
    pipe.register_modules(transformer=model.eval())
    return pipe


REFUSED = {
    "glm-image": glm_image,
    "fibo": fibo,
    "ideogram-4": ideogram4,
    "omnigen": omnigen,
    "klein-kv": klein_kv,
}
