"""Presence and count from how many of each subject were seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from adhere.evaluation.scorers.base import Metric, Values
from adhere.evaluation.sets.prompt import Wanted

ALL_PRESENT = Metric(
    "all-present",
    "presence",
    True,
    "Every wanted subject is seen; one that is named twice, two of it.",
    0.0,
)
SHARE_PRESENT = Metric(
    "share-present", "presence", True, "The share of wanted subjects that is seen.", 0.0
)
RIGHT_COUNT = Metric(
    "right-count", "count", True, "As many of every wanted subject are seen as wanted.", 0.0
)


def present_and_counted(wanted: Sequence[Wanted], seen: Mapping[str, int]) -> Values:
    """The three metrics above; what is seen besides does not count.

    Args:
        wanted: one subject or more. Of the same subject numbers add up, and the second time that
            it is wanted it is there if two are seen.
        seen: how many of each subject; none where it is missing.
    """
    asked: Counter[str] = Counter()
    times: Counter[str] = Counter()
    present = []
    for one in wanted:
        asked[one.subject] += one.count
        times[one.subject] += 1
        present.append(seen.get(one.subject, 0) >= times[one.subject])
    is_counted = all(seen.get(subject, 0) == count for subject, count in asked.items())
    return {
        ALL_PRESENT.name: float(all(present)),
        SHARE_PRESENT.name: sum(present) / len(present),
        RIGHT_COUNT.name: float(is_counted),
    }
