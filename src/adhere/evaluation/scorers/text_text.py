"""Attend-and-Excite's text-text similarity: a caption of the image against the prompt."""

from __future__ import annotations

import torch

from adhere.evaluation.scorers.base import Baselines, Images, Judgement, Metric, Prompts, Scorer
from adhere.evaluation.scorers.clip import MODEL as CLIP_MODEL
from adhere.evaluation.scorers.clip import Clip
from adhere.evaluation.scorers.weights import Model, find, split

MODELS = {
    "a BLIP that writes captions": "Salesforce/blip-image-captioning-base",
    "a CLIP": CLIP_MODEL,
}
PREFIX = "a picture of"
# What LAVIS generates with by default.
_GENERATION = {"num_beams": 3, "max_length": 30, "min_length": 10, "do_sample": False}


class TextTextScorer(Scorer):
    """Cosine of CLIP between a caption by BLIP and the prompt.

    As in the authors' script the caption goes in as it is and the prompt through the 80
    templates. Their BLIP is another checkpoint (LAVIS, "base_coco") than the one of the hub.

    Args:
        model: a captioning BLIP, or that and a CLIP with "+" between; None takes defaults.

    Raises:
        ValueError: there is no such model.

    Source:
        arXiv 2301.13826, the authors' evaluation code.
    """

    name = "text-text"
    metrics = (
        Metric(
            "text-text", "alignment", True, "CLIP cosine of a caption of the image and prompt."
        ),
    )

    def __init__(self, model: str | None = None) -> None:
        from transformers import BlipForConditionalGeneration

        captioner, clip = split(model, MODELS)
        source = find(captioner)
        self._clip = Clip(clip)
        self._blip = Model.load(BlipForConditionalGeneration, source)
        self.identity = self._blip.identity | {
            "compared by": self._clip.model.source.identity,
            "templates": "caption none; prompt 80 of ImageNet, averaged",
            "generation": ", ".join(f"{key} {value}" for key, value in _GENERATION.items()),
            "scale": "cosine",
        }

    @torch.no_grad()
    def captions(self, images: Images) -> list[str]:
        """A caption of each image, without the words that it was begun with."""
        begun = self._blip.tokens([PREFIX] * len(images))
        tokens = self._blip.network.generate(
            pixel_values=self._blip.pixels(images)["pixel_values"],
            input_ids=begun["input_ids"],
            attention_mask=begun["attention_mask"],
            **_GENERATION,
        )
        texts = self._blip.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip().removeprefix(PREFIX).strip() for text in texts]

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Compares each image's caption, which is in the details."""
        captions = self.captions(images)
        features = self._clip.of_texts(captions)
        return [
            Judgement(
                {"text-text": float(feature @ self._clip.averaged(prompt.text))},
                {"caption": caption},
            )
            for feature, caption, prompt in zip(features, captions, prompts, strict=True)
        ]
