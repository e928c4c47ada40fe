"""Where the characters of a prompt lie among the tokens of a tokenizer."""

import threading
import unicodedata
import weakref
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from adhere.errors import SubjectNotFound
from adhere.subjects.markup import without_markup
from adhere.subjects.reading import Span
from adhere.subjects.text import check_prompt

_QUOTES = str.maketrans('"“”', "   ")
# What a tokenizer gives for a token that is a part of a character.
_BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Tokens:
    """A prompt, tokenized without padding and without a cut.

    Attributes:
        text: what was tokenized: the prompt in Unicode's composed form, words of textual
            inversion written out as the several tokens that they are.
        ids: the tokens.
        pieces: the tokens as text, with the special ones at both ends; a token that is a part of
            a character as that character.
        spans: for each token the characters of `text` that it stands for; (0, 0) for special ones.
        limit: how many tokens the text encoder reads, special ones included.
        opening: how many special tokens come before the words.
        closing: how many come after them.
    """

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    spans: tuple[Span, ...]
    limit: int
    opening: int = 1
    closing: int = 1

    @property
    def end(self) -> int:
        """Position after the last word in the sequence that the text encoder reads."""
        return min(len(self.pieces), self.limit) - self.closing

    @property
    def kept(self) -> tuple[str, ...]:
        """The tokens that the text encoder reads."""
        return self.pieces[: self.end] + self.pieces[len(self.pieces) - self.closing :]

    @cached_property
    def plain(self) -> str:
        """The text with spaces in place of its markup and double quotes."""
        return without_markup(self.text).translate(_QUOTES)

    def words(self, span: Span) -> str:
        """The characters of a span as words, without markup and with single spaces."""
        return " ".join(self.plain[slice(*span)].split()) or self.text[slice(*span)]

    def indices(self, span: Span) -> tuple[int, ...]:
        """Tokens that share a character with the span; some may lie beyond the limit.

        Tokens of nothing but markup count only where the span holds nothing else: those of
        "fire (truck" are "fire" and "truck".
        """
        start, stop = span
        read = self.plain if self.plain[start:stop].strip() else self.text
        return tuple(
            i
            for i, (a, b) in enumerate(self.spans)
            if a < stop and start < b and read[max(a, start) : min(b, stop)].strip()
        )

    def require(self, span: Span) -> tuple[int, ...]:
        """Tokens of a named word.

        Raises:
            SubjectNotFound: none, or some beyond the limit.
        """
        indices = self.indices(span)
        word = self.words(span)
        if not indices:
            raise SubjectNotFound(f"{word!r} has no token of its own. {self.table()}")
        if indices[-1] >= self.end:
            raise SubjectNotFound(
                f"{word!r} is at token {indices[-1]}, but the text encoder reads {self.limit} "
                f"tokens and cuts the prompt after token {self.end - 1}; shorten the prompt, move "
                f"{word!r} forward or name another subject. {self.table()}"
            )
        return indices

    def table(self) -> str:
        """The tokens with their indices, for a message."""
        spans = [*self.spans[: self.end], *self.spans[len(self.spans) - self.closing :]]
        # The several tokens of one character are listed as one entry.
        runs = [list(run) for _, run in groupby(range(len(spans)), spans.__getitem__)]
        listed = ", ".join(f"{_numbers(run)} {self.kept[run[0]]}" for run in runs)
        return f"The tokens of the prompt are: {listed}."


