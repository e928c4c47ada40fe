"""From the words of a prompt to columns of the text that attention reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from adhere.attention.columns import Columns
from adhere.errors import SubjectNotFound, UnsupportedPipeline
from adhere.families.encoder import Encoder, as_given, rendered
from adhere.subjects.relations import Relation
from adhere.subjects.subject import Subject
from adhere.subjects.text import has_spaces, whole_words
from adhere.subjects.tokenizing import Tokens, tokenize

Span = tuple[int, int]


@dataclass(frozen=True)
class Placed:
    """One prompt as attention reads it.

    Attributes:
        prompt: the prompt.
        tokens: its tokens as text, by the first encoder, with the special ones.
        columns: for each token all its columns, of every encoder.
        encoders: name of each encoder to its columns of each token.
        subjects: with indices of the first encoder's tokens.
        placed: the same with columns in their place.
        words: columns of the prompt itself.
        specials: columns of tokens that open or close the text.
        competing: columns that a softmax over tokens takes in.
        relations: what the prompt says of its subjects, where an edit of attention is to know it.
    """

    prompt: str
    tokens: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    encoders: Mapping[str, tuple[tuple[int, ...], ...]]
    subjects: tuple[Subject, ...]
    placed: tuple[Subject, ...]
    words: tuple[int, ...]
    specials: tuple[int, ...]
    competing: tuple[int, ...]
    relations: tuple[Relation, ...] = ()

    @property
    def word_tokens(self) -> tuple[int, ...]:
        """Which of the tokens are of the prompt itself, and are read."""
        return tuple(i for i, own in enumerate(self.columns) if {*own} & {*self.words})


@dataclass(frozen=True)
class _Found:
    """The tokens of one encoder: characters of the prompt, or None, and columns, or None."""

    tokens: Tokens
    spans: tuple[Span | None, ...]
    columns: tuple[int | None, ...]


def place(
    encoders: Sequence[Encoder],
    prompts: Mapping[str, str],
    subjects: Sequence[Subject],
    total: int,
    valid: int | None = None,
) -> Placed:
    """Where the words of a prompt are among the text's columns.

    Args:
        encoders: those that reach attention, the first with the tokens that subjects name.
        prompts: the pipeline's text arguments; an encoder whose own is not given reads "prompt".
        subjects: with indices of the first encoder's tokens.
        total: how many columns the denoiser really gets.
        valid: how many of them are not padding, if it is known.

    Raises:
        SubjectNotFound: a subject lies beyond what the first encoder reads.
        UnsupportedPipeline: the columns do not fit the prompt, which the pipeline has changed.
    """
    lead = encoders[0]
    text = lead.prompt_of(prompts)
    own, found, each = columns_by_encoder(encoders, prompts, total, valid)
    columns = tuple(
        tuple(sorted({c for of_one in each.values() for c in of_one[token]}))
        for token in range(len(own.spans))
    )
    words, specials, competing = set(), set(), set()
    for encoder, its in zip(encoders, found, strict=True):
        inside = {c for s, c in zip(its.spans, its.columns, strict=True) if s and c is not None}
        all_of_it = {c for c in its.columns if c is not None}
        words |= inside
        specials |= all_of_it - inside
        competing |= _competing(encoder, inside, total) if encoder.pads else inside
    read = (*range(own.end), *range(len(columns) - own.closing, len(columns)))
    return Placed(
        prompt=text,
        tokens=own.kept,
        columns=tuple(columns[token] for token in read),
        encoders=each,
        subjects=tuple(subjects),
        placed=tuple(_in_columns(subject, own, columns) for subject in subjects),
        words=tuple(sorted(words)),
        specials=tuple(sorted(specials)),
        competing=tuple(sorted(competing)),
    )


def columns_by_encoder(
    encoders: Sequence[Encoder],
    prompts: Mapping[str, str],
    total: int,
    valid: int | None = None,
) -> tuple[Tokens, list[_Found], dict[str, tuple[tuple[int, ...], ...]]]:
    """The tokens of the first encoder, those of each, and their columns in each; see `place`."""
    lead = encoders[0]
    text = lead.prompt_of(prompts)
    found = [_find(encoder, encoder.prompt_of(prompts), total, valid) for encoder in encoders]
    is_plain = lead.render is as_given and not lead.lowers
    own = found[0].tokens if is_plain else tokenize(lead.tokenizer, text)
    each: dict[str, tuple[tuple[int, ...], ...]] = {}
    for encoder, its in zip(encoders, found, strict=True):
        theirs = encoder.prompt_of(prompts)
        spans = own.spans if theirs == text else _elsewhere(own, theirs)
        each[encoder.name] = tuple(_overlapping(its, span) for span in spans)
    if is_plain:
        # Special tokens stand for no characters, and have columns all the same.
        exact = tuple(() if c is None else (c,) for c in found[0].columns)
        each[lead.name] = exact
    return own, found, each


def batched(placed: Sequence[Placed], total: int) -> Columns:
    """The columns of several samples, each prompt once for each of its images."""
    masks = torch.zeros((3, len(placed), total), dtype=torch.bool)
    for sample, one in enumerate(placed):
        for mask, columns in zip(masks, (one.words, one.specials, one.competing), strict=True):
            mask[sample, list(columns)] = True
    return Columns(*masks)


def _find(encoder: Encoder, prompt: str, total: int, valid: int | None) -> _Found:
    """The tokens of one encoder for a rendered prompt."""
    read = rendered(encoder, prompt)
    tokens = tokenize(encoder.tokenizer, read.text)
    # Words of textual inversion are written out, so that the text may be longer.
    longer = range(len(read.origins), len(read.origins) + len(tokens.text) - len(read.text))
    origins = (*read.origins, *longer)
    width = total - encoder.first if encoder.length is None else encoder.length
    if encoder.chunk and width > encoder.chunk and width % encoder.chunk:
        raise UnsupportedPipeline(
            f"The text has {width} columns, which is no multiple of the {encoder.chunk} that "
            f"{encoder.name} makes: another text encoder made them. Nursing cannot find words "
            "in them."
        )
    limit = min(encoder.limit or tokens.limit, width + encoder.dropped)
    if encoder.chunk and width > encoder.chunk:
        limit = width
    spans = tuple(_of_prompt(span, read.start, origins) for span in tokens.spans)
    count = min(len(spans), limit)
    kept = width if valid is None else valid
    # Columns count from the end where something of unknown length comes before the words.
    if encoder.side == "left" or encoder.has_images:
        offset = kept - count
    else:
        offset = -encoder.dropped
    if valid is not None and not encoder.has_images and count - encoder.dropped != valid:
        raise UnsupportedPipeline(
            f"The denoiser reads {valid} text columns, where {prompt[:60]!r} has "
            f"{count - encoder.dropped} tokens: the pipeline has rewritten or cut the prompt. "
            "Call it with the text that it should draw, and without prompt rewriting."
        )
    columns = tuple(
        _column(encoder, tokens, index, count, offset, width) for index in range(len(spans))
    )
    return _Found(tokens, spans, columns)


def _of_prompt(span: Span, start: int, origins: Sequence[int]) -> Span | None:
    """The characters of the prompt that a token of the whole text stands for; None for none."""
    inside = origins[max(span[0] - start, 0) : max(span[1] - start, 0)]
    return (inside[0], inside[-1] + 1) if inside else None


def _column(
    encoder: Encoder, tokens: Tokens, index: int, count: int, offset: int, width: int
) -> int | None:
    """The column of a token; None where its state is not kept."""
    if encoder.chunk and count > encoder.chunk:
        inner = encoder.chunk - 2
        if index == 0:
            return encoder.first
        place, rest = divmod(index - 1, inner)
        column = place * encoder.chunk + rest + 1
        # Behind a full last chunk the closing token has no column but that chunk's own.
        return encoder.first + column if column < width else None
    if encoder.tail and index >= count - encoder.tail:
        return encoder.first + width - (count - index)
    cut = len(tokens.pieces) - count
    if cut and index >= count - tokens.closing:
        # A text that is cut off keeps its closing tokens.
        index -= cut
        if index < count - tokens.closing:
            return None
    column = index + offset
    return encoder.first + column if column >= 0 else None


def _competing(encoder: Encoder, inside: set[int], total: int) -> set[int]:
    """All columns but the start tokens and the last of each chunk."""
    chunk = encoder.chunk or total
    ends = {total - 1} if total < chunk else set(range(chunk - 1, total, chunk))
    return set(range(total)) - set(range(0, total, chunk)) - (ends | {total - 1})


def _overlapping(found: _Found, span: Span | None) -> tuple[int, ...]:
    """Columns of the tokens that share a character with a span."""
    if span is None or span[0] == span[1]:
        return ()
    return tuple(
        column
        for own, column in zip(found.spans, found.columns, strict=True)
        if own and column is not None and own[0] < span[1] and span[0] < own[1]
    )


def _elsewhere(own: Tokens, text: str) -> tuple[Span | None, ...]:
    """Where the tokens' words are in another text, the first place of each.

    They are whole words there, but in scripts that set no spaces between words.
    """
    words = [match.span() for match in re.finditer(r"\w+|[^\w\s]+", own.text)]

    def of(start: int, stop: int) -> Span | None:
        if start == stop:
            return None
        first, last = next((w for w in words if w[0] < stop and start < w[1]), (start, stop))
        if all(map(has_spaces, own.text[first:last])):
            pattern = whole_words(re.escape(own.text[first:last]))
        else:
            first, pattern = start, re.escape(own.text[start:stop])
        found = re.search(pattern, text, re.I)
        if found is None:
            return None
        begin = found.start() + max(start - first, 0)
        return begin, begin + stop - max(start, first)

    return tuple(of(*span) for span in own.spans)


def _in_columns(subject: Subject, own: Tokens, columns: Sequence[tuple[int, ...]]) -> Subject:
    """A subject with columns in the place of tokens."""

    def of(text: str, indices: Sequence[int]) -> tuple[int, ...]:
        found = tuple(dict.fromkeys(c for index in indices for c in columns[index]))
        if not found:
            raise SubjectNotFound(
                f"{text!r} has no column in the text that the model reads: it is cut off, or the "
                f"text is another one. Shorten the prompt, or name another subject. {own.table()}"
            )
        return found

    return replace(
        subject,
        token_indices=of(subject.text, subject.token_indices),
        attributes=tuple(
            replace(attribute, token_indices=of(attribute.text, attribute.token_indices))
            for attribute in subject.attributes
        ),
    )
