"""Krea-2, Lumina-2, AuraFlow, CogView4 and HunyuanImage-2.1: 8 x 8 image rows."""

from dataclasses import replace

import torch
from diffusers import (
    AdaptiveProjectedMixGuidance,
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderKLHunyuanImage,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    HunyuanImagePipeline,
    HunyuanImageTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
)
from transformers import ByT5Tokenizer

from . import encoders, words
from .toy import NEGATIVE, Toy, quiet, sharpened


def krea2(is_distilled=False, taps=(1, 2, 3), **changes):
    """Krea-2, base or distilled: packed latents, more heads of queries than of keys.

    It reads the states of several layers of its text encoder, `taps`.
    """
    torch.manual_seed(2)
    options = {
        "in_channels": 16,
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "timestep_embed_dim": 16,
        "text_hidden_dim": 16,
        "num_text_layers": len(taps),
        "text_num_attention_heads": 2,
        "text_num_key_value_heads": 2,
        "text_intermediate_size": 32,
        "num_layerwise_text_blocks": 1,
        "num_refiner_text_blocks": 1,
        "axes_dims_rope": (4, 6, 6),
    }
    model = Krea2Transformer2DModel(**options | changes)
    with torch.no_grad():
        for block in model.transformer_blocks:
            # These norms scale by 1 more than their weight, which begins as 0.
            block.attn.norm_q.weight.fill_(1)
            block.attn.norm_k.weight.fill_(1)
    return quiet(
        Krea2Pipeline(
            transformer=sharpened(model, factor=1.0, gain=2.0),
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=encoders.qwen_vae(4),
            text_encoder=encoders.qwen3vl(layers=max(taps)),
            tokenizer=words.qwen(),
            text_encoder_select_layers=tuple(taps),
            is_distilled=is_distilled,
        )
    )


def lumina2(**changes):
    """Lumina-2: 4-D latents of 16 x 16, patches of 2."""
    torch.manual_seed(2)
    options = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 16,
        "hidden_size": 64,
        "num_layers": 3,
        "num_refiner_layers": 1,
        "num_attention_heads": 4,
        "num_kv_heads": 2,
        "multiple_of": 16,
        "axes_dim_rope": (4, 6, 6),
        "axes_lens": (300, 64, 64),
        "cap_feat_dim": encoders.WIDTH,
    }
    return quiet(
        Lumina2Pipeline(
            transformer=sharpened(Lumina2Transformer2DModel(**options | changes)),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
            vae=encoders.vae(16),
            text_encoder=encoders.gemma2(),
            tokenizer=words.gemma(),
        )
    )


def aura_flow(**changes):
    """AuraFlow: 4-D latents of 16 x 16, patches of 2."""
    torch.manual_seed(2)
    options = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_mmdit_layers": 2,
        "num_single_dit_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": encoders.WIDTH,
        "caption_projection_dim": 32,
        "pos_embed_max_size": 256,
    }
    model = AuraFlowTransformer2DModel(**options | changes)
    with torch.no_grad():
        # The time opens the gates behind attention, which untrained are nearly shut.
        model.time_step_proj.linear_2.weight.mul_(10)
    return quiet(
        AuraFlowPipeline(
            transformer=sharpened(model, gain=3.0),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
            vae=encoders.vae(4),
            text_encoder=encoders.umt5(),
            tokenizer=words.t5(),
        )
    )


def cogview4(**changes):
    """CogView4: 4-D latents of 16 x 16, patches of 2."""
    torch.manual_seed(2)
    options = {
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "text_embed_dim": encoders.WIDTH,
        "time_embed_dim": 16,
        "condition_dim": 8,
        "pos_embed_max_size": 32,
        "sample_size": 16,
        "rope_axes_dim": (16, 16),
    }
    return quiet(
        CogView4Pipeline(
            transformer=sharpened(CogView4Transformer2DModel(**options | changes), gain=3.0),
            scheduler=FlowMatchEulerDiscreteScheduler(
                base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True
            ),
            vae=encoders.vae(16),
            text_encoder=encoders.glm(),
            tokenizer=words.glm(),
        )
    )


def hunyuan_image(distilled=False, **changes):
    """HunyuanImage-2.1: 4-D latents of 8 x 8, one row each. A guider makes its guidance."""
    torch.manual_seed(2)
    options = {
        "in_channels": 16,
        "out_channels": 16,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_refiner_layers": 1,
        "text_embed_dim": encoders.WIDTH,
        "text_embed_2_dim": encoders.WIDTH,
        "rope_axes_dim": (8, 8),
        "guidance_embeds": distilled,
    }
    torch.manual_seed(2)
    model = HunyuanImageTransformer2DModel(**options | changes)
    torch.manual_seed(3)
    vae = AutoencoderKLHunyuanImage(
        in_channels=3,
        out_channels=3,
        latent_channels=16,
        block_out_channels=(32, 32, 32),
        layers_per_block=1,
        spatial_compression_ratio=4,
        sample_size=32,
        scaling_factor=0.75,
    )
    pipe = HunyuanImagePipeline(
        transformer=sharpened(model, gain=2.0),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        vae=vae.eval(),
        text_encoder=encoders.qwen25vl(),
        tokenizer=words.qwen(),
        text_encoder_2=encoders.byt5(),
        tokenizer_2=ByT5Tokenizer(),
        guider=None if distilled else AdaptiveProjectedMixGuidance(guidance_scale=3.5),
    )
    # 1000 columns otherwise, nearly all of them masked.
    pipe.tokenizer_max_length = 32
    return quiet(pipe)


def window(length, guided, plain=1.0):
    """Arguments with and without guidance."""
    common = {"max_sequence_length": length}
    return {
        "guided": common | {"guidance_scale": guided, "negative_prompt": NEGATIVE},
        "plain": common | {"guidance_scale": plain},
    }


SIGMAS = ("euler", "lcm", "unipc")
KREA = Toy(build=krea2, guidance="two calls", schedulers=SIGMAS, **window(32, 3.0, 0.0))
HUNYUAN = Toy(build=hunyuan_image, guidance="always two calls", schedulers=SIGMAS)
TOYS = {
    "krea-2": KREA,
    "krea-2-turbo": replace(
        KREA, build=lambda: krea2(is_distilled=True), guidance="one call", guided=KREA.plain
    ),
    "lumina-2": Toy(
        build=lumina2,
        guidance="two calls",
        schedulers=SIGMAS,
        square=(128, 128),
        wide=(128, 192),
        **window(64, 4.0),
    ),
    "aura-flow": Toy(build=aura_flow, guidance="batch", schedulers=SIGMAS, **window(32, 3.5)),
    "cogview4": Toy(
        build=cogview4, guidance="two calls", schedulers=("euler", "lcm"), **window(64, 5.0)
    ),
    "hunyuan-image": HUNYUAN,
    "hunyuan-image-distilled": replace(
        HUNYUAN, build=lambda: hunyuan_image(distilled=True), guidance="one call"
    ),
}
