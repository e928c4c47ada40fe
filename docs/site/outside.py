"""A hook of the site: links to files outside docs/, and methods' pages in the navigation."""

import re
from pathlib import Path
from typing import Any


def on_config(config: Any, **_: Any) -> None:
    """Put the pages of docs/methods/ where the navigation has `Methods: methods/`."""
    pages = sorted(Path(config.docs_dir, "methods").glob("*.md"))
    for tab in config.nav:
        for entry in next(iter(tab.values())):
            if entry == {"Methods": "methods/"}:
                entry["Methods"] = [f"methods/{page.name}" for page in pages]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page's text, in which links out of docs/ are their text alone."""
    depth = page.file.src_uri.count("/")
    outside = rf"(?<!!)\[([^\]]*)\]\((?:\.\./){{{depth + 1},}}[^)]*\)"
    return re.sub(outside, r"\1", markdown)
