"""The facts of modular pipelines, where they differ from those of the pipeline of old."""

from dataclasses import replace
from typing import Any

from diffusers.modular_pipelines.qwenimage.prompt_templates import QWENIMAGE_PROMPT_TEMPLATE

from .facts_flux import FACTS as FLUX_FACTS
from .facts_flux import FLUX, SD3
from .facts_more import KREA
from .facts_qwen import DEV, KLEIN, QWEN, Z_IMAGE
from .layout import Layout, Stream

ALWAYS = "always two calls: positive, negative"
ENCODE = "none: the pipeline has no encode_prompt, its block text_encoder does it"
NOTES = (
    "The denoiser is pipe.transformer (unet in SDXL), the scheduler pipe.scheduler: what is "
    "hooked on them works as in a pipeline of old.",
    "Each branch of guidance is a call of its own, never a batch; pipe.guider says how many.",
    "The pipeline returns a state; output='images' or output='latents' picks one value of it.",
    "There are no pipe.guidance_scale, do_classifier_free_guidance, num_timesteps.",
    "A progress bar is a block's: pipe.set_progress_bar_config does not reach the inner ones.",
    "An exception from within a block is logged as an error, once for each block around it.",
    "SD3: without a negative prompt both branches get the prompt, so guidance does nothing.",
    "Z-Image: the guider is off by default.",
)


def filled(pipe: Any, prompt: str) -> str:
    """Qwen-Image's template: a modular pipeline does not have it as an attribute."""
    return QWENIMAGE_PROMPT_TEMPLATE.format(prompt)


def begun(pipe: Any, prompt: str) -> str:
    """Krea-2's template as far as the prompt."""
    return QWENIMAGE_PROMPT_TEMPLATE.partition("{}")[0] + prompt


def turn(pipe: Any, prompt: str) -> str:
    """Qwen3-VL's chat template: one turn of the user, and the beginning of the answer."""
    return pipe.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )


def modular(layout: Layout, guidance: str, **changes: Any) -> Layout:
    """A family's facts in a modular pipeline."""
    return replace(layout, guidance=guidance, encode=ENCODE, notes=NOTES, **changes)


_FLUX3 = {
    "hidden_states": "B N C",
    "encoder_hidden_states": "B T D",
    "timestep": "B",
    "img_ids": "N 4",
    "txt_ids": "T 4",
}
FLUX3 = modular(
    KLEIN,
    ALWAYS,
    denoiser="Flux3Transformer2DModel",
    modules=r"single_transformer_blocks\.\d+\.attn",
    shapes=_FLUX3,
    streams=(Stream("tokenizer.tokenizer", "text_encoder", turn),),
)
FLUX3 = replace(
    FLUX3,
    notes=(
        *NOTES,
        "mode_blocks are attention of the image with itself, txt_mode_blocks of the text: a "
        "column holds something of all words.",
        "References have an argument of their own, image_cond_hidden_states; their rows are last "
        "in the sequence, after the image's.",
        "img_ids has no batch; rows and columns in it are scaled, so not whole numbers.",
        "Text is padded to a multiple of 80 columns; padding is attended.",
        "One prompt a run. The block prompt_upsampler rewrites it, where it has not been removed.",
    ),
)
FACTS: dict[str, Layout] = {
    "modular-sd3": modular(SD3, ALWAYS),
    "modular-flux": modular(FLUX, "one call"),
    "modular-flux-kontext": modular(FLUX_FACTS["flux-kontext"], "one call"),
    "modular-flux2": modular(DEV, "one call"),
    "modular-flux2-klein": modular(KLEIN, "one call"),
    "modular-flux2-klein-base": modular(KLEIN, ALWAYS),
    "modular-krea-2": modular(
        KREA, ALWAYS, streams=(Stream("tokenizer", "text_encoder", begun, drop=34),)
    ),
    # The mask is always there.
    "modular-qwen-image": modular(
        QWEN,
        ALWAYS,
        shapes={**QWEN.shapes, "encoder_hidden_states_mask": "B T"},
        streams=(Stream("tokenizer", "text_encoder", filled, drop=34),),
    ),
    # Its arguments have names.
    "modular-z-image": modular(
        Z_IMAGE,
        "one call",
        sample="x",
        text="cap_feats",
        shapes={"x": "list C 1 H W", "t": "B", "cap_feats": "list T D"},
        grid=lambda model, call: Z_IMAGE.grid(model, {0: call["x"]}),
    ),
    "modular-flux3": FLUX3,
    "modular-flux3-edit": replace(
        FLUX3,
        shapes={**_FLUX3, "image_cond_hidden_states": "B M C", "image_cond_ids": "M 4"},
    ),
    "modular-flux3-distilled": replace(
        FLUX3, guidance="one call", shapes={**_FLUX3, "target_timestep": "B"}
    ),
}
