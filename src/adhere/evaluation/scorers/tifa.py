"""TIFA: the share of questions about an image that a model answers as the prompt has it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.evaluation.scorers.base import (
    Baselines,
    Images,
    Judgement,
    Metric,
    Prompts,
    Scorer,
    Values,
)
from adhere.evaluation.scorers.questions import (
    FORM,
    TYPES,
    Question,
    as_tifa,
    asking,
)
from adhere.evaluation.scorers.weights import Model, find, read, split
from adhere.evaluation.sets.prompt import Prompt

MODELS = {
    "a BLIP or ViLT that answers questions": "Salesforce/blip-vqa-base",
    "a sentence encoder": "sentence-transformers/all-mpnet-base-v2",
}
_LONGEST_ANSWER = 50


class TifaScorer(Scorer):
    """Accuracy of answers to an image's questions, all together and by kind of element.

    The model answers freely; an answer that is none of the choices counts as the choice that a
    sentence encoder finds nearest. A kind without questions is None.

    Args:
        model: what answers, or that and the sentence encoder with "+" between; None takes
            defaults.
        questions_file: questions in TIFA's format, found by caption; None writes them by
            templates, see `adhere.evaluation.scorers.questions`.

    Raises:
        ValueError: there is no such model, or no such file.

    Source:
        arXiv 2303.11897 and the authors' code.
    """

    name = "tifa"
    metrics = (
        Metric(
            "tifa", "alignment", True, "The share of questions that is answered as wanted.", 0.0
        ),
        *(
            Metric(
                f"tifa-{kind.replace('/', '-')}",
                "count" if kind == "counting" else "binding" if kind == "color" else "alignment",
                True,
                f"The share of questions on {kind} that is answered as wanted.",
            )
            for kind in TYPES
        ),
    )

    def __init__(self, model: str | None = None, questions_file: Path | None = None) -> None:
        answering, comparing = split(model, MODELS)
        self._answerer = Answerer(answering)
        self._nearest = SentenceEncoder(comparing)
        self._ask = asking(questions_file)
        asked = FORM
        if questions_file is not None:
            asked = f"file sha256:{hashlib.sha256(questions_file.read_bytes()).hexdigest()}"
        self.identity = self._answerer.model.identity | {
            "answers compared by": self._nearest.model.source.identity,
            "templates": asked,
            "scale": "share of questions, 0 to 1",
        }

    def questions(self, prompt: Prompt) -> tuple[Question, ...]:
        """What is asked of an image of this prompt; none where nothing is known to be wanted.

        Raises:
            ValueError: the file of questions has none for it.
        """
        return self._ask(prompt)

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Asks each image its questions; the details are all of them with their answers."""
        waiting: dict[str, list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            for one in self.questions(prompt):
                waiting[one.question].append(number)
        free: dict[tuple[int, str], str] = {}
        # One question at a time: the padding of a shorter one would change its answer.
        for question, numbers in waiting.items():
            answers = self._answerer.answers([images[n] for n in numbers], question)
            free.update(zip(((n, question) for n in numbers), answers, strict=True))
        found = []
        for number, prompt in enumerate(prompts):
            log = []
            asked = zip(self.questions(prompt), self._entries(prompt), strict=True)
            for one, entry in asked:
                answer = free[number, one.question]
                chosen = self._nearest.choice(answer, one.choices)
                log.append(
                    {
                        **entry,
                        "free_form_vqa": answer,
                        "multiple_choice_vqa": chosen,
                        "scores": int(chosen == one.answer),
                    }
                )
            found.append(Judgement(shares(log), {"questions": log}))
        return found

    def judge_failed(self, prompt: Prompt) -> Judgement:
        """No question is answered as wanted where there is no image."""
        log = [
            {**entry, "free_form_vqa": "", "multiple_choice_vqa": "", "scores": 0}
            for entry in self._entries(prompt)
        ]
        return Judgement(shares(log), {"questions": log})

    def _entries(self, prompt: Prompt) -> list[dict[str, Any]]:
        """Questions as TIFA's log has them, without what all of an image share."""
        shared = ("id", "caption")
        entries = as_tifa("", prompt, self.questions(prompt))
        return [{k: v for k, v in entry.items() if k not in shared} for entry in entries]


def shares(log: Sequence[Mapping[str, Any]]) -> Values:
    """The metrics of one image from its questions, each with element_type and scores."""
    values: Values = {metric.name: None for metric in TifaScorer.metrics}
    if log:
        values["tifa"] = float(mean(entry["scores"] for entry in log))
    for kind in {entry["element_type"] for entry in log} & set(TYPES):
        scores = [entry["scores"] for entry in log if entry["element_type"] == kind]
        values[f"tifa-{kind.replace('/', '-')}"] = float(mean(scores))
    return values


def result(logs: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """A result in the format of TIFA's own script.

    `tifa_average` is the mean over ids of each one's mean; `accuracy_by_type` is a mean over
    questions, so that an id with more of them weighs more.

    Args:
        logs: by id, the caption and the answered questions.

    Returns:
        tifa_average, tifa_stdev (between ids; None for a single one, on which the authors' script
        fails), accuracy_by_type, question_details, caption_scores.

    Raises:
        ValueError: nothing was asked.
    """
    details = {
        identity: {e["question"]: {"id": identity, "caption": caption, **e} for e in log}
        for identity, (caption, log) in logs.items()
        if log
    }
    if not details:
        raise ValueError("There are no answers to any question; score with TIFA first.")
    scores = {i: mean(e["scores"] for e in log.values()) for i, log in details.items()}
    kinds: dict[str, list[int]] = defaultdict(list)
    for log in details.values():
        for entry in log.values():
            kinds[entry["element_type"]].append(entry["scores"])
    return {
        "tifa_average": mean(scores.values()),
        "tifa_stdev": stdev(scores.values()) if len(scores) > 1 else None,
        "accuracy_by_type": {kind: mean(own) for kind, own in kinds.items()},
        "question_details": details,
        "caption_scores": scores,
    }


class Answerer:
    """A BLIP or ViLT that answers questions about images.

    Args:
        model: a folder or an id on the hub.

    Raises:
        ValueError: there is no such model, or it is of another kind.
    """

    def __init__(self, model: str) -> None:
        from transformers import AutoConfig, BlipForQuestionAnswering, ViltForQuestionAnswering

        kinds = {"blip": BlipForQuestionAnswering, "vilt": ViltForQuestionAnswering}
        source = find(model)
        self._kind = read(AutoConfig, source).model_type
        if self._kind not in kinds:
            raise ValueError(
                f"{model!r} is a model of the kind {self._kind!r}; TIFA takes a BLIP or a ViLT "
                "that was trained to answer questions."
            )
        self.model = Model.load(kinds[self._kind], source)

    @torch.no_grad()
    def answers(self, images: Images, question: str) -> list[str]:
        """The answer of each image to one question, freely."""
        pixels = self.model.pixels(images)
        tokens = self.model.tokens([question] * len(images))
        network = self.model.network
        if self._kind == "vilt":
            logits = network(**tokens, **pixels).logits
            return [network.config.id2label[i] for i in logits.argmax(-1).tolist()]
        answers = network.generate(
            pixel_values=pixels["pixel_values"],
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            max_length=_LONGEST_ANSWER,
        )
        texts = self.model.tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [text.strip() for text in texts]


class SentenceEncoder:
    """Finds the choice that an answer is nearest to, by the cosine of mean token features.

    Args:
        model: a folder or an id on the hub.

    Raises:
        ValueError: there is no such model.
    """

    def __init__(self, model: str) -> None:
        from transformers import AutoModel

        self.model = Model.load(AutoModel, find(model), images=False)

    def choice(self, answer: str, choices: Sequence[str]) -> str:
        """The choice that the answer is, or else is nearest to; the first of equals."""
        if answer in choices:
            return answer
        own, *others = self._features([answer, *choices])
        return choices[int(torch.stack(others).matmul(own).argmax())]

    @torch.no_grad()
    def _features(self, texts: Sequence[str]) -> Tensor:
        tokens = self.model.tokens(texts, padding=True)
        hidden = self.model.network(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"][..., None]
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
