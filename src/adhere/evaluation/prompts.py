"""Prompt sets as data: each prompt with what its picture should hold."""

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files

_AE_SHA256 = "ae439de4"


@dataclass(frozen=True)
class Wanted:
    """One subject that a prompt asks for.

    Attributes:
        subject: its noun, singular.
        colour: its colour, or None where the prompt gives none.
        count: how many of it.
    """

    subject: str
    colour: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Prompt:
    """A prompt and what its picture should hold."""

    id: str
    text: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class PromptSet:
    """A named list of prompts.

    Attributes:
        name: names it in commands and reports.
        source: where it comes from.
        prompts: in the order of the source.
    """

    name: str
    source: str
    prompts: tuple[Prompt, ...]

    @property
    def sha256(self) -> str:
        """Hash of the texts, one a line: two runs with the same hash used the same prompts."""
        return hashlib.sha256("\n".join(p.text for p in self.prompts).encode()).hexdigest()


def _wanted(phrase: str) -> Wanted:
    """What "a dog" or "a red car" asks for."""
    *colour, subject = phrase.split()[1:]
    return Wanted(subject, colour[0] if colour else None)


def attend_and_excite(subset: str) -> PromptSet:
    """The frozen benchmark of Attend-and-Excite (arXiv 2301.13826), letter for letter.

    The article is "a" also before vowels: correcting it would change tokens and scores.

    Args:
        subset: "animals" (66 prompts), "animals_objects" (144) or "objects" (66).

    Raises:
        ValueError: an unknown subset, or a data file that is not the published one.
    """
    data = (files("adhere.evaluation") / "data/attend_and_excite_prompts.json").read_bytes()
    if not hashlib.sha256(data).hexdigest().startswith(_AE_SHA256):
        raise ValueError(
            "The Attend-and-Excite prompt file is not the published one; it ships with the "
            "package: install adhere again."
        )
    lists = json.loads(data)
    if subset not in lists:
        raise ValueError(f"There is no subset {subset!r}; there are {', '.join(lists)}.")
    prompts = tuple(
        Prompt(
            f"{subset}-{number:03d}",
            text,
            tuple(_wanted(phrase) for phrase in re.split(" and | with ", text)),
        )
        for number, text in enumerate(lists[subset])
    )
    return PromptSet(f"attend-and-excite/{subset}", "arXiv 2301.13826, the authors' list", prompts)
