"""Checks of what `nurse` is given."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from adhere.errors import AdhereWarning, NonFiniteLoss, SubjectNotFound, UnfitPrompt
from adhere.methods import METHODS
from adhere.methods.base import LatentMethod, Method
from adhere.methods.boxes import Box
from adhere.methods.weighted_sum import terms_of
from adhere.subjects import Subject
from adhere.subjects.text import check_prompt


def acting(methods: Sequence[Method]) -> Sequence[Method]:
    """The methods without those that only watch others, unless all do."""
    return [m for m in methods if not isinstance(m, LatentMethod) or m.moves] or methods


def names_of(methods: Sequence[Method]) -> str:
    """The names of those that act, terms of sums too, for a message."""
    terms = [term for method in methods for term in terms_of(method)]
    return " and ".join(method.name for method in acting(terms))


def checked_prompts(prompt: object) -> tuple[str, ...] | None:
    """Prompts as a tuple, or None where there is none.

    Raises:
        ValueError: an empty prompt, or what is no text.
    """
    if prompt is None:
        return None
    if not isinstance(prompt, Iterable):
        raise ValueError(f"Got {prompt!r} as the prompt; give the text that the pipeline gets.")
    prompts: tuple[Any, ...] = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    if not prompts:
        raise ValueError("Got no prompt; give the one, or the list, that the pipeline gets.")
    for text in prompts:
        check_prompt(text)
    return prompts


def checked_boxes(boxes: object) -> Mapping[str, Box]:
    """Boxes by the name of their subject.

    Raises:
        ValueError: a box that does not lie within the image.
    """
    if boxes is None:
        return {}
    if not isinstance(boxes, Mapping):
        raise ValueError(f"Got boxes {boxes!r}; give them by subject: {{'cat': (0, 0, 0.5, 1)}}.")
    checked: dict[str, Box] = {}
    for name, box in boxes.items():
        is_list = isinstance(box, Iterable) and not isinstance(box, str)
        sides: tuple[Any, ...] = tuple(box) if is_list else ()
        is_box = len(sides) == 4 and all(
            isinstance(side, int | float) and 0 <= side <= 1 for side in sides
        )
        if not is_box or not (sides[0] < sides[2] and sides[1] < sides[3]):
            raise ValueError(
                f"Got box {box!r} for {name!r}; give (left, top, right, bottom) in fractions of "
                "the image, 0 to 1, left before right and top before bottom."
            )
        left, top, right, bottom = map(float, sides)
        checked[str(name)] = left, top, right, bottom
    return checked


def with_boxes(
    subjects: Sequence[Subject], boxes: Mapping[str, Box], prompt: str
) -> tuple[Subject, ...]:
    """The subjects, each with the box that its name has.

    Raises:
        SubjectNotFound: a box is for a word that is no subject.
    """
    left = dict(boxes)
    found = tuple(
        replace(subject, box=left.pop(subject.text)) if subject.text in left else subject
        for subject in subjects
    )
    if left:
        names = ", ".join(repr(subject.text) for subject in subjects)
        raise SubjectNotFound(
            f"There is a box for {next(iter(left))!r}, which is no subject of {prompt[:60]!r}. "
            f"Its subjects are {names}."
        )
    return found


def check_boxes(methods: Sequence[Method], boxes: object) -> None:
    """Refuse boxes where none of the methods reads any; a method of the user's may.

    Raises:
        ValueError: the methods that read none, and those that would.
    """
    terms = [term for method in methods for term in terms_of(method)]
    may = any(one.needs_boxes or type(one) not in METHODS.values() for one in terms)
    if boxes and not may:
        names = [name for name, kind in METHODS.items() if kind.needs_boxes]
        raise ValueError(
            f"Got boxes, which {' and '.join(one.name for one in terms) or 'the baseline'} does "
            f"not read; give a method that does ({', '.join(names)}), or no boxes."
        )


def check_needs(methods: Sequence[Method], subjects: Sequence[Subject], prompt: str) -> None:
    """Refuse methods that need more subjects than there are, or boxes where none is given.

    Raises:
        UnfitPrompt: which method needs how many subjects.
        ValueError: which method needs boxes, and how to give them.
    """
    for method in (term for one in methods for term in terms_of(one)):
        if len(subjects) < method.least_subjects:
            raise UnfitPrompt(
                f"{method.name} needs at least {method.least_subjects} subjects; {prompt[:60]!r} "
                f"has {len(subjects)}. Name them with subjects=, or use another method."
            )
        if method.needs_boxes and not any(subject.box for subject in subjects):
            names, word = ", ".join(repr(one.text) for one in subjects), subjects[0].text
            raise ValueError(
                f"{method.name} needs boxes, and of the subjects of {prompt[:60]!r} ({names}) "
                f"none has one. Give boxes={{{word!r}: (left, top, right, bottom)}} in "
                f'fractions of the image; on the command line --boxes "{word}=0,0,.5,1", in '
                "ComfyUI by nodes 'Box of a word'."
            )


def warn_of_late_thresholds(methods: Sequence[Any]) -> None:
    """Say that thresholds at or after the end of nursing have no effect."""
    for method in methods:
        schedule = getattr(method, "schedule", None)
        if schedule is None or schedule.start >= schedule.stop:
            continue
        late = [at for at, _ in schedule.refine_at if at >= schedule.stop]
        if late:
            warnings.warn(
                f"{method.name} has a threshold at {late[0]:g}, but nursing stops at "
                f"{schedule.stop:g}, so it has no effect. Raise stop, or leave it out of "
                "refine_at.",
                AdhereWarning,
                stacklevel=5,
            )


def check_finite(what: str, values: Tensor, step: int) -> None:
    """Refuse numbers that would spoil all that follows."""
    if not values.isfinite().all():
        raise NonFiniteLoss(
            f"The {what} NaN or infinity at step {step}; they should be finite. Use float32 or "
            "bfloat16 weights, or a smaller step_size."
        )
