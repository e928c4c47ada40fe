"""The facts of Stable Diffusion 3, FLUX.1 and Chroma."""

from dataclasses import replace

from .layout import Layout, Stream, by_ids, by_patches

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

FACTS: dict[str, Layout] = {
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
