"""Attend-and-Excite's image-text similarities: the full prompt, and its weaker half."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.evaluation.scorers.base import Baselines, Images, Judgement, Metric, Prompts, Scorer
from adhere.evaluation.scorers.weights import Model, find

MODEL = "openai/clip-vit-base-patch16"
_ARTICLES = ("a", "the")
# CLIP's templates for ImageNet, by their forms.
_PHOTOS = (
    "bad", "low resolution", "cropped", "bright", "dark", "close-up", "black and white",
    "pixelated", "jpeg corrupted", "blurry", "good",
)  # fmt: skip
_LOOKS = ("hard to see", "clean", "dirty", "cool", "large", "nice", "weird", "small")
_ARTS = (
    "a sculpture", "a rendering", "a tattoo", "a drawing", "a painting", "a doodle", "a sketch",
    "a rendition", "graffiti", "art", "itap",
)  # fmt: skip
_KINDS = ("embroidered", "plastic", "origami", "toy", "cartoon", "plushie")
TEMPLATES = (
    *(f"a {photo} photo of {the} {{}}." for photo in _PHOTOS for the in _ARTICLES),
    *(f"a photo of {the} {look} {{}}." for look in _LOOKS for the in _ARTICLES),
    *(f"{art} of {the} {{}}." for art in _ARTS for the in _ARTICLES),
    *(f"{the} {kind} {{}}." for kind in _KINDS for the in _ARTICLES),
    *(f"{the} {{}} in a video game." for the in _ARTICLES),
    *(f"a photo of {which} {{}}." for which in (*_ARTICLES, "many", "my", "one")),
    "itap of my {}.",
)
"""The 80 templates with which CLIP names the classes of ImageNet."""


def filled(text: str) -> list[str]:
    """A text in each template, with doubled articles taken out the way the authors do.

    "a a" and then "the a" become "a" wherever the letters stand, so "a zebra and" is damaged;
    none of the prompts of Attend-and-Excite is.

    Source:
        arXiv 2301.13826, the authors' evaluation code.
    """
    return [t.format(text).replace("a a", "a").replace("the a", "a") for t in TEMPLATES]


def halves(text: str) -> tuple[str, str] | None:
    """The first two parts of a prompt around " and ", or else " with "; None without either.

    Source:
        arXiv 2301.13826, the authors' evaluation code: a third part counts nowhere, and a scene
        stays with the part before it.
    """
    for word in (" and ", " with "):
        if word in text:
            first, second, *_ = text.split(word)
            return first, second
    return None


class Clip:
    """CLIP, with features of length 1.

    Args:
        model: a folder or an id on the hub.

    Raises:
        ValueError: there is no such model.
    """

    def __init__(self, model: str) -> None:
        from transformers import CLIPModel

        self.model = Model.load(CLIPModel, find(model))
        self.averaged = lru_cache(maxsize=1024)(self._averaged)

    @torch.no_grad()
    def of_texts(self, texts: Sequence[str]) -> Tensor:
        """Features (texts, width) of texts as they are; what is beyond 77 tokens is left out."""
        longest = self.model.network.config.text_config.max_position_embeddings
        tokens = self.model.tokens(texts, padding=True, max_length=longest)
        return _unit(self.model.network.get_text_features(**tokens))

    @torch.no_grad()
    def of_images(self, images: Images) -> Tensor:
        """Features (images, width)."""
        pixels = self.model.pixels(images)["pixel_values"]
        return _unit(self.model.network.get_image_features(pixel_values=pixels))

    def _averaged(self, text: str) -> Tensor:
        """Feature (width,) of a text, averaged over the templates; also kept as `averaged`."""
        return F.normalize(self.of_texts(filled(text)).mean(0), dim=0)


def _unit(output: Any) -> Tensor:
    return F.normalize(output.pooler_output.float(), dim=-1)


class ClipScorer(Scorer):
    """Attend-and-Excite's pair: cosine with the full prompt, and with the half that fits less.

    The authors' script runs CLIP in half precision on a GPU, here it is single; and it leaves a
    prompt without "and" and "with" out of both averages, here it has the first number alone.

    Args:
        model: a CLIP as a folder or an id on the hub; None takes the authors' ViT-B/16.

    Raises:
        ValueError: there is no such model.

    Source:
        arXiv 2301.13826, the authors' evaluation code.
    """

    name = "clip"
    metrics = (
        Metric("clip-full-prompt", "alignment", True, "CLIP cosine of image and prompt."),
        Metric(
            "clip-minimum-object",
            "presence",
            True,
            "CLIP cosine of image and the half of the prompt that fits it less.",
        ),
    )

    def __init__(self, model: str | None = None) -> None:
        self._clip = Clip(model or MODEL)
        self.identity = self._clip.model.identity | {
            "templates": "80 of ImageNet, averaged; doubled articles taken out",
            "scale": "cosine",
        }

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Compares each image; the details are the cosines of both halves."""
        found = []
        features = self._clip.of_images(images)
        for feature, prompt in zip(features, prompts, strict=True):
            parts = halves(prompt.text)
            cosines = [
                float(feature @ self._clip.averaged(text))
                for text in (prompt.text, *(parts or ()))
            ]
            found.append(
                Judgement(
                    {
                        "clip-full-prompt": cosines[0],
                        "clip-minimum-object": min(cosines[1:]) if parts else None,
                    },
                    {"halves": cosines[1:]},
                )
            )
        return found
