"""A text encoder that reaches attention."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CLIP_COLUMNS = 77
"""Columns of CLIP's text encoder."""


def as_given(prompt: str) -> str:
    """A prompt that no template is put around."""
    return prompt


@dataclass(frozen=True)
class Encoder:
    """A text encoder that reaches attention: how it reads a prompt, and where its columns are.

    Attributes:
        name: the tokenizer's attribute in the pipeline.
        tokenizer: the tokenizer.
        argument: the pipeline's argument that it reads.
        render: puts the template around a prompt.
        dropped: tokens at the beginning whose states are not kept.
        first: its first column.
        length: how many columns it has; None for all that follow.
        side: "right" where padding follows the words; "left" where it comes first, so that columns
            count from the end.
        limit: how many tokens it reads; None for the tokenizer's own limit.
        lowers: whether the pipeline lower-cases and strips the prompt.
        tail: how many of the template's last tokens come after the padding.
        chunk: longer texts come in chunks of so many columns, each with a start and an end token.
        pads: whether columns of padding take part in the softmax over tokens.
        has_images: whether tokens of images may stand before the words.
    """

    name: str
    tokenizer: Any
    argument: str = "prompt"
    render: Callable[[str], str] = as_given
    dropped: int = 0
    first: int = 0
    length: int | None = None
    side: str = "right"
    limit: int | None = None
    lowers: bool = False
    tail: int = 0
    chunk: int | None = None
    pads: bool = False
    has_images: bool = False

    def prompt_of(self, prompts: Mapping[str, str]) -> str:
        """The text that it reads among a pipeline's arguments: its own, or else "prompt"."""
        return prompts.get(self.argument) or prompts["prompt"]


# Stands for the prompt in a template, to tell its place: a character that no prompt needs.
_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Rendered:
    """What an encoder reads.

    Attributes:
        text: all of it.
        start: where the prompt begins in it.
        origins: for each character of the prompt as it stands there, which one of the prompt in
            Unicode's composed form it comes from.
    """

    text: str
    start: int
    origins: tuple[int, ...]


def rendered(encoder: Encoder, prompt: str) -> Rendered:
    """What an encoder reads of a prompt: its template is around it."""
    body = unicodedata.normalize("NFC", prompt)
    kept = range(len(body))
    if encoder.lowers:
        kept = kept[len(body) - len(body.lstrip()) : len(body.rstrip())]
    # A capital may have a small form of two characters.
    origins = tuple(i for i in kept for _ in (body[i].lower() if encoder.lowers else body[i]))
    if encoder.lowers:
        body = body.strip().lower()
    return Rendered(encoder.render(body), encoder.render(_PLACE).find(_PLACE), origins)
