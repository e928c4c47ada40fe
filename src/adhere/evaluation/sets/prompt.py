"""What a prompt set is: prompts, and what the image of each should hold."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from adhere.typed import Count, PositiveCount, message, typed

LONGEST_NAME = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@typed
class Wanted:
    """One subject that a prompt asks for.

    Attributes:
        subject: its noun, singular where the prompt gives a number or an article.
        colour: its colour, or None where the prompt gives none.
        count: how many of it; 1 also where the prompt says no number ("birds").
        attributes: its other modifiers, in the order of the prompt ("wooden", "furry").
    """

    subject: str
    colour: str | None = None
    count: PositiveCount = 1
    attributes: tuple[str, ...] = ()

    @property
    def phrase(self) -> str:
        """The subject after its colour and attributes, with no article or number."""
        colour = [self.colour] if self.colour else []
        return " ".join([*colour, *self.attributes, self.subject])


@typed
class Joined:
    """Two wanted subjects of which one is joined to the other, as the prompt asks.

    Attributes:
        kind: "worn", "on", "in" or "held".
        thing: the place, among the wanted subjects, of what is worn, stands on, lies in or is
            held.
        base: the place of what wears, carries, contains or holds it.

    Raises:
        ValueError: another kind, or two places that are the same or below 0.
    """

    kind: Literal["worn", "on", "in", "held"]
    thing: Count
    base: Count

    def __post_init__(self) -> None:
        if self.thing == self.base:
            raise ValueError(
                f"Got place {self.thing} for both subjects of a relation; give two different ones."
            )


@typed
class Prompt:
    """A prompt and what its image should hold.

    Attributes:
        id: names it in its set and is a folder's name: lower-case letters, digits and hyphens.
        text: the prompt, letter for letter.
        wanted: the subjects, in the order of the prompt; empty where none is known.
        scene: the words for place or time that follow the subjects, or None.
        tag: the kind of the prompt in its source, such as GenEval's "two_object", or None.
        geneval: what GenEval's own file says of it, as JSON text, or None.
        relations: which of the wanted subjects must be joined, and how.

    Raises:
        ValueError: a relation between subjects that are not wanted, or `geneval` that is no JSON.
    """

    id: str
    text: str
    wanted: tuple[Wanted, ...]
    scene: str | None = None
    tag: str | None = None
    geneval: str | None = None
    relations: tuple[Joined, ...] = ()

    def __post_init__(self) -> None:
        if self.geneval is not None:
            json.loads(self.geneval)
        for relation in self.relations:
            if max(relation.thing, relation.base) >= len(self.wanted):
                raise ValueError(
                    f"The prompt {self.text!r} has {len(self.wanted)} subjects and a relation "
                    f"between the places {relation.thing} and {relation.base}; count from 0."
                )


@typed
class PromptSet:
    """A named list of prompts.

    Attributes:
        name: names it in commands, folders and reports; written like a prompt's id.
        source: where it comes from, in words.
        prompts: in the order of the source.

    Raises:
        ValueError: no prompts, a name or an id that is no folder's name, or an id used twice.
    """

    name: str
    source: str
    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        check_name("the prompt set's name", self.name)
        if not self.prompts:
            raise ValueError(f"The prompt set {self.name} is empty; give it a prompt.")
        seen: set[str] = set()
        for prompt in self.prompts:
            check_name("the prompt's id", prompt.id)
            if prompt.id in seen:
                raise ValueError(
                    f"The prompt set {self.name} has two prompts with the id {prompt.id!r}; ids "
                    "tell its prompts apart: rename one."
                )
            seen.add(prompt.id)

    @property
    def sha256(self) -> str:
        """Hash of the name and of the prompts with all that they want.

        Two runs with the same hash used the same set. The source is prose and does not count.
        """
        content = json.dumps([self.name, plain_set(self.prompts)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def set_of(data: Mapping[str, Any]) -> PromptSet:
    """A prompt set from its fields as JSON has them.

    Raises:
        ValueError: a field that it does not have, or lacks, or that cannot be; one line.
        TypeError: what JSON cannot hold.
    """
    own = {k: v for k, v in data.items() if k != "sha256"}
    try:
        return TypeAdapter(PromptSet).validate_json(json.dumps(own))
    except ValidationError as error:
        raise ValueError(message(error, PromptSet)) from None


def check_name(what: str, name: str) -> None:
    """Refuses what cannot be a folder's name everywhere.

    Args:
        what: what is named, for the message.
        name: lower-case letters, digits and hyphens, 1 to 64 of them, no hyphen first.

    Raises:
        ValueError: it is anything else.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        shown = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…"
        raise ValueError(
            f"Got {shown!r} as {what}; expected up to {LONGEST_NAME} lower-case letters, digits "
            "and hyphens, the first no hyphen: it names a folder."
        )


def plain_set(value: Any) -> Any:
    """A set, or a part of it, as JSON has it, without what is at its default.

    So a new field leaves old hashes alone.
    """
    if is_dataclass(value):
        pairs = ((f.name, getattr(value, f.name), f.default) for f in fields(value))
        return {name: plain_set(own) for name, own, default in pairs if own != default}
    if isinstance(value, tuple):
        return [plain_set(one) for one in value]
    return value
