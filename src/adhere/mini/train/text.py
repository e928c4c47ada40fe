"""Tokenizer and text encoder: every word of the world is one token, and no token sees another.

In Stable Diffusion a noun's own token lights up where the noun is. A small causal encoder that
learns together with its U-Net drifts from that (LOG.md): later tokens, which have seen the
whole prompt, stand for whatever is in front. So this encoder has no layers: a token is its
embedding, its position and a norm.
"""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from adhere.mini.train.dial import TrainingRecipe
from adhere.mini.world.captions import WORDS
from adhere.mini.world.vocabulary import COLOURS, SUBJECTS, plural

LENGTH = 77


def vocabulary() -> list[str]:
    """Every word that is one token, sorted."""
    return sorted({*WORDS, *SUBJECTS, *(plural(s) for s in SUBJECTS), *COLOURS})


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer whose merges make each word of the world one token.

    Other words fall into pieces, down to single bytes, as in CLIP.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=10_000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
    )
    learner.train_from_iterator([" ".join(vocabulary())], trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    # CLIP's order: bytes, bytes that end a word, merged pieces, the two special tokens.
    pieces = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    pieces += [piece for pair in merges if (piece := "".join(pair)) not in set(pieces)]
    pieces = [*dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges,
        model_max_length=LENGTH,
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
