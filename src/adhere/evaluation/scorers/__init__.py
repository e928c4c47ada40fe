"""Scorers by name: each turns a picture and its prompt into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from adhere.errors import unknown
from adhere.evaluation.scorers.base import Judgement, Metric, Scorer

__all__ = ["SCORERS", "Judgement", "Metric", "Scorer", "scorer"]


def _mini(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.mini import MiniScorer

    return MiniScorer(model)


def _pixels(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.preservation import PixelScorer

    if model is not None:
        raise ValueError(f"The scorer 'pixels' takes no model, and got {model!r}; leave it out.")
    return PixelScorer()


def _clip(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.clip import ClipScorer

    return ClipScorer(model)


def _text_text(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.text_text import TextTextScorer

    return TextTextScorer(model)


def _tifa(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.tifa import TifaScorer

    return TifaScorer(model)


def _vqascore(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.vqascore import VqaScorer

    return VqaScorer(model)


def _owlv2(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.owlv2 import Owlv2Scorer

    return Owlv2Scorer(model)


def _dinov2(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.preservation import Dinov2Scorer

    return Dinov2Scorer(model)


SCORERS: Mapping[str, Callable[[str | None], Scorer]] = MappingProxyType(
    {
        "mini": _mini,
        "pixels": _pixels,
        "clip": _clip,
        "text-text": _text_text,
        "tifa": _tifa,
        "vqascore": _vqascore,
        "owlv2": _owlv2,
        "dinov2": _dinov2,
    }
)
"""Name to what loads the scorer from a model, or from its default where that is None."""


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
    if questions is None:
        return SCORERS[name](model)
    if name != "tifa":
        raise ValueError(
            f"The scorer {name!r} asks no questions; only 'tifa' takes a file of them."
        )
    from adhere.evaluation.scorers.tifa import TifaScorer

    return TifaScorer(model, questions)
