"""Paired differences as rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from adhere.evaluation.plan import BASELINE
from adhere.evaluation.statistics import (
    Estimate,
    changed,
    discordant,
    is_clear,
    macro,
)

NOTHING = Estimate(None, None, None, 0, 0)


def change_row(changes: list[np.ndarray]) -> dict[str, Any]:
    """The mean of paired differences, a set each, and how many pairs went which way."""
    change = macro(changes) if changes else NOTHING
    ways = [discordant(one) for one in changes]
    prompts = sum(map(changed, changes))
    return {
        "difference": number_of(change.value),
        "difference_low": number_of(change.low),
        "difference_high": number_of(change.high),
        "difference_note": change.note,
        "pairs": change.images,
        "raised": sum(up for up, _ in ways),
        "lowered": sum(down for _, down in ways),
        "prompts_changed": prompts,
        "is_clear": is_clear(change, prompts),
    }


def against_baseline(own: np.ndarray, baseline: np.ndarray, condition: str) -> dict[str, Any]:
    """The mean of one prompt or seed, and of its differences to the baseline."""
    is_both = np.isfinite(own) & np.isfinite(baseline)
    has_change = condition != BASELINE and is_both.any()
    return {
        "images": int(np.isfinite(own).sum()),
        "value": float(own[np.isfinite(own)].mean()) if np.isfinite(own).any() else np.nan,
        "difference": float((own - baseline)[is_both].mean()) if has_change else np.nan,
    }


def number_of(value: float | None) -> float:
    """A number as frames have it, NaN for none."""
    return np.nan if value is None else value
