"""Tiny text encoders and autoencoders of the real classes."""

import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
    T5EncoderModel,
    UMT5EncoderModel,
)

from . import words

WIDTH = 32


def clip(kind=CLIPTextModel):
    """CLIP's text encoder."""
    tokenizer = words.clip()
    torch.manual_seed(1)
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).eval()


def clip_projected():
    """CLIP's text encoder with a projected pooled output."""
    return clip(CLIPTextModelWithProjection)


def _t5(kind, vocabulary, width=WIDTH, layers=2):
    """The encoder of a T5."""
    torch.manual_seed(1)
    config = kind.config_class(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=8,
        d_ff=2 * WIDTH,
        num_layers=layers,
        num_heads=4,
    )
    return kind(config).eval()


def t5(width=WIDTH):
    """T5's encoder."""
    return _t5(T5EncoderModel, len(words.t5()), width)


def umt5():
    """UMT5's encoder."""
    return _t5(UMT5EncoderModel, len(words.t5()))


def byt5():
    """ByT5's encoder."""
    return _t5(T5EncoderModel, 384, layers=1)


def vae(channels, levels=2, **changes):
    """An autoencoder that halves the sides once less than it has levels."""
    torch.manual_seed(3)
    return AutoencoderKL(
        **{
            "block_out_channels": (8,) * levels,
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "layers_per_block": 1,
            "latent_channels": channels,
            "norm_num_groups": 4,
            "sample_size": 32,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "shift_factor": 0.06,
            "scaling_factor": 1.5,
        }
        | changes
    ).eval()


def qwen_vae(channels, levels=2):
    """Qwen-Image's autoencoder: it halves the sides once less than it has levels."""
    torch.manual_seed(3)
    return AutoencoderKLQwenImage(
        base_dim=2,
        z_dim=channels,
        dim_mult=[1] * levels,
        num_res_blocks=0,
        temperal_downsample=[False] * (levels - 1),
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
    ).eval()


# Of the towers of Qwen's models that see.
VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}


def small(layers, width, tokenizer, **others):
    """The numbers of a small language model."""
    return {
        "hidden_size": width,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
    } | others


def qwen25vl(width=WIDTH):
    """Qwen2.5-VL, text and vision."""
    tokenizer = words.qwen()
    special = tokenizer.convert_tokens_to_ids
    rope = {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"}
    text = small(2, width, tokenizer, rope_scaling=rope, rope_theta=1e6)
    text |= {"bos_token_id": special("<|endoftext|>"), "eos_token_id": special("<|im_end|>")}
    del text["head_dim"], text["max_position_embeddings"]
    torch.manual_seed(1)
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=VISION | {"out_hidden_size": width, "fullatt_block_indexes": [0]},
        hidden_size=width,
        vocab_size=len(tokenizer),
        image_token_id=special("<|image_pad|>"),
        video_token_id=special("<|video_pad|>"),
        vision_start_token_id=special("<|vision_start|>"),
        vision_end_token_id=special("<|vision_end|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen3(kind=Qwen3Model, layers=3):
    """Qwen3, the model or the causal language model."""
    torch.manual_seed(1)
    return kind(Qwen3Config(**small(layers, 16, words.qwen()))).eval()


def mistral3(layers=30):
    """Mistral 3, text and vision."""
    tokenizer = words.mistral()
    torch.manual_seed(1)
    config = Mistral3Config(
        text_config=small(layers, 16, tokenizer, model_type="mistral"),
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "head_dim": 8,
            "image_size": 56,
            "patch_size": 14,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
    )
    return Mistral3ForConditionalGeneration(config).eval()


def _ends(tokenizer, *names):
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names}


def gemma2():
    """Gemma 2."""
    tokenizer = words.gemma()
    torch.manual_seed(1)
    ends = _ends(tokenizer, "bos", "eos", "pad")
    return Gemma2Model(Gemma2Config(**small(3, WIDTH, tokenizer, **ends))).eval()


def glm():
    """GLM."""
    tokenizer = words.glm()
    torch.manual_seed(1)
    ends = _ends(tokenizer, "pad", "eos")
    return GlmModel(GlmConfig(**small(3, WIDTH, tokenizer, **ends))).eval()


def qwen3vl(kind=Qwen3VLModel, layers=3):
    """Qwen3-VL, text and vision: the model or the causal language model."""
    tokenizer = words.qwen()
    rope = {"mrope_section": [2, 1, 1], "rope_type": "default"}
    torch.manual_seed(1)
    config = Qwen3VLConfig(
        text_config=small(
            layers, 16, tokenizer, rope_scaling=rope, bos_token_id=0, eos_token_id=0
        ),
        vision_config=VISION
        | {"out_hidden_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    return kind(config).eval()
