"""TIFA's questions: written by fixed templates from what a prompt wants, or read from a file.

The questions of the papers on Attend-and-Excite's and Divide & Bind's prompts were made by
language models and never published, so their numbers cannot be compared. These are always the
same for the same prompt: `FORM` names the templates and changes with them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted
from adhere.evaluation.sets.words import COLOURS, with_article

FORM = "adhere templates 1"
YES_NO = ("yes", "no")
NUMBERS = ("1", "2", "3", "4", "5", "6")
TYPES = (
    "object", "animal/human", "attribute", "activity", "spatial", "location", "counting", "color",
    "food", "material", "shape", "other",
)  # fmt: skip
"""TIFA's kinds of element."""

_ANIMALS = frozenset(
    "bear bird cat cow dog elephant frog giraffe goose gorilla horse lion monkey mouse panda "
    "penguin rabbit sheep turtle zebra person man woman child".split()
)
_FOODS = frozenset("apple banana broccoli cake carrot orange pizza strawberry tomato".split())
_MATERIALS = frozenset("glass leather metal plastic stone wooden".split())
_SHAPES = frozenset("curved round spiky square".split())
_PLURALS = {"mouse": "mice", "bench": "benches", "goose": "geese", "sheep": "sheep"}
_PLACED = re.compile(r"(in|on|at|under|by|near|inside|outside|above|over) ")
_LARGEST_FILE = 200_000_000


@dataclass(frozen=True)
class Question:
    """One question of TIFA, with the fields of its files.

    Attributes:
        question: to be asked of the image.
        choices: what may be answered.
        answer: the one that the prompt calls for.
        element_type: one of `TYPES`.
        element: the word that is asked for.
    """

    question: str
    choices: tuple[str, ...]
    answer: str
    element_type: str
    element: str


Ask = Callable[[Prompt], tuple[Question, ...]]
"""What gives the questions of a prompt."""


def questions(prompt: Prompt) -> tuple[Question, ...]:
    """The questions of a prompt, in the order of its words; none where nothing is wanted.

    Of each subject: whether it is there; in which colour, asked openly and by yes or no; each
    other modifier; and, where the prompt gives numbers above one, how many. Then the scene.
    """
    found: list[Question] = []
    of_subject = Counter(wanted.subject for wanted in prompt.wanted)
    counts: Counter[str] = Counter()
    for wanted in prompt.wanted:
        counts[wanted.subject] += wanted.count
    has_numbers = any(wanted.count > 1 for wanted in prompt.wanted)
    for wanted in prompt.wanted:
        found.append(_presence(wanted, counts[wanted.subject]))
        found += _colour(wanted, of_subject[wanted.subject] > 1)
        for attribute in wanted.attributes:
            asked = f"is there {with_article(f'{attribute} {wanted.subject}')}?"
            found.append(Question(asked, YES_NO, "yes", _kind_of(attribute), attribute))
        if has_numbers:
            found.append(_count(wanted, counts[wanted.subject]))
    if prompt.scene:
        found.append(_scene(prompt.scene))
    # Two equal questions of one image would overwrite each other in TIFA's log.
    return tuple({question.question: question for question in found}.values())


def asking(file: Path | None) -> Ask:
    """What gives the questions of prompts: a file's, or by default those of the templates.

    Args:
        file: questions in TIFA's format, found by caption.

    Returns:
        A function. It raises a ValueError for a prompt that the file asks nothing of: a gap
        would go unseen.

    Raises:
        ValueError: see `read_questions`.
    """
    if file is None:
        return questions
    asked = read_questions(file)

    def ask(prompt: Prompt) -> tuple[Question, ...]:
        if prompt.text not in asked:
            raise ValueError(
                f"{str(file)!r} has no question with the caption {prompt.text!r}; add some, or "
                "leave the file out for adhere's own questions."
            )
        return asked[prompt.text]

    return ask


def questions_hash(prompts: PromptSet) -> str:
    """SHA-256 over the questions of a set, by which two runs can tell that they are the same."""
    content = [[asdict(question) for question in questions(p)] for p in prompts.prompts]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def as_tifa(identity: str, prompt: Prompt, asked: Iterable[Question]) -> list[dict[str, object]]:
    """Questions as TIFA's file has them, under an id."""
    return [
        {
            "id": identity,
            "caption": prompt.text,
            "question": one.question,
            "choices": list(one.choices),
            "answer": one.answer,
            "element_type": one.element_type,
            "element": one.element,
        }
        for one in asked
    ]


