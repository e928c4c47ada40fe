"""The tokens of a prompt and their columns, as a user asks for them before drawing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adhere.families import family_of
from adhere.families.columns import columns_by_encoder
from adhere.families.encoder import Encoder


@dataclass(frozen=True)
class Token:
    """One sub-word token of a prompt.

    Attributes:
        index: its position among the tokens of the first text encoder, which subjects name.
        text: the token as text.
        columns: name of each tokenizer whose text encoder reaches attention to the token's columns
            in the text that attention reads. Negative columns count from the end, where the
            padding comes before the words.
        is_cut: whether no text encoder reads it, for the prompt is too long.
    """

    index: int
    text: str
    columns: Mapping[str, tuple[int, ...]]
    is_cut: bool


def tokens(pipe: Any, prompt: str) -> tuple[Token, ...]:
    """The tokens of a prompt, and where each text encoder of a pipeline puts them.

    No text encoder is run. A word that one of them cuts off has no columns there.

    Args:
        pipe: a pipeline of any family that can be nursed.
        prompt: as the pipeline will get it, one text for all of its text encoders.

    Returns:
        One entry for each token, special ones and those that are cut off included.

    Raises:
        UnsupportedPipeline: the pipeline cannot be nursed, or has no tokenizer.
        ValueError: the prompt is empty.
    """
    encoders = family_of(pipe).encoders()
    total = max(encoder.first + _width(pipe, encoder) for encoder in encoders)
    own, _, each = columns_by_encoder(encoders, {"prompt": prompt}, total)
    listed = []
    for index, text in enumerate(own.pieces):
        columns = {
            encoder.name: tuple(
                _from_end(encoder, column, total) for column in each[encoder.name][index]
            )
            for encoder in encoders
        }
        is_word = own.opening <= index < len(own.pieces) - own.closing
        listed.append(Token(index, text, columns, is_word and not any(columns.values())))
    return tuple(listed)


def _width(pipe: Any, encoder: Encoder) -> int:
    """How many columns a text encoder has in a pipeline's ordinary call, at the most."""
    if encoder.length or encoder.chunk:
        return encoder.length or encoder.chunk or 0
    parameters = inspect.signature(type(pipe).__call__).parameters
    longest = parameters.get("max_sequence_length")
    if longest is not None and isinstance(longest.default, int):
        return longest.default
    return min(int(encoder.tokenizer.model_max_length), 1 << 14)


def _from_end(encoder: Encoder, column: int, total: int) -> int:
    return column - total if encoder.side == "left" or encoder.has_images else column
