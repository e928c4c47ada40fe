"""The table of transformers: what each class gets and where its attention has words and image.

Every fact is checked against a run of the class at toy size (`tests/families/test_layouts.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adhere.errors import UnsupportedPipeline
from adhere.families import encoders
from adhere.families.call import DenoiserCall
from adhere.families.joint import Row


def by_patches(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """Latents (R, C, h, w) in square patches."""
    height, width = call["hidden_states"].shape[-2:]
    patch = denoiser.config.patch_size
    return height // patch, width // patch


def by_cells(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """Latents (R, C, h, w), one image row for each cell."""
    height, width = call["hidden_states"].shape[-2:]
    return height, width


def by_image_ids(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """Positions (N, 3) or (R, N, 4): reference, row, column; the image itself is reference 0."""
    ids = call["img_ids"]
    ids = ids[0] if ids.ndim == 3 else ids
    rows = ids[ids[:, 0] == 0]
    return int(rows[:, 1].max()) + 1, int(rows[:, 2].max()) + 1


def by_scaled_ids(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """Positions (N, 4): frame, row, column, ...; rows and columns may be scaled."""
    ids = call["img_ids"]
    return len(ids[:, 1].unique()), len(ids[:, 2].unique())


def by_positions(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """Positions (T + N, 3) of text and image: 0, row, column."""
    image = call["position_ids"][call["encoder_hidden_states"].shape[1] :]
    return int(image[:, 1].max()) + 1, int(image[:, 2].max()) + 1


def by_shapes(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """A list for each prompt of (frames, height, width), the image first."""
    _, height, width = call["img_shapes"][0][0]
    return height, width


def by_list(denoiser: Any, call: DenoiserCall) -> tuple[int, int]:
    """A list of (C, frames, h, w) in patches of 2."""
    height, width = call["x"][0].shape[-2:]
    return height // 2, width // 2


def unmasked(call: DenoiserCall, row: int) -> int:
    """How many text columns the mask of a row leaves."""
    return int(call["encoder_attention_mask"][row].sum())


def qwen_unmasked(call: DenoiserCall, row: int) -> int:
    """The same; without a mask all are tokens."""
    mask = call.get("encoder_hidden_states_mask")
    text = call["encoder_hidden_states"]
    return text.shape[1] if mask is None else int(mask[row].sum())


def glyphs(call: DenoiserCall, row: int) -> int:
    """How many columns of quoted texts come before the prompt's."""
    mask = call.get("encoder_attention_mask_2")
    return 0 if mask is None else int(mask[row].sum())


def no_key_cache(pipe: Any) -> None:
    """Refuse a pipeline that keeps keys of reference images from its first step.

    Raises:
        UnsupportedPipeline: it does.
    """
    if "KV" in type(pipe).__name__:
        raise UnsupportedPipeline(
            f"{type(pipe).__name__} keeps keys and values from its first step, which nursing "
            "passes would disturb. Use Flux2KleinPipeline of the same model."
        )


# The blocks with a text stream of their own are the published choice for guidance
# (arXiv 2510.02315); those for reading maps are of arXiv 2502.04320.
_FLUX_CHOICES = {
    "default": r"transformer_blocks\.",
    "focus": r"transformer_blocks\.",
    "concept-attention": r"transformer_blocks\.1[5-8]\.",
}
# arXiv 2510.02315, 2411.18936 and 2509.18096.
_SD3_CHOICES = {
    "focus": r"transformer_blocks\.",
    "self-cross": r"transformer_blocks\.([5-9]|1[0-2])\.",
    "seg4diff": r"transformer_blocks\.9\.",
}

