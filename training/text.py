"""Tokenizer and text encoder: every word of the world is one token, and no token sees another.

In Stable Diffusion a noun's own token lights up where the noun is. A small causal encoder that
learns together with its U-Net drifts from that (LOG.md): later tokens, which have seen the
whole prompt, stand for whatever is in front. So this encoder has no layers: a token is its
embedding, its position and a norm.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from adhere.mini.vocabulary import COLOURS, SUBJECTS
from training.dial import TrainingRecipe
from training.world.captions import WORDS
from training.world.vocabulary import plural

LENGTH = 77


def vocabulary() -> list[str]:
    """Every word that is one token, sorted."""
    return sorted({*WORDS, *SUBJECTS, *(plural(s) for s in SUBJECTS), *COLOURS})


def learned_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, after which each word is one piece.

    Of pairs that are equally frequent the first in the alphabet is taken: the trainer of
    `tokenizers` takes any, so that its vocabularies differ from run to run.
    """
    split = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while any(len(parts) > 1 for parts in split):
        counts = Counter(pair for parts in split for pair in pairwise(parts))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        split = [_merged(parts, best) for parts in split]
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """The parts with every occurrence of the pair joined, from the left."""
    found: list[str] = []
    place = 0
    while place < len(parts):
        is_pair = tuple(parts[place : place + 2]) == pair
        found.append("".join(pair) if is_pair else parts[place])
        place += 2 if is_pair else 1
    return found


def build_tokenizer(more: Iterable[str] = (), length: int = LENGTH) -> CLIPTokenizer:
    """A CLIP tokenizer whose merges make each word of the world one token.

    Other words fall into pieces, down to single bytes, as in CLIP.

    Args:
        more: further words that are one token each.
        length: of a text with its two special tokens and padding.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learned_merges(sorted({*vocabulary(), *more}))
    # CLIP's order: bytes, bytes that end a word, merged pieces, the two special tokens.
    pieces = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    pieces += ["".join(pair) for pair in merges]
    pieces = [*dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges,
        model_max_length=length,
    )


def build_text_encoder(recipe: TrainingRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder of a recipe: a `CLIPTextModel` of zero layers."""
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.text_width,
            intermediate_size=recipe.text_width,
            projection_dim=recipe.text_width,
            num_hidden_layers=0,
            num_attention_heads=2,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # A word should say more about itself than about its place.
    encoder.get_input_embeddings().weight.data.mul_(4)
    return encoder
