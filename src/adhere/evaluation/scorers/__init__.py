"""Scorers by name: each turns an image and its prompt into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from adhere.errors import unknown
from adhere.evaluation.scorers.base import Judgement, Metric, Scorer

__all__ = ["SCORERS", "Judgement", "Metric", "Scorer", "scorer"]

SCORERS: Mapping[str, str] = MappingProxyType(
    {
        "mini": "mini:MiniScorer",
        "pixels": "preservation:PixelScorer",
        "clip": "clip:ClipScorer",
        "text-text": "text_text:TextTextScorer",
        "tifa": "tifa:TifaScorer",
        "vqascore": "vqascore:VqaScorer",
        "owlv2": "owlv2:Owlv2Scorer",
        "dinov2": "preservation:Dinov2Scorer",
    }
)
"""Name to the module and the class, which is imported when it is asked for."""


def scorer(name: str, model: str | None = None, *, questions: Path | None = None) -> Scorer:
    """A scorer, with its model loaded.

    Args:
        name: one of `SCORERS`.
        model: a folder, or an id on the hub such as "owner/name" or "owner/name@revision"; for
            "mini" a file of weights; for "text-text" and "tifa" up to two with "+" between.
            None takes the scorer's default.
        questions: for "tifa", a file of questions in its format; None writes them by templates.

    Raises:
        ValueError: an unknown scorer, a model that cannot be had, or a package that is missing.
    """
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS)
    if questions is not None and name != "tifa":
        raise ValueError(
            f"The scorer {name!r} asks no questions; only 'tifa' takes a file of them."
        )
    module, _, kind = SCORERS[name].partition(":")
    made = getattr(import_module(f"{__name__}.{module}"), kind)
    return made(model) if questions is None else made(model, questions)
