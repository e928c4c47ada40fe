"""What each family's denoiser gets and where its attention has words and image.

`test_layouts.py` checks every field against a run of the toy.

Shapes are written with letters: B samples, C channels, H and W sides of the latents, N image
rows, T text columns, D width of the text. A letter has one value in a call. "list" before a
shape means a list with one tensor for each sample.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Call = dict[Any, Any]


def raw(pipe: Any, prompt: str) -> str:
    """The prompt is tokenized as it is."""
    return prompt


@dataclass(frozen=True)
class Stream:
    """Where the tokens of one tokenizer come to lie in the text.

    Attributes:
        tokenizer: Attribute of the pipeline.
        encoder: Attribute of the pipeline.
        template: Pipeline, prompt -> the text that is tokenized, special tokens added.
        drop: Tokens at the front whose states are left out.
        start: Column of the first token that is kept.
    """

    tokenizer: str
    encoder: str
    template: Callable[[Any, str], str] = raw
    drop: int = 0
    start: int = 0


@dataclass(frozen=True)
class Layout:
    """The facts of a family.

    Attributes:
        denoiser: Class of `pipe.transformer`.
        modules: Pattern of the names of modules with joint attention (or cross-attention); each
            calls scaled_dot_product_attention once, with (B, heads, rows, channels).
        order: Parts of the sequence of keys. "text image" and "image text" have all parts as
            queries too; "cross" has image queries and text keys.
        sample: Argument with the latents: a name, or a position.
        text: Argument with the embeddings.
        shapes: Every tensor argument of the denoiser and its shape.
        grid: Denoiser, call -> height and width of the image rows.
        guidance: "one call"; "batch: negative, positive"; "two calls: positive, negative" and so
            on. In a batch, each branch is a block of B / 2 samples.
        step: Shape of the latents that `scheduler.step` gets as its third positional argument.
        encode: The method that encodes prompts, its arguments and what it returns.
        streams: Where words lie in the text.
        leading: Columns in front of the text's own, in the sequence of keys.
        references: Whether image rows of further images follow those of the latents.
        notes: What to know besides.
    """

    denoiser: str
    modules: str
    order: str
    sample: str | int
    text: str | int
    shapes: dict[str | int, str]
    grid: Callable[[Any, Call], tuple[int, int]]
    guidance: str
    step: str
    encode: str
    streams: tuple[Stream, ...]
    leading: int = 0
    references: bool = False
    notes: tuple[str, ...] = ()


def by_patches(model: Any, call: Call) -> tuple[int, int]:
    """4-D latents in square patches."""
    patch = model.config.patch_size
    return call["hidden_states"].shape[-2] // patch, call["hidden_states"].shape[-1] // patch


def by_ids(model: Any, call: Call) -> tuple[int, int]:
    """Unbatched positions (N, 3): reference, row, column; the image itself has reference 0."""
    own = call["img_ids"][call["img_ids"][:, 0] == 0]
    return int(own[:, 1].max()) + 1, int(own[:, 2].max()) + 1


SD3 = Layout(
    denoiser="SD3Transformer2DModel",
    modules=r"transformer_blocks\.\d+\.attn",
    order="image text",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B C H W",
        "timestep": "B",
        "encoder_hidden_states": "B T D",
        "pooled_projections": "B P",
    },
    grid=by_patches,
    guidance="batch: negative, positive",
    step="B C H W",
    encode=(
        "encode_prompt(prompt, prompt_2, prompt_3, ..., do_classifier_free_guidance=True, "
        "max_sequence_length=256) -> (positive, negative, pooled, negative pooled)"
    ),
    streams=(
        Stream("tokenizer", "text_encoder"),
        Stream("tokenizer_2", "text_encoder_2"),
        Stream("tokenizer_3", "text_encoder_3", start=77),
    ),
    notes=(
        "The two CLIPs share columns 0..76 (channels beside each other); T5 has 77 and after.",
        "tokenizer.model_max_length is the number of CLIP columns.",
        "Without T5 columns 77 and after are zeros; they are attended all the same.",
        "The last block has the text's queries too, although it throws their output away.",
        "3.5-medium: modules named attn2 are attention of the image with itself.",
        "Skip-layer guidance adds a call of B / 2 samples after the first (positive only).",
        "Inpainting with 33 channels: latents are the first 16 channels of the sample.",
        "encode_prompt's third to fifth positional arguments are device, number of images, "
        "do_classifier_free_guidance.",
    ),
)
FLUX = Layout(
    denoiser="FluxTransformer2DModel",
    modules=r"(single_)?transformer_blocks\.\d+\.attn",
    order="text image",
    sample="hidden_states",
    text="encoder_hidden_states",
    shapes={
        "hidden_states": "B N C",
        "timestep": "B",
        "guidance": "B",
        "pooled_projections": "B P",
        "encoder_hidden_states": "B T D",
        "txt_ids": "T 3",
        "img_ids": "N 3",
    },
    grid=by_ids,
    guidance="two calls: positive, negative",
    step="B N C",
    encode=(
        "encode_prompt(prompt, prompt_2=None, ..., max_sequence_length=512) -> "
        "(embeddings, pooled, text ids); called again for the negative prompt"
    ),
    streams=(Stream("tokenizer_2", "text_encoder_2"),),
    notes=(
        "timestep is t / 1000; the denoiser multiplies it.",
        "CLIP (tokenizer) gives the pooled vector only.",
        "Text is padded to max_sequence_length; padding is attended.",
        "A negative prompt for a list of prompts must be a list as long.",
        "The pipeline enters transformer.cache_context in text to image only.",
    ),
)
_SCHNELL = {name: shape for name, shape in FLUX.shapes.items() if name != "guidance"}
_CHROMA = {name: shape for name, shape in _SCHNELL.items() if name != "pooled_projections"} | {
    "attention_mask": "B L"
}

LAYOUTS: dict[str, Layout] = {
    "sd3": SD3,
    "sd3-no-t5": replace(SD3, streams=SD3.streams[:2]),
    "sd3.5": SD3,
    "sd3.5-medium": SD3,
    "sd3-img2img": SD3,
    "sd3-inpaint": SD3,
    "sd3-inpaint-33": replace(SD3, step="B K H W"),
    "flux": FLUX,
    "flux-schnell": replace(FLUX, shapes=_SCHNELL),
    "flux-img2img": FLUX,
    "flux-inpaint": FLUX,
    "flux-fill": replace(
        FLUX,
        guidance="one call",
        step="B N K",
        notes=("Latents are the first channels of the sample; the masked image and mask follow.",),
    ),
    "flux-kontext": replace(
        FLUX,
        step="B M C",
        references=True,
        notes=(
            "hidden_states and img_ids have the rows of the reference after those of the latents;"
            " img_ids[:, 0] is 0 for the latents and 1 for the reference.",
            "The prediction is cut to the first rows by the pipeline.",
        ),
    ),
    "flux-controlnet": replace(
        FLUX,
        notes=(
            "controlnet_block_samples and controlnet_single_block_samples are lists of (B, N, D).",
        ),
    ),
    "chroma": replace(
        FLUX,
        denoiser="ChromaTransformer2DModel",
        shapes=_CHROMA,
        encode=(
            "encode_prompt(prompt, negative_prompt=None, ..., do_classifier_free_guidance=True, "
            "max_sequence_length=512) -> (embeddings, text ids, mask, negative embeddings, "
            "negative text ids, negative mask)"
        ),
        streams=(Stream("tokenizer", "text_encoder"),),
        notes=(
            "attention_mask is float 0/1 over text then image; the blocks turn it into an outer "
            "product (B, 1, L, L) that is ADDED to the scores: a masked key loses 1, no more.",
            "guidance_scale above 1 is real guidance.",
        ),
    ),
}
