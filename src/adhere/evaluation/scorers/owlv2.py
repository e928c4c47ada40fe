"""Presence and counts by OWLv2, a detector that takes any words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch

from adhere.evaluation.scorers.base import (
    Baselines,
    Images,
    Judgement,
    Metric,
    Prompts,
    Scorer,
    Thing,
    Values,
    details_of,
)
from adhere.evaluation.scorers.presence import (
    ALL_PRESENT,
    RIGHT_COUNT,
    SHARE_PRESENT,
    present_and_counted,
)
from adhere.evaluation.scorers.weights import Model, find
from adhere.evaluation.sets.prompt import Prompt
from adhere.mini.scorer import Box, shared

MODEL = "google/owlv2-base-patch16-ensemble"
TEMPLATE = "a photo of a {}"
THRESHOLD = 0.2
# Two boxes that share more than this part of their union hold the same thing.
SAME_THING = 0.5


class Found(NamedTuple):
    """One thing: its subject, 0…1, and (left, top, right, bottom) in pixels."""

    subject: str
    confidence: float
    box: Box


def suppressed(found: Sequence[Found]) -> list[Found]:
    """One of each group of boxes that hold the same thing: the surest, whatever its subject.

    Subjects compete, so that an animal that is half cat and half frog is not both.

    Args:
        found: in any order.

    Returns:
        The surest first.
    """
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: -one.confidence):
        if all(shared(one.box, other.box) <= SAME_THING for other in kept):
            kept.append(one)
    return kept


class Owlv2Scorer(Scorer):
    """Whether and how often the wanted subjects are detected; colours are not looked at.

    The threshold was not set on labelled images of the model that is scored: look at some, and
    compare methods rather than quote the rate.

    Args:
        model: an OWLv2 as a folder or an id on the hub.

    Raises:
        ValueError: there is no such model.

    Source:
        arXiv 2306.09683.
    """

    name = "owlv2"
    metrics: tuple[Metric, ...] = (ALL_PRESENT, SHARE_PRESENT, RIGHT_COUNT)

    def __init__(self, model: str | None = None) -> None:
        from transformers import Owlv2ForObjectDetection

        self._model = Model.load(Owlv2ForObjectDetection, find(model or MODEL))
        self.identity = self._model.identity | {
            "templates": TEMPLATE,
            "threshold": repr(THRESHOLD),
            "non-maximum suppression": f"intersection over union {SAME_THING}, over all subjects",
            "scale": "yes or no: 1 or 0",
        }

    @torch.no_grad()
    def detect(self, images: Images, subjects: Sequence[str]) -> list[list[Found]]:
        """What is found of some subjects in each image, the surest first.

        Args:
            images: RGB.
            subjects: at least one.
        """
        network = self._model.network
        tokens = self._model.tokens(
            [TEMPLATE.format(subject) for subject in subjects] * len(images),
            padding="max_length",
            max_length=network.config.text_config.max_position_embeddings,
        )
        output = network(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=self._model.pixels(images)["pixel_values"],
        )
        results = self._model.processor.post_process_object_detection(
            output,
            threshold=THRESHOLD,
            target_sizes=torch.tensor([p.size[::-1] for p in images], device=network.device),
        )
        found = []
        for result in results:
            labels, scores, boxes = (result[k].tolist() for k in ("labels", "scores", "boxes"))
            things = [
                Found(subjects[int(label)], confidence, tuple(box))
                for label, confidence, box in zip(labels, scores, boxes, strict=True)
            ]
            found.append(suppressed(things))
        return found

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Looks for what is wanted; the details are what was found."""
        judgements = []
        pairs = list(zip(images, prompts, strict=True))
        for subjects, group in groupby(pairs, key=lambda pair: _subjects(pair[1])):
            rows = list(group)
            found: list[list[Found]] = [[] for _ in rows]
            if subjects:
                found = self.detect([image for image, _ in rows], subjects)
            for (one, prompt), things in zip(rows, found, strict=True):
                seen = [Thing.seen(*thing, size=one.size) for thing in things]
                judgements.append(Judgement(_values(prompt, things), details_of(seen)))
        return judgements

    def judge_failed(self, prompt: Prompt) -> Judgement:
        """Nothing is found where there is no image."""
        return Judgement(_values(prompt, []))


def _subjects(prompt: Prompt) -> tuple[str, ...]:
    return tuple(dict.fromkeys(wanted.subject for wanted in prompt.wanted))


def _values(prompt: Prompt, found: Sequence[Found]) -> Values:
    if not prompt.wanted:
        return {metric.name: None for metric in Owlv2Scorer.metrics}
    return present_and_counted(prompt.wanted, Counter(one.subject for one in found))
