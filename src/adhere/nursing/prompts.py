"""What is drawn: prompts given to `nurse`, or overheard from the pipeline, and their subjects."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from adhere.errors import AdhereWarning, SubjectNotFound, UnsupportedPipeline
from adhere.families import Family, Opened, Placed, place, same
from adhere.families.call import DenoiserCall
from adhere.families.encoder import Encoder
from adhere.families.given import Given, check_given
from adhere.methods.base import Method
from adhere.methods.boxes import Box
from adhere.nursing.checks import check_needs, names_of, with_boxes
from adhere.subjects import Subject, find_subjects
from adhere.subjects.tokenizing import tokenize

# The pipelines' arguments that hold the prompt, one for each text encoder.
_ARGUMENTS = ("prompt", "prompt_2", "prompt_3")


@dataclass(frozen=True)
class Overheard:
    """One call of `encode_prompt`.

    Attributes:
        prompts: for each prompt its text arguments; empty where embeddings were given.
        embeddings: what the call returned for the prompts, one entry for each image; a list has
            one for each prompt.
    """

    prompts: tuple[Mapping[str, str], ...]
    embeddings: Any


@dataclass
class Prompts:
    """The prompts of a block and their subjects.

    Attributes:
        family: of the pipeline.
        methods: that nurse.
        given: by the user, or None.
        is_list: whether the user gave a list of prompts, and so a list of subjects for each.
        words: subjects that the user names: one list for one prompt, else one for each.
        boxes: of subjects, by their name.
        heard: calls of `encode_prompt` since the last run began.
        known: the call that the last run was matched with.
        encoded: token ids that the text encoders got since they were last checked.
    """

    family: Family
    methods: Sequence[Method]
    given: tuple[str, ...] | None
    is_list: bool
    words: Sequence[Any] | None
    boxes: Mapping[str, Box]
    heard: list[Overheard] = field(default_factory=list)
    known: list[Overheard] = field(default_factory=list)
    encoded: Given = field(default_factory=dict)
    _found: dict[tuple[str, int, int], tuple[Subject, ...]] = field(default_factory=dict)

    @cached_property
    def encoders(self) -> tuple[Encoder, ...]:
        """The text encoders that reach attention."""
        return self.family.encoders()

    def overhear(self, own: Callable) -> Callable:
        """The pipeline's `encode_prompt`, of whose calls the texts and the result are kept."""
        signature = inspect.signature(own)

        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            arguments = signature.bind(*args, **kwargs).arguments
            texts = _texts(arguments)
            if texts and not self.heard:
                self.compare(texts)
                for index, one in enumerate(texts):
                    self.subjects(one, index, len(texts))
            self._forget_encoded()
            result = own(*args, **kwargs)
            self._check_encoded(texts)
            embeddings = result[0] if isinstance(result, tuple) else result
            self.heard.append(Overheard(texts, embeddings))
            return result

        return encode_prompt

    def open(self, args: tuple, keywords: Mapping[str, Any]) -> tuple[Opened, tuple]:
        """A run's first call, and the prompts that it draws.

        Raises:
            UnsupportedPipeline: the call draws other texts than those that are known.
        """
        rows = len(self.family.samples_of(DenoiserCall.of(self.family.denoiser, args, keywords)))
        known = (*self.heard, *self.known)
        for heard, embeddings in ((h, e) for h in known for e in _for_images(h.embeddings, rows)):
            count = len(embeddings)
            try:
                opened = self.family.open(args, keywords, count, max(len(heard.prompts), 1))
            except UnsupportedPipeline:
                if len(self.heard) == 1 and not self.known:
                    raise
                continue
            text = self.family.text_of(opened.call, opened.first, opened.samples)
            if not same(text, embeddings):
                continue
            self.known = [heard]
            self.heard.clear()
            if heard.prompts:
                self.compare(heard.prompts)
            texts = heard.prompts or self._given()
            if opened.samples % len(texts):
                raise UnsupportedPipeline(
                    f"The pipeline draws {opened.samples} images by its embeddings, which cannot "
                    f"be of the {len(texts)} prompts that nurse got. Give both the same prompts."
                )
            return opened, texts
        texts = self._given()
        if not self.heard:
            # Another pipeline of the same components may have encoded its own prompt.
            self._check_encoded(texts)
        if any(heard.prompts for heard in self.heard):
            raise UnsupportedPipeline(
                "The denoiser reads other text embeddings than the pipeline made of its prompt: "
                f"it draws {self._said()} changed on the way. Call the pipeline with the prompt "
                "alone, or with embeddings alone and nurse with prompt=."
            )
        return self.family.open(args, keywords, None, len(texts)), texts

    def _check_encoded(self, texts: Sequence[Mapping[str, str]]) -> None:
        for one in texts:
            check_given(self.encoders, one, self.encoded)
        self._forget_encoded()

    def _forget_encoded(self) -> None:
        for rows in self.encoded.values():
            rows.clear()

    def _said(self) -> str:
        texts = next(heard.prompts for heard in self.heard if heard.prompts)
        return f"{texts[0].get('prompt', '')[:60]!r}"

    def _given(self) -> tuple[Mapping[str, str], ...]:
        if self.given is None:
            raise UnsupportedPipeline(
                "The pipeline's prompt could not be overheard: it was called with embeddings, or "
                "has no encode_prompt. Give the prompt to nurse as well: nurse(pipe, method, "
                "prompt=...)."
            )
        return tuple({"prompt": text} for text in self.given)

    def compare(self, texts: Sequence[Mapping[str, str]]) -> None:
        """Refuse a pipeline that is called with other prompts than `nurse` got.

        Raises:
            UnsupportedPipeline: it is.
        """
        if self.given is None:
            return
        drawn = [text["prompt"] for text in texts]
        told = list(self.given)
        if drawn == told or (len(told) == 1 and set(drawn) == set(told)):
            return
        first = next((d for d, t in zip(drawn, told, strict=False) if d != t), drawn[-1])
        raise UnsupportedPipeline(
            f"The pipeline draws other prompts than the {len(told)} that nurse got: "
            f"{first[:60]!r} is among its {len(drawn)}. Give both the same prompts in one order, "
            "or leave out prompt=."
        )

    def subjects(self, texts: Mapping[str, str], index: int, count: int) -> tuple[Subject, ...]:
        """The subjects of one of several prompts.

        Args:
            texts: the prompt's text arguments.
            index: which of the prompts it is.
            count: how many there are.

        Raises:
            SubjectNotFound: it has none, or not those that are named.
            ValueError: lists of subjects that do not fit the prompts, or too few subjects.
        """
        lead = self.encoders[0]
        text = lead.prompt_of(texts)
        key = text, index, count
        if key not in self._found:
            words = self._words(index, count)
            found = find_subjects(lead.tokenizer, text, words)
            if words is not None:
                _check_indices(found, lead.tokenizer, text)
            self._found[key] = with_boxes(found, self.boxes, text)
            check_needs(self.methods, self._found[key], text)
            self._warn_of_attributes(self._found[key], text)
        return self._found[key]

    def _words(self, index: int, count: int) -> Any:
        """The subjects that the user names for one of the prompts, or None."""
        if self.words is None:
            return None
        if not self.is_list and (count == 1 or self.given is not None):
            return self.words
        if len(self.words) != count:
            raise ValueError(
                f"Got {len(self.words)} lists of subjects for {count} prompts. Give one list, or "
                "None, for each prompt."
            )
        return self.words[index]

    def _warn_of_attributes(self, subjects: Sequence[Subject], text: str) -> None:
        for method in self.methods:
            if method.needs_attributes and not any(one.attributes for one in subjects):
                warnings.warn(
                    f"{names_of([method])} binds attributes to their subjects, and {text[:60]!r} "
                    "has no attributes, so nothing is done for it. Name them with subjects=, or "
                    "use another method.",
                    AdhereWarning,
                    stacklevel=6,
                )

    def placed(self, opened: Opened, texts: Sequence[Mapping[str, str]]) -> list[Placed]:
        """For each sample where its prompt's words are among the columns of the call."""
        images = opened.samples // len(texts)
        found = []
        for index, one in enumerate(texts):
            row = opened.first + index * images
            total = self.family.columns_of(opened.call)
            valid = self.family.valid_of(opened.call, row)
            subjects = self.subjects(one, index, len(texts))
            found += [place(self.encoders, one, subjects, total, valid)] * images
        return found


