"""How each family's text encoders read a prompt: templates, dropped tokens, padding."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from adhere.errors import UnsupportedPipeline
from adhere.families.encoder import Encoder
from adhere.subjects.tokenizing import encode

# Tokens at the beginning of Qwen's templates whose states are not kept.
_DROPPED = 34


def tokenizer_of(pipe: Any, name: str) -> Any:
    """A pipeline's tokenizer; of a processor the one inside.

    Raises:
        UnsupportedPipeline: it has none of that name.
    """
    found = getattr(pipe, name, None)
    if found is None:
        raise UnsupportedPipeline(
            f"{type(pipe).__name__} has no {name}, by which the words of the prompt are found. "
            "Load it with one, also where prompt_embeds are given."
        )
    return getattr(found, "tokenizer", found)


def chat(tokenizer: Any, **options: Any) -> Callable[[str], str]:
    """A tokenizer's chat template around a prompt: one turn of the user."""

    def render(prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **options
        )

    return render


def sd3(pipe: Any) -> tuple[Encoder, ...]:
    """CLIP's two share the first columns, T5 has those that follow."""
    clip = tokenizer_of(pipe, "tokenizer")
    count = int(clip.model_max_length)
    found = [Encoder("tokenizer", clip, length=count)]
    if getattr(pipe, "tokenizer_3", None) is not None and pipe.text_encoder_3 is not None:
        found.append(Encoder("tokenizer_3", pipe.tokenizer_3, "prompt_3", first=count))
    return tuple(found)


def flux(pipe: Any) -> tuple[Encoder, ...]:
    """T5 alone; CLIP gives a pooled vector that attention never sees."""
    return (Encoder("tokenizer_2", tokenizer_of(pipe, "tokenizer_2"), "prompt_2"),)


def t5(pipe: Any) -> tuple[Encoder, ...]:
    """T5, the only tokenizer."""
    return (Encoder("tokenizer", tokenizer_of(pipe, "tokenizer")),)


def flux2(pipe: Any) -> tuple[Encoder, ...]:
    """Klein: Qwen3's chat; dev: Mistral's, with a system message. All columns are kept."""
    tokenizer = tokenizer_of(pipe, "tokenizer")
    side = tokenizer.padding_side
    is_dev = tokenizer is not pipe.tokenizer

    def instructed(prompt: str) -> str:
        from diffusers.modular_pipelines.flux2.encoders import Flux2TextEncoderStep

        # A modular pipeline's own differs from that of Flux2Pipeline by a line end.
        message = getattr(pipe, "system_message", Flux2TextEncoderStep.DEFAULT_SYSTEM_MESSAGE)
        parts = [("system", message), ("user", prompt)]
        return tokenizer.apply_chat_template(
            [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in parts],
            tokenize=False,
        )

    render = instructed if is_dev else chat(tokenizer, enable_thinking=False)
    return (Encoder("tokenizer", tokenizer, render=render, side=side),)


def flux3(pipe: Any) -> tuple[Encoder, ...]:
    """Qwen3-VL's chat. All columns are kept, padding too."""
    tokenizer = tokenizer_of(pipe, "tokenizer")
    return (Encoder("tokenizer", tokenizer, render=chat(tokenizer), side=tokenizer.padding_side),)


def _qwen_template(pipe: Any) -> str:
    """The pipeline's own template; a modular pipeline keeps it elsewhere."""
    from diffusers.modular_pipelines.qwenimage.prompt_templates import QWENIMAGE_PROMPT_TEMPLATE

    return getattr(pipe, "prompt_template_encode", QWENIMAGE_PROMPT_TEMPLATE)


def qwen(pipe: Any) -> tuple[Encoder, ...]:
    """Qwen2.5-VL in a template whose first tokens are dropped; edits have images before words."""
    tokenizer, template = tokenizer_of(pipe, "tokenizer"), _qwen_template(pipe)
    return (
        Encoder(
            "tokenizer",
            tokenizer,
            render=lambda prompt: template.format(prompt),
            dropped=getattr(pipe, "prompt_template_encode_start_idx", _DROPPED),
            has_images=getattr(pipe, "processor", None) is not None,
        ),
    )


def z_image(pipe: Any) -> tuple[Encoder, ...]:
    """Qwen3's chat, tokens without padding."""
    tokenizer = tokenizer_of(pipe, "tokenizer")
    return (Encoder("tokenizer", tokenizer, render=chat(tokenizer, enable_thinking=True)),)


def pixart(pipe: Any) -> tuple[Encoder, ...]:
    """T5 of the lower-cased prompt."""
    return (Encoder("tokenizer", tokenizer_of(pipe, "tokenizer"), lowers=True),)


def sana(pipe: Any) -> tuple[Encoder, ...]:
    """Gemma of the lower-cased prompt behind an instruction, most of which is dropped.

    Kept are the first token and the last columns of the padded sequence, which begins again at
    the instruction's last token.
    """
    tokenizer = tokenizer_of(pipe, "tokenizer")
    lines = signature(pipe.__call__).parameters["complex_human_instruction"].default
    instruction = "\n".join(lines)
    return (
        Encoder(
            "tokenizer",
            tokenizer,
            render=lambda prompt: instruction + prompt,
            dropped=len(encode(tokenizer, instruction)[0]) - 2,
            lowers=True,
        ),
    )


def krea(pipe: Any) -> tuple[Encoder, ...]:
    """Qwen in a template; padding stands between the prompt and the template's end."""
    tokenizer = tokenizer_of(pipe, "tokenizer")
    prefix, _, suffix = _qwen_template(pipe).partition("{}")
    prefix = getattr(pipe, "prompt_template_encode_prefix", prefix)
    suffix = getattr(pipe, "prompt_template_encode_suffix", suffix)
    return (
        Encoder(
            "tokenizer",
            tokenizer,
            render=lambda prompt: prefix + prompt + suffix,
            dropped=_DROPPED,
            tail=len(encode(tokenizer, suffix)[0]),
        ),
    )


def lumina(pipe: Any) -> tuple[Encoder, ...]:
    """Gemma behind a system prompt."""
    tokenizer = tokenizer_of(pipe, "tokenizer")
    return (
        Encoder(
            "tokenizer",
            tokenizer,
            render=lambda prompt: f"{pipe.system_prompt} <Prompt Start> {prompt}",
        ),
    )


def cogview(pipe: Any) -> tuple[Encoder, ...]:
    """GLM, padded on the left."""
    return (Encoder("tokenizer", tokenizer_of(pipe, "tokenizer"), side="left"),)


def hunyuan(pipe: Any) -> tuple[Encoder, ...]:
    """Qwen2.5-VL in a template whose first tokens are dropped."""
    return (
        Encoder(
            "tokenizer",
            tokenizer_of(pipe, "tokenizer"),
            render=lambda prompt: pipe.prompt_template_encode.format(prompt),
            dropped=_DROPPED,
        ),
    )
