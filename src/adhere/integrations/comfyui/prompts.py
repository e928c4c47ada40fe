"""A prompt as ComfyUI reads it: its words among the columns of the text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adhere.errors import UnsupportedPipeline
from adhere.families import Encoder, Placed, place
from adhere.families.encoder import CLIP_COLUMNS
from adhere.nursing.checks import checked_boxes, with_boxes
from adhere.subjects import find_relations, find_subjects

# Where ComfyUI keeps the tokenizers of Stable Diffusion 1, SDXL and 2.
_TOKENIZERS = {"l": "clip_l", "h": "clip_h", "g": "clip_g"}


def place_prompt(clip: Any, text: str, subjects: str, boxes: object) -> Placed:
    """Where the subjects of a prompt are among its columns.

    Weights such as `(red:1.3)` are no part of the words.

    Args:
        clip: ComfyUI's text encoder.
        text: the prompt.
        subjects: words with commas, or nothing to find them.
        boxes: by subject, or None.

    Raises:
        UnsupportedPipeline: the text encoder is not one of CLIP's, or the prompt is too long.
        SubjectNotFound: there is no subject, or not the one named, or a box for another word.
    """
    chunks = clip.tokenize(text)
    name = next((n for n in _TOKENIZERS if n in chunks), None)
    if name is None:
        raise UnsupportedPipeline(
            f"The text encoder reads {', '.join(chunks)}, and the node knows CLIP's alone. Use a "
            "checkpoint of Stable Diffusion 1, 2 or SDXL."
        )
    if len(chunks[name]) > 1:
        raise UnsupportedPipeline(
            f"The prompt takes {len(chunks[name])} times {CLIP_COLUMNS} tokens, and the node "
            "knows one. Shorten it to 75 tokens."
        )
    tokenizer = getattr(clip.tokenizer, _TOKENIZERS[name]).tokenizer
    ids = [one[0] for one in chunks[name][0]]
    words = ids[1 : ids.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ids else ids
    plain = tokenizer.decode(words) if all(isinstance(one, int) for one in words) else ""
    if tokenizer(plain)["input_ids"][1:-1] != words:
        raise UnsupportedPipeline(
            "The words of the prompt could not be told from its tokens; it holds an embedding, or "
            "signs that CLIP reads in two ways. Leave them out."
        )
    named = [word.strip().lower() for word in subjects.split(",") if word.strip()] or None
    found = find_subjects(tokenizer, plain, named)
    found = with_boxes(found, checked_boxes(boxes), plain)
    encoder = Encoder(_TOKENIZERS[name], tokenizer, chunk=CLIP_COLUMNS, pads=set(chunks) == {"l"})
    placed = place([encoder], {"prompt": plain}, found, CLIP_COLUMNS)
    return replace(placed, relations=find_relations(tokenizer, plain, found))
