"""`adhere tokens`: the tokens of a prompt and the subjects found."""

from __future__ import annotations

import argparse

from adhere.cli.printing import printable
from adhere.drawing.loading import MINI, load_tokenizer
from adhere.subjects import find_subjects, tokens
from adhere.subjects.text import check_prompt


def run(arguments: argparse.Namespace) -> None:
    """Prints one line a token, and says which subject or attribute it belongs to."""
    check_prompt(arguments.prompt)
    tokenizer = load_tokenizer(arguments.model or MINI)
    listed = [printable(token) for token in tokens(tokenizer, arguments.prompt)]
    subjects = find_subjects(tokenizer, arguments.prompt, arguments.subjects)
    roles: dict[int, list[str]] = {}
    for subject in subjects:
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
