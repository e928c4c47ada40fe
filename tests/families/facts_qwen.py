"""The facts of Qwen-Image, Z-Image and FLUX.2."""

from dataclasses import replace
from typing import Any

from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

from .layout import Layout, Stream, by_ids, by_list, by_shapes


def filled(pipe: Any, prompt: str) -> str:
    """Qwen-Image's template, of which the first tokens are dropped."""
    return pipe.prompt_template_encode.format(prompt)


def seen(pipe: Any, prompt: str) -> str:
    """The same with images in front of the prompt."""
    return filled(pipe, "Picture 1: <|vision_start|><|image_pad|><|vision_end|>" + prompt)


def chat(thinking: bool) -> Any:
    """Qwen3's chat template: one turn of the user, and the beginning of the answer."""

    def template(pipe: Any, prompt: str) -> str:
        return pipe.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )

    return template


def instruct(pipe: Any, prompt: str) -> str:
    """Mistral's chat template with FLUX.2's system message."""
    parts = [{"type": "text", "text": SYSTEM_MESSAGE}], [{"type": "text", "text": prompt}]
    return pipe.tokenizer.apply_chat_template(
        [{"role": "system", "content": parts[0]}, {"role": "user", "content": parts[1]}],
        tokenize=False,
    )


QWEN = Layout(
    denoiser="QwenImageTransformer2DModel",
    modules=r"transformer_blocks\.\d+\.attn",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B N C",
        "timestep": "B",
        "encoder_hidden_states": "B T D",
    },
    grid=by_shapes,
    guidance="two calls: positive, negative",
    step="B N C",
    encode=(
        "encode_prompt(prompt, device=None, ..., max_sequence_length=1024) -> "
        "(embeddings, mask or None); called again for the negative prompt"
    ),
    streams=(Stream("tokenizer", "text_encoder", filled, drop=34),),
    notes=(
        "timestep is t / 1000.",
        "drop is pipe.prompt_template_encode_start_idx; the template's end stays as the last "
        "columns (5 tokens with the toy's tokenizer, as with the real one).",
        "encoder_hidden_states_mask (B, T) int64, 1 for a token, is None where no prompt of the "
        "call is padded; where it is not, attention gets a bool mask (B, 1, 1, T + N).",
        "T differs between the two calls of a step: each prompt has its own length.",
        "img_shapes is one list for each prompt (not for each image of a prompt): "
        "[(1, h, w)] and further (1, h, w) for references.",
        "max_sequence_length cuts the text from the right, after the template is dropped.",
        "The guided prediction is scaled to the norm of the positive one.",
        "A negative prompt for a list of prompts must be a list as long.",
    ),
)
EDIT = replace(
    QWEN,
    step="B M C",
    references=True,
    encode="encode_prompt(prompt, image=None, ...) -> (embeddings, mask or None)",
    streams=(Stream("processor.tokenizer", "text_encoder", seen, drop=64, end=True),),
    notes=(
        *QWEN.notes,
        "hidden_states has the rows of the references after those of the latents; the pipeline "
        "cuts the prediction to the first rows.",
        "The processor replaces <|image_pad|> by one token for each 28 x 28 pixels of the image, "
        "in front of the prompt: count columns from the end.",
        "The reference has about 1024 x 1024 pixels whatever its size.",
        "One prompt a run (Edit-Plus refuses more; Edit wants an image for each prompt).",
    ),
)
Z_IMAGE = Layout(
    denoiser="ZImageTransformer2DModel",
    modules=r"layers\.\d+\.attention",
    order="image text",
    sample=0,
    text=2,
    shapes={0: "list C 1 H W", 1: "B", 2: "list T D"},
    grid=by_list,
    guidance="batch: positive, negative",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, device=None, do_classifier_free_guidance=True, negative_prompt=None"
        ", ..., max_sequence_length=512) -> (list of embeddings, list of negative embeddings)"
    ),
    streams=(Stream("tokenizer", "text_encoder", chat(thinking=True)),),
    multiple=32,
    notes=(
        "The denoiser is called with positions: (list of latents, time, list of embeddings).",
        "Time is (1000 - t) / 1000; the pipeline negates the prediction.",
        "Image rows and text columns of a sample are each padded to a multiple of 32 with learned "
        "tokens; the sample is then padded to the longest of the batch, with a bool mask "
        "(B, 1, 1, L) where the samples differ in length.",
        "Text has already gone through context_refiner: a column holds something of all words.",
        "noise_refiner is attention of the image with itself, context_refiner of the text.",
        "The pipeline writes the templated prompts into the caller's list: give it a new list.",
        "Guidance may end in mid-run (cfg_truncation): then a call has positive samples only.",
        "Latents are float32 in the scheduler, whatever the model's dtype.",
    ),
)
KLEIN = Layout(
    denoiser="Flux2Transformer2DModel",
    modules=r"(single_)?transformer_blocks\.\d+\.attn",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B N C",
        "timestep": "B",
        "encoder_hidden_states": "B T D",
        "txt_ids": "B T 4",
        "img_ids": "B N 4",
    },
    grid=by_ids,
    guidance="two calls: positive, negative",
    step="B N C",
    encode=(
        "encode_prompt(prompt, device=None, ..., max_sequence_length=512, "
        "text_encoder_out_layers=(9, 18, 27)) -> (embeddings, text ids); called again for the "
        "negative prompt, which is always empty"
    ),
    streams=(Stream("tokenizer", "text_encoder", chat(thinking=False)),),
    notes=(
        "timestep is t / 1000.",
        "Three layers of the text encoder lie beside each other in the channels.",
        "Template and padding are columns too and are attended, without a mask.",
        "There is no argument negative_prompt; the empty prompt is the negative one.",
        "The final latents are (B, C / 4, H, W), no longer packed.",
    ),
)
_DEV = {**KLEIN.shapes, "guidance": "B"}
DEV = replace(
    KLEIN,
    shapes=_DEV,
    guidance="one call",
    encode=(
        "encode_prompt(prompt, device=None, ..., max_sequence_length=512, "
        "text_encoder_out_layers=(10, 20, 30)) -> (embeddings, text ids)"
    ),
    streams=(Stream("tokenizer.tokenizer", "text_encoder", instruct, end=True),),
    notes=(
        "tokenizer is a processor of text and images; its tokenizer attribute tokenizes.",
        "The toy's tokenizer pads on the left; with one that pads on the right, count from 0.",
        "The template has a system message in front of the prompt.",
        "caption_upsample_temperature lets the text encoder rewrite the prompt.",
    ),
)
FACTS: dict[str, Layout] = {
    "qwen-image": QWEN,
    "qwen-image-img2img": QWEN,
    "qwen-image-inpaint": QWEN,
    "qwen-image-edit": replace(EDIT, streams=(replace(EDIT.streams[0], template=filled),)),
    "qwen-image-edit-plus": EDIT,
    "z-image": Z_IMAGE,
    "z-image-turbo": replace(Z_IMAGE, guidance="one call"),
    "z-image-img2img": Z_IMAGE,
    "z-image-inpaint": Z_IMAGE,
    "flux2-klein-base": KLEIN,
    "flux2-klein": replace(KLEIN, guidance="one call"),
    "flux2-klein-edit": replace(KLEIN, step="B M C", references=True),
    "flux2-dev": DEV,
    "flux2-dev-edit": replace(DEV, step="B M C", references=True),
}
