"""The benchmark of Attend-and-Excite, letter for letter."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files

from adhere.evaluation.sets.prompt import Prompt, PromptSet, Wanted, in_order

SUBSETS = ("animals", "animals_objects", "objects")
_SHA256 = "ae439de4286c026977b9fc44c2158f77285adbe5ffa05e54fc67eb9b8bc6f86a"


def attend_and_excite(subset: str) -> PromptSet:
    """One of the three frozen lists of Attend-and-Excite.

    The article is "a" also before vowels: correcting it would change tokens and scores.

    Args:
        subset: "animals" (66 prompts), "animals_objects" (144) or "objects" (66), the names of
            the authors' file; in the set's name and ids the underscore is a hyphen.

    Raises:
        ValueError: an unknown subset, or a data file that is not the published one.

    Source:
        arXiv 2301.13826; the list was published by its authors.
    """
    if subset not in SUBSETS:
        raise ValueError(f"There is no subset {subset!r}; there are {', '.join(SUBSETS)}.")
    data = (files("adhere.evaluation") / "data" / "attend_and_excite_prompts.json").read_bytes()
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise ValueError(
            "The Attend-and-Excite prompt file is not the published one; it comes with the "
            "package: install adhere again."
        )
    slug = subset.replace("_", "-")
    prompts = (Prompt("", text, _wanted(text)) for text in json.loads(data)[subset])
    return PromptSet(
        f"attend-and-excite-{slug}",
        "Attend-and-Excite (arXiv 2301.13826), the authors' list",
        in_order(slug, prompts),
    )


def _wanted(text: str) -> tuple[Wanted, ...]:
    """What "a dog and a red car" or "a lion with a crown" asks for."""
    wanted = []
    for phrase in re.split(" and | with ", text):
        *colour, subject = phrase.split()[1:]
        wanted.append(Wanted(subject, colour[0] if colour else None))
    return tuple(wanted)
