"""Tokenizers of the real classes, built offline: each word of the toys' prompts is one token.

Other words fall into sub-word tokens, down to single letters or bytes.
"""

from functools import cache

from tokenizers import Tokenizer, decoders, models, processors
from tokenizers.pre_tokenizers import ByteLevel
from training.text import vocabulary
from transformers import (
    CLIPTokenizer,
    GemmaTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    T5Tokenizer,
)

# The words of the templates that Qwen-Image, FLUX.2, Lumina-2 and Sana put around a prompt.
TEMPLATES = """
system user assistant developer Describe the image by detailing color shape size texture quantity
text spatial relationships of objects and background key features input then explain how
instruction should alter or modify Generate new that meets requirements while maintaining
consistency with original where appropriate Picture You are an AI reasons about descriptions
give structured
responses focusing on object attribution actions without speculation designed to generate
superior images degree alignment based textual prompts Prompt Start think
""".split()
MARKS = (",", ".", ":", "'s", "\n", "\n\n", ".\n", ":\n", ".\n\n", "(", " (", "),", "<", " <", ">")

# Qwen's chat template, cut to what the pipelines use of it.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
# Mistral's, cut in the same way.
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}[SYSTEM_PROMPT]{% else %}[INST]{% endif %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
    "{% if message['role'] == 'system' %}[/SYSTEM_PROMPT]{% else %}[/INST]{% endif %}{% endfor %}"
)
QWEN_SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>", "<think>", "</think>",
)  # fmt: skip


def words():
    """Every word and mark that is one token, sorted."""
    return sorted({*vocabulary(), *TEMPLATES, *MARKS})


def bpe(forms):
    """Merges that make each form, a list of symbols, one token; pairs join from the front."""
    merges, ranked = [], set()
    for form in forms:
        pieces = list(form)
        for pair in merges:
            if pair[0] in pieces and pair[1] in pieces:
                for place in range(len(pieces) - 1, 0, -1):
                    if pieces[place - 1 : place + 1] == list(pair):
                        pieces[place - 1 : place + 1] = ["".join(pair)]
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            if pair not in ranked:
                merges.append(pair)
                ranked.add(pair)
            pieces[:2] = ["".join(pair)]
    return merges


def numbered(pieces):
    """Each piece's number, in order of first use."""
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


@cache
def _clip_merges():
    return bpe([*word[:-1], word[-1] + "</w>"] for word in words() if word.isalpha())


def clip(length=77):
    """CLIP's tokenizer: a start token, the words, end tokens up to 77."""
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters)]
    pieces += [*map("".join, _clip_merges()), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab=numbered(pieces), merges=_clip_merges(), model_max_length=length)


def t5(length=512):
    """T5's tokenizer: the words, an end token, padding."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    pieces += [("▁" + word, -1.0) for word in words() if word.isalpha()]
    pieces += [(letter, -4.0) for letter in letters]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=length)


def byte_level(text):
    """How byte-level tokenizers write a text: a space is Ġ, a line break Ċ."""
    return list(text.replace(" ", "Ġ").replace("\n", "Ċ"))


@cache
def _qwen_merges():
    plain = [byte_level(word) for word in words()]
    spaced = [byte_level(" " + word) for word in words() if word.isalpha()]
    return bpe([*plain, *spaced])


def qwen(length=2048, side="right"):
    """Qwen's tokenizer with its chat template; a word in a sentence begins with its space."""
    pieces = [*sorted(ByteLevel.alphabet()), *map("".join, _qwen_merges()), "<|endoftext|>"]
    tokenizer = Qwen2Tokenizer(
        vocab=numbered(pieces),
        merges=_qwen_merges(),
        model_max_length=length,
        padding_side=side,
        extra_special_tokens=list(QWEN_SPECIAL),
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def mistral(length=2048, side="left"):
    """A byte-level tokenizer with Mistral's control tokens and template."""
    control = ["<unk>", "<s>", "</s>", "<pad>", "[IMG]"]
    control += ["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    pieces = [*control, *sorted(ByteLevel.alphabet()), *map("".join, _qwen_merges())]
    model = Tokenizer(models.BPE(vocab=numbered(pieces), merges=_qwen_merges()))
    model.pre_tokenizer = ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=control[4:],
        model_max_length=length,
        padding_side=side,
    )
    tokenizer.chat_template = INSTRUCT
    return tokenizer


def glm(length=2048, side="left"):
    """A byte-level tokenizer that puts GLM's two control tokens in front of a text."""
    control = ["<|endoftext|>", "[gMASK]", "<sop>"]
    pieces = [*control, *sorted(ByteLevel.alphabet()), *map("".join, _qwen_merges())]
    model = Tokenizer(models.BPE(vocab=numbered(pieces), merges=_qwen_merges()))
    model.pre_tokenizer = ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.post_processor = processors.TemplateProcessing(
        single=["[gMASK]", "<sop>", "$A"], special_tokens=[("[gMASK]", 1), ("<sop>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        extra_special_tokens=control[1:],
        model_max_length=length,
        padding_side=side,
    )


@cache
def _gemma_merges():
    plain = [list(word) for word in words() if word.isalpha()]
    return bpe([*plain, *(["▁", *word] for word in plain)])


def gemma(length=2048, side="right"):
    """Gemma's tokenizer: a start token and the words, each with its space."""
    control = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = ["▁", "\n", *(chr(code) for code in range(33, 127))]
    pieces = [*control, *raw, *letters, *map("".join, _gemma_merges())]
    return GemmaTokenizer(
        vocab=numbered(pieces),
        merges=_gemma_merges(),
        model_max_length=length,
        padding_side=side,
        add_bos_token=True,
    )
