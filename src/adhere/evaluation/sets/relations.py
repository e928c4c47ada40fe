"""Subjects that are joined: worn, on, in or held."""

from __future__ import annotations

import json
from importlib.resources import files

from adhere.evaluation.sets.prompt import Joined, Prompt, PromptSet, Wanted, in_order


def relations() -> PromptSet:
    """90 prompts such as "a lion wearing a crown", "a frog in a brown bowl".

    Half of the objects have a colour. 30 ask for something worn, 24 for something on a bench, a
    chair or a car, 24 for something in a bowl, a suitcase or a backpack, 12 for a held balloon;
    the tag says which. In 21 of them the two are among those that the bundled model never saw
    joined in training (`training.world.held_out_relations`).
    """
    file = files("adhere.evaluation") / "data" / "relations.json"
    prompts = []
    for row in json.loads(file.read_text(encoding="utf-8")):
        wanted = tuple(map(Wanted, row["subjects"], row["colours"]))
        joined = Joined(**row["relation"])
        prompts.append(Prompt("", row["prompt"], wanted, tag=joined.kind, relations=(joined,)))
    return PromptSet("relations", "made by adhere (a frozen list)", in_order("relations", prompts))
