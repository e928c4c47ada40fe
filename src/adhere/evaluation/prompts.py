"""The prompt sets by name: built in, or a file of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from adhere.evaluation.sets.attend_and_excite import attend_and_excite
from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted
from adhere.names import unknown

__all__ = ["PROMPT_SETS", "Prompt", "PromptSet", "Wanted", "attend_and_excite", "prompt_set"]

PROMPT_SETS: Mapping[str, Callable[[], PromptSet]] = MappingProxyType(
    {
        "attend-and-excite-animals": partial(attend_and_excite, "animals"),
        "attend-and-excite-animals-objects": partial(attend_and_excite, "animals_objects"),
        "attend-and-excite-objects": partial(attend_and_excite, "objects"),
    }
)


def prompt_set(name: str) -> PromptSet:
    """A prompt set, by the name of a built-in one.

    Raises:
        ValueError: an unknown name.
    """
    if name in PROMPT_SETS:
        return PROMPT_SETS[name]()
    raise unknown("prompt set", name, PROMPT_SETS)
