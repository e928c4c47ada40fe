"""`adhere tokens`: the tokens of a prompt and the subjects found."""

from __future__ import annotations

from typing import Any

from adhere.cli.printing import printable
from adhere.subjects.text import check_prompt


def tokens(prompt: str, *, subjects: Any = None, model: str = "mini") -> None:  # noqa: ANN401
    """List the tokens of a prompt with their indices, and the subjects found in it.

      adhere tokens "a green backpack and a pink chair"

    Args:
        prompt: what would be drawn, in English.
        subjects: what the image must hold, where it shall not be found in the prompt.
        model: mini (bundled), a folder in diffusers' layout, or a hub id.
    """
    from adhere.drawing.loading import load_tokenizer
    from adhere.subjects import find_subjects
    from adhere.subjects import tokens as tokens_of

    check_prompt(prompt)
    tokenizer = load_tokenizer(model)
    listed = [printable(token) for token in tokens_of(tokenizer, prompt)]
    found = find_subjects(tokenizer, prompt, subjects)
    roles: dict[int, list[str]] = {}
    for subject in found:
        number = f", {subject.count} of them" if subject.count > 1 else ""
        for index in subject.token_indices:
            roles.setdefault(index, []).append(f"subject {subject.text}{number}")
        for attribute in subject.attributes:
            for index in attribute.token_indices:
                roles.setdefault(index, []).append(f"{attribute.text}, of {subject.text}")
    width = max(len(token) for token in listed)
    for index, token in enumerate(listed):
        line = f"{index:4}  {token:{width}}  {printable('; '.join(roles.get(index, [])))}"
        print(line.rstrip())
