"""`adhere cite`: the BibTeX of methods."""

from __future__ import annotations

import argparse

from adhere.citation import cite
from adhere.errors import unknown
from adhere.methods import METHODS


def run(arguments: argparse.Namespace) -> None:
    """Prints the entries of the methods named, or of all."""
    for name in arguments.names:
        if name not in METHODS:
            raise unknown("method", name, METHODS)
    entries = cite(*(METHODS[name] for name in arguments.names or METHODS))
    print(entries or f"{', '.join(arguments.names)} has no paper to cite.")
