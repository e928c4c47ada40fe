"""The facts of PixArt, Sana, Krea-2, Lumina-2, AuraFlow, CogView4 and HunyuanImage."""

from dataclasses import replace
from inspect import signature
from typing import Any

from .facts_qwen import filled
from .layout import (
    Layout,
    Stream,
    by_cells,
    by_first,
    by_patches,
    by_positions,
    unmasked,
)


def instructed(pipe: Any, prompt: str) -> str:
    """Sana's instruction in front of the prompt."""
    return _instruction(pipe) + prompt


def _instruction(pipe: Any) -> str:
    return "\n".join(signature(pipe.__call__).parameters["complex_human_instruction"].default)


def _before(pipe: Any) -> int:
    return len(pipe.tokenizer.encode(_instruction(pipe))) - 2


PIXART = Layout(
    denoiser="PixArtTransformer2DModel",
    modules=r"transformer_blocks\.\d+\.attn2",
    order="cross",
    sample=0,
    text="encoder_hidden_states",
    shapes={
        0: "B C H W",
        "encoder_hidden_states": "B T D",
        "encoder_attention_mask": "B T",
        "timestep": "B",
    },
    grid=by_first,
    guidance="batch: negative, positive",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, do_classifier_free_guidance=True, negative_prompt='', ..., "
        "max_sequence_length=300) -> (positive, mask, negative, negative mask)"
    ),
    streams=(Stream("tokenizer", "text_encoder"),),
    notes=(
        "The latents are the first positional argument; the rest have names.",
        "Attention over keys of the text alone: a row's probabilities sum to 1 over it.",
        "Attention gets a float mask, -10000 for a masked key, of (B, heads, 1, T).",
        "attn1 is attention of the image with itself.",
        "The prediction has a variance in its second half of channels, which the pipeline drops.",
        "The prompt is lower-cased; with clean_caption, the default of a call, it is rewritten "
        "where Beautiful Soup is installed.",
        "use_resolution_binning, the default of a call, changes the size of the latents.",
        "added_cond_kwargs is a dictionary of tensors or None.",
        "There is no do_classifier_free_guidance and no num_timesteps.",
    ),
)
SANA = replace(
    PIXART,
    denoiser="SanaTransformer2DModel",
    streams=(Stream("tokenizer", "text_encoder", instructed, drop=_before),),
    notes=(
        *PIXART.notes[:3],
        "attn1 is linear attention, without scaled_dot_product_attention.",
        "Kept columns are token 0 and the last max_sequence_length - 1 of the padded sequence, "
        "which has tokens of the instruction + max_sequence_length - 2: so column 1 is the "
        "instruction's last token and column 2 the prompt's first.",
        "The negative prompt has no instruction in front: its token j is its column j.",
        "complex_human_instruction is an argument of the call: another one moves the columns.",
        "The pipeline sets tokenizer.padding_side to right.",
        "The prompt is lower-cased, the instruction with it is not.",
    ),
)
KREA = Layout(
    denoiser="Krea2Transformer2DModel",
    modules=r"transformer_blocks\.\d+\.attn",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B N C",
        "encoder_hidden_states": "B T K D",
        "timestep": "B",
        "position_ids": "L 3",
        "encoder_attention_mask": "B T",
    },
    grid=by_positions,
    guidance="two calls: positive, negative",
    step="B N C",
    encode=(
        "encode_prompt(prompt, device=None, ..., max_sequence_length=512) -> (embeddings, mask); "
        "called again for the negative prompt"
    ),
    streams=(
        Stream(
            "tokenizer",
            "text_encoder",
            lambda pipe, prompt: pipe.prompt_template_encode_prefix + prompt,
            drop=34,
        ),
    ),
    notes=(
        "timestep is t / 1000.",
        "Text is prompt, padding, end of the template (5 tokens): the padding is in the middle. "
        "T is max_sequence_length.",
        "Attention always gets a bool mask (B, 1, 1, T + N).",
        "There are fewer heads of keys than of queries; keys come expanded to attention.",
        "text_fusion mixes the columns before the blocks: a column holds something of all words.",
        "guidance_scale above 0 guides: positive + scale * (positive - negative).",
    ),
)
LUMINA = Layout(
    denoiser="Lumina2Transformer2DModel",
    modules=r"layers\.\d+\.attn",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B C H W",
        "timestep": "B",
        "encoder_hidden_states": "B T D",
        "encoder_attention_mask": "B T",
    },
    grid=by_patches,
    guidance="two calls: positive, negative",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, do_classifier_free_guidance=True, negative_prompt=None, ..., "
        "system_prompt=None, max_sequence_length=256) -> (positive, mask, negative, negative mask)"
    ),
    streams=(
        Stream(
            "tokenizer",
            "text_encoder",
            lambda pipe, prompt: f"{pipe.system_prompt} <Prompt Start> {prompt}",
        ),
    ),
    length=unmasked,
    notes=(
        "The image follows at once the text's unmasked columns, of each sample: image rows begin "
        "at encoder_attention_mask[sample].sum(). Shorter samples are padded at the end, with a "
        "bool mask only where lengths differ.",
        "noise_refiner is attention of the image with itself, context_refiner of the text: a "
        "column holds something of all words.",
        "Time is 1 - t / 1000; the pipeline negates the prediction.",
        "There are fewer heads of keys than of queries; keys come expanded to attention, which "
        "has a scale of its own.",
        "The negative prompt has no system prompt in front.",
        "system_prompt is an argument of the call: another one moves the columns.",
        "Guidance may end in mid-run (cfg_trunc_ratio): then a step has one call.",
        "The autoencoder's factor counts as 8, whatever it is.",
    ),
)
AURA = Layout(
    denoiser="AuraFlowTransformer2DModel",
    modules=r"(joint|single)_transformer_blocks\.\d+\.attn",
    order="text image",
    sample=0,
    text="encoder_hidden_states",
    shapes={0: "B C H W", "encoder_hidden_states": "B T D", "timestep": "B"},
    grid=by_first,
    guidance="batch: negative, positive",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, negative_prompt=None, do_classifier_free_guidance=True, ..., "
        "max_sequence_length=256) -> (positive, mask, negative, negative mask)"
    ),
    streams=(Stream("tokenizer", "text_encoder"),),
    leading=8,
    notes=(
        "The latents are the first positional argument; the rest have names.",
        "timestep is t / 1000.",
        "Eight learned tokens are in front of the text.",
        "Embeddings of padding are zeros; they are attended all the same.",
        "There is no do_classifier_free_guidance.",
    ),
)
COGVIEW = Layout(
    denoiser="CogView4Transformer2DModel",
    modules=r"transformer_blocks\.\d+\.attn1",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B C H W",
        "encoder_hidden_states": "B T D",
        "timestep": "B",
        "original_size": "1 2",
        "target_size": "1 2",
        "crop_coords": "1 2",
    },
    grid=by_patches,
    guidance="two calls: positive, negative",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, negative_prompt=None, do_classifier_free_guidance=True, ..., "
        "max_sequence_length=1024) -> (positive, negative)"
    ),
    streams=(Stream("tokenizer", "text_encoder", end=True),),
    notes=(
        "Text is padded on the left, first to the longest prompt, then to a multiple of 16; "
        "padding is attended. T may differ between the two calls of a step.",
        "original_size, target_size and crop_coords have one row, whatever the batch.",
    ),
)
HUNYUAN = Layout(
    denoiser="HunyuanImageTransformer2DModel",
    modules=r"(single_)?transformer_blocks\.\d+\.attn",
    order="image text",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B C H W",
        "timestep": "B",
        "encoder_hidden_states": "B T D",
        "encoder_attention_mask": "B T",
        "encoder_hidden_states_2": "B S E",
        "encoder_attention_mask_2": "B S",
    },
    grid=by_cells,
    guidance="always two calls: positive, negative",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, device=None, batch_size=1, num_images_per_prompt=1, ...) -> "
        "(embeddings, mask, glyph embeddings, glyph mask); called again for the negative prompt. "
        "A list of prompts needs batch_size"
    ),
    streams=(Stream("tokenizer", "text_encoder", filled, drop=34),),
    length=unmasked,
    notes=(
        "Text keys of a sample are: its glyphs' valid columns, valid columns of the prompt, the "
        "glyphs' masked columns, masked columns of the prompt. Glyphs are texts in quotes: "
        "without quotes the prompt's columns come first.",
        "T is pipe.tokenizer_max_length (1000; the toy sets 32), S tokenizer_2_max_length (128).",
        "Attention always gets a bool mask (B, 1, 1, N + T + S).",
        "The last block's keys have all columns too.",
        "context_embedder mixes the columns before the blocks: a column holds something of all "
        "words.",
        "pipe.guider holds the strength of guidance; pipe.ocr_guider takes its place for a prompt "
        "with quotes. Without a guider (the distilled model) a step has one call.",
        "The distilled model has an argument guidance (B).",
    ),
)
FACTS: dict[str, Layout] = {
    "pixart-sigma": PIXART,
    "sana": SANA,
    "krea-2": KREA,
    "krea-2-turbo": replace(KREA, guidance="one call"),
    "lumina-2": LUMINA,
    "aura-flow": AURA,
    "cogview4": COGVIEW,
    "hunyuan-image": HUNYUAN,
    "hunyuan-image-distilled": replace(
        HUNYUAN, guidance="one call", shapes={**HUNYUAN.shapes, "guidance": "B"}
    ),
}