def _numbers(run: list[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"


def tokenizer_of(tokenizer_or_pipeline: Any) -> Any:  # noqa: ANN401
    """The tokenizer itself, or that of a pipeline whose tokens subjects name."""
    from transformers import PreTrainedTokenizerBase

    if isinstance(tokenizer_or_pipeline, PreTrainedTokenizerBase):
        return tokenizer_or_pipeline
    # SDXL's refiner has the second one alone.
    names = ("tokenizer", "tokenizer_2")
    found = [getattr(tokenizer_or_pipeline, name, None) for name in names]
    if type(found[1]).__name__.startswith("T5") and not hasattr(
        tokenizer_or_pipeline, "tokenizer_3"
    ):
        # FLUX's attention reads the T5 beside its CLIP, and that alone.
        found.reverse()
    first = next((one for one in found if one is not None), tokenizer_or_pipeline)
    # A processor holds one.
    return getattr(first, "tokenizer", first)


_COPIES: weakref.WeakKeyDictionary[Any, tuple[int, Any]] = weakref.WeakKeyDictionary()
_COPIES_LOCK = threading.Lock()


def encode(tokenizer: Any, text: str) -> tuple[list[int], list[int], list[Span] | None]:  # noqa: ANN401
    """Token ids, which of them are special, and their characters where the tokenizer reports them.

    Of a fast tokenizer a copy is asked: a call sets its padding and its truncation, so that a
    pipeline in another thread would be given a text without padding.
    """
    if not getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(text, truncation=False, return_special_tokens_mask=True, verbose=False)
        return encoded["input_ids"], encoded["special_tokens_mask"], None
    with _COPIES_LOCK:
        words, backend = _COPIES.get(tokenizer, (-1, None))
        if words != len(tokenizer):
            backend = type(tokenizer.backend_tokenizer).from_str(
                tokenizer.backend_tokenizer.to_str()
            )
            backend.no_padding()
            backend.no_truncation()
            _COPIES[tokenizer] = len(tokenizer), backend
    found = backend.encode(text)
    return found.ids, found.special_tokens_mask, [(int(a), int(b)) for a, b in found.offsets]


def _write_out(tokenizer: Any, text: str) -> str:  # noqa: ANN401
    """The text with each textual-inversion word followed by its further vectors.

    Pipelines of diffusers do the same before they tokenize.
    """
    added = tokenizer.get_added_vocab()
    for word in sorted(added, key=len, reverse=True):
        further = []
        while f"{word}_{len(further) + 1}" in added:
            further.append(f"{word}_{len(further) + 1}")
        if further and word in text and further[0] not in text:
            text = text.replace(word, " ".join([word, *further]))
    return text


def _align(text: str, pieces: list[str]) -> list[Span]:
    """Spans of pieces found by walking along the text, for tokenizers that report none.

    A piece that is not in the text, such as one byte of an emoji or the unknown token, stands for
    whatever lies between its neighbours.
    """
    low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    spans: list[Span] = []
    position, lost = 0, 0
    for piece in pieces:
        piece = piece.strip().lower()
        position += len(low[position:]) - len(low[position:].lstrip())
        start = low.find(piece, position) if lost and piece else position
        if piece and start >= 0 and low.startswith(piece, start):
            spans[len(spans) - lost :] = [(position, start)] * lost
            spans.append((start, start + len(piece)))
            position, lost = start + len(piece), 0
        else:
            spans.append((position, len(text)))
            lost += 1
    return spans


def tokenize(tokenizer: Any, prompt: str) -> Tokens:  # noqa: ANN401
    """Tokenizes a prompt.

    Args:
        tokenizer: a tokenizer, or a pipeline that has one.
        prompt: the prompt as the pipeline will get it.

    Raises:
        ValueError: the prompt is no text or has none, or there is no tokenizer.
    """
    check_prompt(prompt)
    given, tokenizer = tokenizer, tokenizer_of(tokenizer)
    if not hasattr(tokenizer, "get_added_vocab"):
        got = repr(given) if isinstance(given, str) else type(given).__name__
        raise ValueError(
            f"Got {got[:60]}, which has no tokenizer; give the pipeline first, or its tokenizer, "
            "and then the prompt."
        )
    text = _write_out(tokenizer, unicodedata.normalize("NFC", prompt))
    ids, special, offsets = encode(tokenizer, text)
    opening = next((i for i, is_special in enumerate(special) if not is_special), len(ids))
    closing = next((i for i, is_special in enumerate(special[::-1]) if not is_special), 0)
    inner = slice(opening, len(ids) - closing)
    pieces = [tokenizer.decode([i]).strip() for i in ids]
    if offsets is not None:
        spans = offsets[inner]
    else:
        spans = _align(text, pieces[inner])
    limit = min(int(tokenizer.model_max_length), 1_000_000)
    whole = (*((0, 0),) * opening, *spans, *((0, 0),) * closing)
    pieces = [
        text[slice(*span)].strip() if _BROKEN in piece else piece
        for piece, span in zip(pieces, whole, strict=True)
    ]
    return Tokens(text, tuple(ids), tuple(pieces), whole, limit, opening, closing)
