"""The bundled model's own scorer: what stands in an image of its world, seen exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

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
from adhere.evaluation.sets.prompt import Prompt, Wanted
from adhere.mini import joined
from adhere.mini import scorer as judge
from adhere.mini.scorer import Sighting
from adhere.mini.vocabulary import COLOURS, OBJECTS, SUBJECTS

METRICS = (
    ALL_PRESENT,
    SHARE_PRESENT,
    Metric("right-colour", "binding", True, "Every coloured subject is seen in its colour.", 0.0),
    Metric(
        "right-colour-where-present",
        "binding",
        True,
        "Of the coloured subjects that are seen, the share that is seen in its colour.",
    ),
    RIGHT_COUNT,
    Metric("mixture", "mixing", False, "A thing is seen that is two subjects at once."),
    Metric(
        "exact",
        "binding",
        True,
        "All wanted subjects are seen in their colours and numbers, and no mixture.",
        0.0,
    ),
    Metric(
        "relation-kept",
        "relation",
        True,
        "Subjects that must be joined (worn, on, in, held) are seen, and joined by their boxes.",
        0.0,
    ),
)


class MiniScorer(Scorer):
    """Presence, count, colour and mixtures by the detector that ships with the bundled model.

    It knows the 24 subjects and 11 colours of that model's world, and colours of objects alone.
    What it cannot judge is None: everything for a prompt with an unknown subject, colours for one
    with an unknown colour or a coloured animal. Attributes ("wooden") are not looked at. Relations
    are judged by how the boxes of the two lie to each other (`adhere.mini.joined`); one that the
    world does not draw is not judged.

    Args:
        model: the file of the detector's weights; None takes those that ship with the package.

    Raises:
        ValueError: the file is missing, damaged, or no scorer.
    """

    name = "mini"
    metrics = METRICS

    def __init__(self, model: str | None = None) -> None:
        path = judge.SHIPPED if model is None else Path(model).expanduser()
        self._scorer = judge.load(path)
        self.identity = {
            "model": "adhere mini scorer",
            "revision": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
            "precision": "float32",
            "threshold": repr(self._scorer.threshold),
            "mixture threshold": repr(self._scorer.mixture_threshold),
            "relations": f"boxes, sha256:{hashlib.sha256(joined.LIMITS.read_bytes()).hexdigest()}",
            "features": "64, of the layer before the head, averaged over the image",
            "scale": "yes or no: 1 or 0",
        }

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Looks at each image; the details are the things found, and 64 features."""
        seen = self._scorer.look(list(images))
        features = self._scorer.features(images)
        return [
            Judgement(compared(sighting, prompt), details_of(_things(sighting, one.size), own))
            for one, sighting, prompt, own in zip(images, seen, prompts, features, strict=True)
        ]

    def judge_failed(self, prompt: Prompt) -> Judgement:
        """Nothing is seen where there is no image, not even that no two are mixed."""
        return Judgement({**compared(Sighting(), prompt), "mixture": None})


def _things(sighting: Sighting, size: tuple[int, int]) -> list[Thing]:
    return [
        Thing.seen(f.subject, f.confidence, f.box, size, colour=f.colour, mixed_with=f.mixed_with)
        for f in sighting.findings
    ]


def compared(seen: Sighting, prompt: Prompt) -> Values:
    """The metrics of an image in which this was seen.

    Args:
        seen: the things in it.
        prompt: what was wanted.
    """
    values: Values = {metric.name: None for metric in METRICS}
    wanted = prompt.wanted
    if any(w.subject not in SUBJECTS for w in wanted):
        return values
    values["mixture"] = float(bool(seen.mixtures))
    if not wanted:
        return values
    values.update(present_and_counted(wanted, seen.counts))
    values["relation-kept"] = _kept(seen, prompt)
    coloured = [w for w in wanted if w.colour is not None]
    if not all(w.subject in OBJECTS and w.colour in COLOURS for w in coloured):
        return values
    values["exact"] = float(
        values["right-count"] == 1
        and not seen.mixtures
        and all(_are_coloured(seen, w, wanted) for w in coloured)
    )
    if not coloured:
        return values
    right = [w.colour in seen.colours(w.subject) for w in coloured]
    values["right-colour"] = float(all(right))
    seen_at_all = [r for r, w in zip(right, coloured, strict=True) if seen.is_present(w.subject)]
    if seen_at_all:
        values["right-colour-where-present"] = sum(seen_at_all) / len(seen_at_all)
    return values


def _kept(seen: Sighting, prompt: Prompt) -> float | None:
    """Whether every wanted relation is seen; None where none is wanted, or one is unknown."""
    asked = [
        (r.kind, prompt.wanted[r.thing].subject, prompt.wanted[r.base].subject)
        for r in prompt.relations
    ]
    if not asked or not all(joined.knows(*one) for one in asked):
        return None
    return float(all(joined.is_seen(seen, *one) for one in asked))


def _are_coloured(seen: Sighting, one: Wanted, wanted: Sequence[Wanted]) -> bool:
    """Whether as many of a subject are in a colour as the whole prompt wants in it."""
    same = [w.count for w in wanted if (w.subject, w.colour) == (one.subject, one.colour)]
    return seen.colours(one.subject).count(str(one.colour)) >= sum(same)