def set_as_tifa(prompts: PromptSet) -> list[dict[str, object]]:
    """The questions of a set as a file of TIFA's, under the ids of its prompts.

    Raises:
        ValueError: nothing is known of what any prompt wants.
    """
    entries = [entry for p in prompts.prompts for entry in as_tifa(p.id, p, questions(p))]
    if not entries:
        raise ValueError(
            f"Nothing is known of what the prompts of {prompts.name!r} want, so nothing can be "
            "asked; state their subjects in the prompt file."
        )
    return entries


def read_questions(path: Path) -> dict[str, tuple[Question, ...]]:
    """The questions of a file in TIFA's format, by caption.

    Raises:
        ValueError: the file is not there, or is not in the format; the message says where.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"The questions in {str(path)!r} are too many; split the file.")
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"The questions in {str(path)!r} cannot be read: {error.strerror}."
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The questions in {str(path)!r} are no JSON ({error}).") from None
    if not isinstance(entries, list):
        raise ValueError(f"{str(path)!r} holds no list of questions, as TIFA's files do.")
    found: dict[str, dict[str, Question]] = {}
    for number, entry in enumerate(entries, 1):
        try:
            question = Question(
                **{f.name: entry[f.name] for f in fields(Question) if f.name != "choices"},
                choices=tuple(entry["choices"]),
            )
            texts = [*asdict(question).values(), *question.choices, entry["caption"]]
            is_valid = all(isinstance(t, str | tuple) for t in texts)
            is_valid = is_valid and question.answer in question.choices
        except (KeyError, TypeError):
            is_valid = False
        if not is_valid:
            raise ValueError(
                f"Question {number} of {str(path)!r} is not in TIFA's format: expected caption, "
                "question, choices, answer (one of the choices), element_type and element."
            )
        found.setdefault(entry["caption"], {}).setdefault(question.question, question)
    return {caption: tuple(asked.values()) for caption, asked in found.items()}


def _presence(wanted: Wanted, count: int) -> Question:
    subject = wanted.subject
    if count > 1 or _is_plural(subject):
        asked = f"are there {_plural(subject)}?"
    else:
        asked = f"is there {with_article(subject)}?"
    kind = "animal/human" if subject in _ANIMALS else "food" if subject in _FOODS else "object"
    return Question(asked, YES_NO, "yes", kind, subject)


def _colour(wanted: Wanted, is_shared: bool) -> list[Question]:
    """Where two things of a subject are wanted, each is asked for with its colour."""
    colour, subject = wanted.colour, wanted.subject
    if colour is None:
        return []
    is_plural = wanted.count > 1 or _is_plural(subject)
    name, verb = (_plural(subject), "are") if is_plural else (subject, "is")
    if is_shared:
        there = f"{colour} {name}" if is_plural else with_article(f"{colour} {name}")
        return [Question(f"{verb} there {there}?", YES_NO, "yes", "color", colour)]
    choices = tuple(COLOURS) if colour in COLOURS else (*COLOURS, colour)
    return [
        Question(f"{verb} the {name} {colour}?", YES_NO, "yes", "color", colour),
        Question(f"what color {verb} the {name}?", choices, colour, "color", colour),
    ]


def _count(wanted: Wanted, count: int) -> Question:
    answer = str(count)
    choices: Sequence[str] = NUMBERS if answer in NUMBERS else (*NUMBERS, answer)
    asked = f"how many {_plural(wanted.subject)} are there?"
    return Question(asked, tuple(choices), answer, "counting", answer)


def _scene(scene: str) -> Question:
    """A place, what happens ("floating in a river"), or whatever else the scene names."""
    if _PLACED.match(scene):
        asked = f"is this {scene}?"
    elif scene.split()[0].endswith("ing"):
        asked = f"is something {scene}?"
    else:
        asked = f"does this show {scene}?"
    return Question(asked, YES_NO, "yes", "location", scene)


def _kind_of(attribute: str) -> str:
    if attribute in _MATERIALS:
        return "material"
    return "shape" if attribute in _SHAPES else "attribute"


def _is_plural(subject: str) -> bool:
    """Whether a noun is a plural by itself, such as "glasses" and "tracks"."""
    return subject.endswith("s") and not subject.endswith(("ss", "us"))


def _plural(subject: str) -> str:
    if subject in _PLURALS:
        return _PLURALS[subject]
    if _is_plural(subject):
        return subject
    return f"{subject}es" if subject.endswith(("ss", "sh", "ch", "x")) else f"{subject}s"
