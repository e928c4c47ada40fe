"""Scorers by name: each turns a picture and its prompt into numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from adhere.evaluation.scorers.base import Judgement, Metric, Scorer
from adhere.names import unknown

__all__ = ["SCORERS", "Judgement", "Metric", "Scorer", "scorer"]


def _mini(model: str | None) -> Scorer:
    from adhere.evaluation.scorers.mini import MiniScorer

    return MiniScorer(model)


SCORERS: Mapping[str, Callable[[str | None], Scorer]] = MappingProxyType({"mini": _mini})
"""Name to what loads the scorer from a model, or from its default where that is None."""


def scorer(name: str, model: str | None = None) -> Scorer:
    """A scorer, with its model loaded.

    Args:
        name: one of `SCORERS`.
        model: a folder, or an id on the hub such as "owner/name" or "owner/name@revision"; for
            "mini" a file of weights. None takes the scorer's default.

    Raises:
        ValueError: an unknown scorer, a model that cannot be had, or a package that is missing.
    """
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS)
    return SCORERS[name](model)
