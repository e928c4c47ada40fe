"""A hook of the site: links to files outside docs/, which a reader of the repository follows."""

import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?:\.\./)+(?!docs/)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page's text, in which such links are their text alone."""
    return _LINK.sub(r"\1", markdown) if page.file.src_uri.count("/") == 0 else markdown
