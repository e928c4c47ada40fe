"""An extension of the site's reader of docstrings: `Source:` is a paragraph, not a box."""

import re
from typing import Any

import griffe

_SOURCE = re.compile(r"^Source: (.*(?:\n .*)*)", re.MULTILINE)


class Sources(griffe.Extension):
    """Changes docstrings as they are read."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each object."""
        if obj.docstring is not None:
            obj.docstring.value = _SOURCE.sub(_paragraph, obj.docstring.value)


def _paragraph(found: re.Match) -> str:
    """The source in one paragraph."""
    return "**Source:** " + " ".join(found[1].split())
