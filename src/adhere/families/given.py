"""What text encoders are really given, which tells a prompt that the pipeline rewrites."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os.path import commonprefix
from typing import Any

from torch import Tensor, nn

from adhere.errors import UnsupportedPipeline
from adhere.families.encoder import Encoder, rendered
from adhere.subjects.tokenizing import tokenize

Given = Mapping[str, list[Tensor]]
"""Name of each tokenizer to the token ids (R, L) that its text encoder got, call by call."""


@contextmanager
def overhearing(pipe: Any, encoders: Sequence[Encoder]) -> Iterator[Given]:  # noqa: ANN401
    """Inside the block, keeps the token ids that the text encoders get in this thread."""
    home = threading.get_ident()
    given: dict[str, list[Tensor]] = {encoder.name: [] for encoder in encoders}
    with ExitStack() as hooks:
        for name, kept in given.items():
            module = getattr(pipe, name.replace("tokenizer", "text_encoder"), None)
            if not isinstance(module, nn.Module):
                continue

            def keep(
                called: nn.Module,
                args: tuple,
                keywords: dict[str, Any],
                own: nn.Module = module,
                kept: list[Tensor] = kept,
            ) -> None:
                ids = keywords.get("input_ids", args[0] if args else None)
                # A copy of the module made inside the block keeps the hook.
                is_here = threading.get_ident() == home and called is own
                if is_here and isinstance(ids, Tensor) and ids.ndim == 2:
                    kept.append(ids)

            hooks.callback(module.register_forward_pre_hook(keep, with_kwargs=True).remove)
        yield given


def check_given(encoders: Sequence[Encoder], prompts: Mapping[str, str], given: Given) -> None:
    """Refuse a prompt whose words are not where each text encoder was to find them.

    Args:
        encoders: those that reach attention.
        prompts: the pipeline's text arguments; an encoder whose own is not given reads "prompt".
        given: see `overhearing`; an encoder that was not seen at work is not checked.

    Raises:
        UnsupportedPipeline: the pipeline has rewritten the prompt before it was encoded.
    """
    for encoder in encoders:
        rows = [row for ids in given.get(encoder.name, ()) for row in ids.tolist()]
        if not rows:
            continue
        prompt = encoder.prompt_of(prompts)
        read = rendered(encoder, prompt)
        own = tokenize(encoder.tokenizer, read.text)
        # How long the images of an edit are, which stand before its words, is not known here.
        start = read.start if encoder.has_images else 0
        opening = next(i for i, (_, stop) in enumerate(own.spans) if stop > start) if start else 0
        # The end of some templates comes after the padding.
        ids = list(own.ids[opening : len(own.ids) - encoder.tail])
        if any(_is_in(row, ids, own.closing, opening > 0) for row in rows):
            continue
        got, meant = (
            encoder.tokenizer.decode(ids, skip_special_tokens=True) for ids in (rows[0], own.ids)
        )
        place = max(len(commonprefix([got, meant])) - 20, 0)
        raise UnsupportedPipeline(
            f"The pipeline has rewritten the prompt {prompt[:60]!r} before its text encoder read "
            f"it, where it has {got[place : place + 60]!r}. Call it with the text that it should "
            "draw, and without prompt rewriting."
        )


def _is_in(row: list[int], ids: list[int], closing: int, anywhere: bool) -> bool:
    """Whether a row holds a prompt's ids, with padding on either side, or their first part.

    Args:
        row: ids that a text encoder got.
        ids: the prompt's.
        closing: how many of them close the text; a text that is cut keeps them.
        anywhere: whether others may stand before them.
    """
    if anywhere:
        return any(row[i : i + len(ids)] == ids for i in range(len(row)))
    if len(row) < len(ids):
        kept = len(row) - closing
        return row[:kept] == ids[:kept]
    return ids in (row[: len(ids)], row[len(row) - len(ids) :])
