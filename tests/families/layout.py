"""How the facts of a family are written down: what its denoiser gets, where its words are.

`layouts.py` has the table; `test_layouts.py` checks every field against a run of the toy.

Shapes are written with letters: B samples, C channels, H and W sides of the latents, N image
rows, T text columns, D width of the text. A letter has one value in a call. "list" before a
shape means a list with one tensor for each sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
        drop: Tokens at the front whose states are left out; may depend on the pipeline.
        start: Column of the first token that is kept.
        end: Whether the last token is the last column instead: the tokens are padded on the left,
            or the processor replaces a token in front of the prompt by many.
    """

    tokenizer: str
    encoder: str
    template: Callable[[Any, str], str] = raw
    drop: int | Callable[[Any], int] = 0
    start: int = 0
    end: bool = False


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
        length: Call, number of a sample -> columns of its text that are in its sequence of keys,
            in their order; None where all are.
        multiple: The image's rows in the sequence are padded to a multiple of this.
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
    length: Callable[[Call, int], int] | None = None
    multiple: int = 1
    references: bool = False
    notes: tuple[str, ...] = ()


def by_patches(model: Any, call: Call) -> tuple[int, int]:
    """4-D latents in square patches."""
    patch = model.config.patch_size
    return call["hidden_states"].shape[-2] // patch, call["hidden_states"].shape[-1] // patch


def by_cells(model: Any, call: Call) -> tuple[int, int]:
    """4-D latents, one image row for each cell."""
    return call["hidden_states"].shape[-2], call["hidden_states"].shape[-1]


def by_first(model: Any, call: Call) -> tuple[int, int]:
    """The same as `by_patches`, of latents that are the first positional argument."""
    return by_patches(model, {"hidden_states": call[0]})


def by_positions(model: Any, call: Call) -> tuple[int, int]:
    """Positions (T + N, 3) of text and image: 0, row, column; those of the text are 0."""
    own = call["position_ids"][call["encoder_hidden_states"].shape[1] :]
    return int(own[:, 1].max()) + 1, int(own[:, 2].max()) + 1


def unmasked(call: Call, sample: int) -> int:
    """As many columns as the mask of the sample has tokens."""
    return int(call["encoder_attention_mask"][sample].sum())


def by_ids(model: Any, call: Call) -> tuple[int, int]:
    """Positions (N, 3 or more) or (B, N, 4), of reference, row, column; the image's is 0.

    FLUX.3 scales rows and columns, so they are counted, not read.
    """
    ids = call["img_ids"]
    ids = ids[0] if ids.ndim == 3 else ids
    own = ids[ids[:, 0] == 0]
    return len(own[:, 1].unique()), len(own[:, 2].unique())


def by_shapes(model: Any, call: Call) -> tuple[int, int]:
    """A list for each prompt of (frames, height, width); the image is first."""
    return call["img_shapes"][0][0][1:]


def by_list(model: Any, call: Call) -> tuple[int, int]:
    """A list of (C, frames, H, W) in patches of 2."""
    return call[0][0].shape[-2] // 2, call[0][0].shape[-1] // 2


def text_length(call: Call, layout: Layout, sample: int = 0) -> int:
    """How many text columns a sample has among the keys."""
    if layout.length:
        return layout.length(call, sample)
    text = call[layout.text]
    return text[sample].shape[0] if isinstance(text, list) else text.shape[1]


def starts(layout: Layout, rows: int, columns: int) -> tuple[int, int]:
    """Where image rows and text columns begin among the keys."""
    if layout.order == "text image":
        return layout.leading + columns, layout.leading
    padded = -(-rows // layout.multiple) * layout.multiple
    return 0, (0 if layout.order == "cross" else padded) + layout.leading