SD3 = Row(
    layers=r"transformer_blocks\.\d+\.attn",
    order="image text",
    conditional="last",
    size=by_patches,
    encoders=encoders.sd3,
    choices=_SD3_CHOICES,
)
FLUX = Row(
    layers=r"(single_)?transformer_blocks\.\d+\.attn",
    order="text image",
    conditional="all",
    size=by_image_ids,
    encoders=encoders.flux,
    whole=frozenset({"img_ids", "txt_ids"}),
    is_packed=True,
    choices=_FLUX_CHOICES,
)
FLUX2 = replace(
    FLUX,
    encoders=encoders.flux2,
    whole=frozenset(),
    choices={"default": r"transformer_blocks\."},
    check=no_key_cache,
)
FLUX3 = replace(
    FLUX,
    layers=r"single_transformer_blocks\.\d+\.attn",
    size=by_scaled_ids,
    encoders=encoders.flux3,
    choices={},
)
QWEN = Row(
    layers=r"transformer_blocks\.\d+\.attn",
    order="text image",
    conditional="all",
    size=by_shapes,
    encoders=encoders.qwen,
    whole=frozenset({"img_shapes"}),
    channels=lambda denoiser: denoiser.config.in_channels,
    is_packed=True,
    valid=qwen_unmasked,
)
Z_IMAGE = Row(
    layers=r"layers\.\d+\.attention",
    order="image text",
    conditional="first",
    size=by_list,
    encoders=encoders.z_image,
    sample="x",
    text="cap_feats",
    image_multiple=32,
    listed=frozenset({"x", "cap_feats"}),
    packs_text=True,
)
PIXART = Row(
    layers=r"transformer_blocks\.\d+\.attn2",
    order="cross",
    conditional="last",
    size=by_patches,
    encoders=encoders.pixart,
    valid=unmasked,
    self_layers=r"transformer_blocks\.\d+\.attn1",
)
KREA = Row(
    layers=r"transformer_blocks\.\d+\.attn",
    order="text image",
    conditional="all",
    size=by_positions,
    encoders=encoders.krea,
    whole=frozenset({"position_ids"}),
    is_packed=True,
    valid=unmasked,
)
LUMINA = Row(
    layers=r"layers\.\d+\.attn",
    order="text image",
    conditional="all",
    size=by_patches,
    encoders=encoders.lumina,
    valid=unmasked,
    packs_text=True,
)
AURA = Row(
    layers=r"(joint|single)_transformer_blocks\.\d+\.attn",
    order="text image",
    conditional="last",
    size=by_patches,
    encoders=encoders.t5,
    leading=8,
    choices={"default": r"joint_transformer_blocks\."},
)
COGVIEW = Row(
    layers=r"transformer_blocks\.\d+\.attn1",
    order="text image",
    conditional="all",
    size=by_patches,
    encoders=encoders.cogview,
)
HUNYUAN = Row(
    layers=r"(single_)?transformer_blocks\.\d+\.attn",
    order="image text",
    conditional="all",
    size=by_cells,
    encoders=encoders.hunyuan,
    valid=unmasked,
    packs_text=True,
    text_start=glyphs,
)

ROWS: dict[str, Row] = {
    "SD3Transformer2DModel": SD3,
    "FluxTransformer2DModel": FLUX,
    "ChromaTransformer2DModel": replace(FLUX, encoders=encoders.t5),
    "Flux2Transformer2DModel": FLUX2,
    "Flux3Transformer2DModel": FLUX3,
    "QwenImageTransformer2DModel": QWEN,
    "ZImageTransformer2DModel": Z_IMAGE,
    "PixArtTransformer2DModel": PIXART,
    "SanaTransformer2DModel": replace(PIXART, encoders=encoders.sana, self_layers=None),
    "Krea2Transformer2DModel": KREA,
    "Lumina2Transformer2DModel": LUMINA,
    "AuraFlowTransformer2DModel": AURA,
    "CogView4Transformer2DModel": COGVIEW,
    "HunyuanImageTransformer2DModel": HUNYUAN,
}

# Class names to the reason why they are refused.
REFUSED = {
    "GlmImageTransformer2DModel": (
        "its image follows tokens of a language model, and the text that attention reads holds "
        "quoted words only"
    ),
    "BriaFiboTransformer2DModel": "its prompts are structured (JSON), not sentences with subjects",
    "Ideogram4Transformer2DModel": (
        "its prompts are structured (JSON), not sentences with subjects"
    ),
    "OmniGenTransformer2DModel": (
        "it denoises three branches inside a language model, where image and text have no "
        "attention of their own"
    ),
}
