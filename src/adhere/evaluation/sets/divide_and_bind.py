"""Divide & Bind's released examples, with the words that its authors nurse and their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from adhere.evaluation.prompts import Prompt, prompt_set


@dataclass(frozen=True)
class Example:
    """One of the examples that the authors released.

    Attributes:
        prompt: what it asks for.
        seeds: the authors' seeds, of a CUDA generator.
        objects: the words that the authors nurse, by their index in the tokens of Stable
            Diffusion 1, start token included.
        attributes: the word that they bind to each object, in the order of the objects; empty
            where they bind none.
    """

    prompt: Prompt
    seeds: tuple[int, ...]
    objects: Mapping[int, str]
    attributes: Mapping[int, str]


@cache
def examples() -> tuple[Example, ...]:
    """The eight examples of the authors' notebook, with their words and seeds.

    What each wants is read from its objects and attributes: "the flash with green suit" wants a
    green flash, since these are the two words that the authors bind.

    Source:
        arXiv 2307.10864, the authors' repository.
    """
    file = files("adhere.evaluation") / "data" / "divide_and_bind_examples.json"
    rows = json.loads(file.read_text(encoding="utf-8"))
    found = []
    for prompt, row in zip(prompt_set("divide-and-bind-examples").prompts, rows, strict=True):
        objects, attributes = (
            {int(index): word for index, word in row[kind].items()}
            for kind in ("objects", "attributes")
        )
        found.append(Example(prompt, tuple(row["seeds"]), objects, attributes))
    return tuple(found)
