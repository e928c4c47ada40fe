"""Each subject of the bundled models' world alone: what image quality is measured against."""

from __future__ import annotations

from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted, in_order
from adhere.evaluation.sets.words import ANIMALS, OBJECTS, with_article


def singles() -> PromptSet:
    """24 prompts such as "a cat", "an apple"."""
    prompts = (Prompt("", with_article(one), (Wanted(one),)) for one in ANIMALS + OBJECTS)
    return PromptSet("singles", "made by adhere (a frozen list)", in_order("singles", prompts))
