"""The words of a training, kept beside its checkpoint, and rows that outlive a vocabulary."""

from collections.abc import Sequence
from pathlib import Path

from transformers import CLIPTokenizer

from training.assemble import replaced
from training.text import build_tokenizer

# Words that a later mix may use, so that a training that has begun can go on with it.
RESERVED = (
    "left", "right", "above", "below", "under", "over", "on", "top", "bottom", "of", "to", "side",
    "in", "inside", "front", "behind", "beneath", "between", "by", "wearing", "holding", "riding",
    "sitting", "standing", "carrying", "its", "it", "that", "big", "small", "large", "four",
    "wears", "holds", "carries", "rides", "sits", "stands", "lies", "lying", "wear", "hold", "sit",
    "stand", "worn", "held", "inside", "onto", "into", "up", "down", "head", "which", "has", "at",
    "his", "her", "their", "who", "while", "resting", "placed", "put", "being", "and", "no", "not",
)  # fmt: skip


def kept_tokenizer(folder: Path | None, length: int) -> CLIPTokenizer:
    """The tokenizer of a training: its own where it has begun, else one of today's world.

    Args:
        folder: of the training, where `tokenizer` is written; None keeps nothing.
        length: of a text.
    """
    if folder is not None and (folder / "tokenizer").exists():
        return CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer = build_tokenizer(RESERVED, length)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        replaced(folder / "tokenizer", tokenizer.save_pretrained)
    return tokenizer


def shared_rows(new: dict[str, int], old: dict[str, int]) -> Sequence[tuple[int, int]]:
    """(row in the new vocabulary, row in the old one) of every token that both have."""
    return [(row, old[token]) for token, row in new.items() if token in old]