def _for_images(embeddings: Any, rows: int) -> Iterator[Any]:
    """Embeddings with one entry for each image of a call of so many rows, as they may be.

    A tensor has them. Of a list the pipeline makes them later, one prompt after the other, for a
    call of one branch or two.
    """
    if isinstance(embeddings, Tensor):
        yield embeddings
        return
    for branches in (1, 2):
        images, rest = divmod(rows, branches * len(embeddings))
        if images and not rest:
            yield [one for one in embeddings for _ in range(images)]


def _texts(arguments: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """The text arguments of a call of `encode_prompt`, one mapping for each prompt."""
    given = {name: arguments[name] for name in _ARGUMENTS if arguments.get(name) is not None}
    if "prompt" not in given:
        return ()
    lists = {
        name: [value] if isinstance(value, str) else list(value) for name, value in given.items()
    }
    return tuple(
        {name: values[i] for name, values in lists.items() if i < len(values)}
        for i in range(len(lists["prompt"]))
    )


def _check_indices(subjects: Sequence[Subject], tokenizer: Any, prompt: str) -> None:
    """Refuse token indices that are no word of the prompt."""
    tokens = tokenize(tokenizer, prompt)
    words = range(tokens.opening, tokens.end)
    for subject in subjects:
        for part in subject.words:
            if part.token_indices and all(index in words for index in part.token_indices):
                continue
            listed = ", ".join(f"{i} {word!r}" for i, word in enumerate(tokens.kept))
            raise SubjectNotFound(
                f"{part.text!r} has token indices {part.token_indices}, which are no words of "
                f"{prompt!r}; choose from those of its words, {words.start} to "
                f"{words.stop - 1}: {listed}."
            )
