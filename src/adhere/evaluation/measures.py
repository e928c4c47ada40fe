"""What a whole run shows beside its scores: how varied its images are, and how well drawn.

All of it comes from what a scorer found in each image: boxes, confidences and features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from adhere.evaluation.prompts import Prompt
from adhere.evaluation.scorers.base import Thing


@dataclass(frozen=True)
class Seen:
    """What a scorer found in one image.

    Attributes:
        things: the surest first.
        features: of the whole image; empty where the scorer gives none.
    """

    things: tuple[Thing, ...] = ()
    features: tuple[float, ...] = ()

    def surest(self, subject: str) -> Thing | None:
        """The surest thing that is a subject and no mixture; None where there is none."""
        own = [one for one in self.things if one.subject == subject and one.mixed_with is None]
        return max(own, key=lambda one: one.confidence, default=None)


def spreads(
    prompt: Prompt, own: Sequence[Seen | None], baseline: Sequence[Seen | None]
) -> np.ndarray:
    """How much the subjects of a prompt vary in place and in size from seed to seed.

    A subject counts over the seeds in which both have it, so that both are compared on the same
    noise. Where it stands twice, the surest one counts.

    Args:
        prompt: of the images.
        own: the method's images by seed; None where there is none.
        baseline: the baseline's of the same seeds.

    Returns:
        (2, 2): of the method and of the baseline, the spread of places and of sizes, each averaged
        over subjects. The spread of places is the standard deviation of the centre of the box, in
        fractions of the image's side. That of sizes is the standard deviation of the logarithm of
        the side of a square of the box's area. NaN where no subject is in two seeds of both.
    """
    found = []
    for subject in dict.fromkeys(wanted.subject for wanted in prompt.wanted):
        pairs = [
            (mine, theirs)
            for a, b in zip(own, baseline, strict=True)
            if a and b and (mine := a.surest(subject)) and (theirs := b.surest(subject))
        ]
        if len(pairs) > 1:
            found.append([_spread([pair[which] for pair in pairs]) for which in (0, 1)])
    return np.mean(found, axis=0) if found else np.full((2, 2), np.nan)


def _spread(things: Sequence[Thing]) -> tuple[float, float]:
    left, top, right, bottom = np.array([one.box for one in things]).T
    centres = np.stack([left + right, top + bottom]) / 2
    # A box without an area has no size; none that a scorer gives is thinner than this.
    sizes = np.log(np.maximum((right - left) * (bottom - top), 1e-6)) / 2
    return float(np.sqrt(centres.var(axis=1, ddof=1).sum())), float(sizes.std(ddof=1))


def references(images: Iterable[tuple[Prompt, Seen]]) -> dict[str, float]:
    """The median confidence of each subject in images of it alone.

    Args:
        images: of the baseline; those of prompts that want one subject once count.
    """
    found = defaultdict(list)
    for prompt, seen in images:
        if len(prompt.wanted) == 1 and prompt.wanted[0].count == 1:
            subject = prompt.wanted[0].subject
            if thing := seen.surest(subject):
                found[subject].append(thing.confidence)
    return {subject: median(values) for subject, values in found.items()}


def confident(prompt: Prompt, seen: Seen, known: Mapping[str, float]) -> float:
    """The share of the present subjects that are drawn as confidently as in single images.

    Args:
        prompt: of the image.
        seen: what is in it.
        known: of `references`.

    Returns:
        0…1; NaN where no subject with a reference is present.
    """
    subjects = dict.fromkeys(wanted.subject for wanted in prompt.wanted)
    found = [
        thing.confidence >= known[subject]
        for subject in subjects
        if subject in known and (thing := seen.surest(subject))
    ]
    return float(np.mean(found)) if found else float("nan")


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """The squared Frechet distance of two normal distributions fitted to features.

    Args:
        features: (N, D), N at least 2.
        others: (M, D), M at least 2.

    Source:
        arXiv 1706.08500, equation 6, there with features of another network.
    """
    means = features.mean(axis=0) - others.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(part.T)) for part in (features, others))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    # The root of `first @ second` has the eigenvalues of that of this symmetric product.
    shared = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(max(0.0, means @ means + np.trace(first) + np.trace(second) - 2 * shared))


def feature_distances(own: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """How far a method's images are from the baseline's, and the baseline's from themselves.

    A distance of two finite samples of one distribution is not 0. So both distances are between
    images of different halves of the seeds, and of as many.

    Args:
        own: (P, S, D), NaN where there is no image.
        baseline: (P, S, D), of the same prompts and seeds.

    Returns:
        The method's distance, averaged over the two ways of taking halves, and the baseline's.
        NaN where a half has fewer than two images.
    """
    is_there = np.isfinite(np.concatenate([own, baseline], axis=2)).min(axis=2)
    halves = [np.arange(number, own.shape[1], 2) for number in (0, 1)]
    if any(is_there[:, half].sum() < 2 for half in halves):
        return float("nan"), float("nan")
    mine, theirs = (
        [values[:, half][is_there[:, half]] for half in halves] for values in (own, baseline)
    )
    ways = [frechet_distance(mine[0], theirs[1]), frechet_distance(mine[1], theirs[0])]
    return float(np.mean(ways)), frechet_distance(theirs[0], theirs[1])
