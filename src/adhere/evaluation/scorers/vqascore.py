"""VQAScore with a model of transformers: how probable it finds it that an image shows a text."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch

from adhere.drawing.png import slug
from adhere.evaluation.scorers.base import Baselines, Images, Judgement, Metric, Prompts, Scorer
from adhere.evaluation.scorers.weights import best_device, find, read, read_model

MODEL = "Salesforce/instructblip-flan-t5-xl"
QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ANSWER = "Yes"


class VqaScorer(Scorer):
    """Probability of "Yes" to the paper's question, by another model than the paper's.

    The paper's CLIP-FlanT5 is not in transformers, so its published numbers cannot be made again
    here; the model is part of the metric's name. An encoder-decoder gives, as the paper has it,
    the geometric mean of the probabilities of the answer's tokens with the end token. A decoder
    gives that of the answer's tokens after its own chat template, as it goes on after them.

    Args:
        model: an image-text-to-text model as a folder or an id on the hub; None takes
            InstructBLIP with Flan-T5, which the authors' code has too.

    Raises:
        ValueError: there is no such model, or a decoder without a chat template.

    Source:
        arXiv 2404.01291 and the authors' code.
    """

    name = "vqascore"

    def __init__(self, model: str | None = None) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        source = find(model or MODEL)
        self._device = best_device()
        # Models of this kind are large, and their authors use half precision too.
        precision = "float32" if self._device == "cpu" else "bfloat16"
        self._model = read_model(AutoModelForImageTextToText, source, self._device, precision)
        self._processor = read(AutoProcessor, source)
        self._is_seq2seq = _is_encoder_decoder(self._model)
        if not self._is_seq2seq and not getattr(self._processor, "chat_template", None):
            raise ValueError(
                f"{source.name!r} has no chat template, so there is no telling how it is asked; "
                "give a model with one, or an encoder-decoder such as " + MODEL + "."
            )
        self._metric = f"vqascore-{slug(source.name)}"
        said = (
            "the answer's tokens with the end token" if self._is_seq2seq else "the answer's tokens"
        )
        self.metrics = (
            Metric(
                self._metric,
                "alignment",
                True,
                f"VQAScore with {source.name} instead of the paper's CLIP-FlanT5.",
            ),
        )
        self.identity = {
            "model": f"{source.name} (not the paper's CLIP-FlanT5)",
            "revision": source.revision,
            "precision": precision,
            "templates": QUESTION,
            "scale": f'geometric mean of the probabilities of "{ANSWER}", {said}',
        }

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Asks each image whether it shows its prompt."""
        found = []
        pairs = zip(images, prompts, strict=True)
        # Prompts of one length need no padding, which would have to be masked everywhere.
        for text, group in groupby(pairs, key=lambda pair: pair[1].text):
            own = [image for image, _ in group]
            found += [Judgement({self._metric: p}) for p in self.probabilities(own, text)]
        return found

    @torch.no_grad()
    def probabilities(self, images: Images, text: str) -> list[float]:
        """Of "Yes" for each image, 0…1."""
        question = QUESTION.format(text)
        if self._is_seq2seq:
            return self._of_encoder_decoder(images, question)
        return self._of_decoder(images, question)

    def _of_encoder_decoder(self, images: Images, question: str) -> list[float]:
        inputs = self._inputs(images, question)
        answer = self._processor.tokenizer(ANSWER, return_tensors="pt")["input_ids"]
        labels = answer.repeat(len(images), 1).to(self._device)
        return _mean_probability(self._model(**inputs, labels=labels).logits, labels)

    def _of_decoder(self, images: Images, question: str) -> list[float]:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        asked = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self._inputs(images, asked)
        tokenizer = self._processor.tokenizer
        answer = tokenizer(ANSWER, add_special_tokens=False, return_tensors="pt")["input_ids"]
        labels = answer.repeat(len(images), 1).to(self._device)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], labels], 1)
        seen = torch.ones_like(labels)
        inputs["attention_mask"] = torch.cat([inputs["attention_mask"], seen], 1)
        logits = self._model(**inputs).logits
        # The logits of a place are those of the token after it.
        length = labels.shape[1]
        return _mean_probability(logits[:, -length - 1 : -1], labels)

    def _inputs(self, images: Images, text: str) -> Any:
        inputs = self._processor(
            images=list(images), text=[text] * len(images), return_tensors="pt"
        )
        return inputs.to(self._device, self._model.dtype)


def _mean_probability(logits: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """Geometric mean over tokens of the probabilities of labels (B, T) by logits (B, T, words)."""
    each = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return each.mean(1).exp().tolist()


def _is_encoder_decoder(model: Any) -> bool:
    config = model.config
    return bool(getattr(config.get_text_config(), "is_encoder_decoder", False))
