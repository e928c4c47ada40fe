"""The glossary holds: one word for one thing, in pages, docstrings, errors and help."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/methods").glob("*.md")),
]
_SOURCE = ROOT / "src" / "adhere"
SOURCES = sorted(_SOURCE.rglob("*.py"))
# Pattern -> what to write.
EVERYWHERE = {
    r"\bplain runs?\b": "baseline",
    r"\b(?:is|was|are) got\b": "is given",
    r"\bsuch a one\b": "name the thing",
    r"\bmulti-?level maps?\b": "maps of several resolutions",
    r"\bgoes with no\b": "cannot be combined with",
    r"\bThere is a, ": "Available: a, ",
}
# On pages, outside code and links.
ON_PAGES = EVERYWHERE | {
    r"\bpictures?\b": "image",
    r"\bplain images?\b": "baseline image",
    r"\bsub-?word pieces?\b": "sub-word token",
}
# Where only the field's own words are left; other rooms still have some of the former ones.
EVALUATION = {
    r"\bpictures?\b": "image",
    r"\bplain (?:control|images?|pipeline|ones?)\b": "baseline",
    r"\btake turns\b": "alternate",
}
ROOMS = ("evaluation", "tuning", "cli/evaluate", "errors.py")
PAGES_OF_ROOMS = ("evaluation.md", "scorers.md", "prompt-sets.md", "errors.md")
# What names a scorer in finished runs, and the words that a caption is begun with.
STORED = re.compile(
    r"to the plain picture, 0…1|with the plain picture; 1 for the same|8-bit pictures"
    r"|a picture of"
)
_CODE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)


def found(text, banned):
    """What is to be written otherwise, and how; text over line ends counts too."""
    text = re.sub(r"\s+", " ", text)
    return [(m[0], better) for p, better in banned.items() for m in re.finditer(p, text, re.I)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_keep_to_the_words_of_the_glossary(page):
    assert found(_CODE.sub(" ", page.read_text("utf-8")), ON_PAGES) == []


def test_sources_keep_to_the_words_of_the_glossary():
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in SOURCES}
    assert {path: bad for path, text in texts.items() if (bad := found(text, EVERYWHERE))} == {}


def test_evaluation_has_the_words_of_the_field_alone():
    paths = [p for p in SOURCES if str(p).startswith(tuple(str(_SOURCE / r) for r in ROOMS))]
    texts = {path: STORED.sub("", path.read_text("utf-8")) for path in paths}
    assert len(texts) > 40
    texts |= {p: _CODE.sub(" ", p.read_text("utf-8")) for p in PAGES if p.name in PAGES_OF_ROOMS}
    assert {str(path): bad for path, t in texts.items() if (bad := found(t, EVALUATION))} == {}


def test_a_banned_phrasing_is_found_over_the_end_of_a_line():
    assert found("equal to the plain\n  run", EVERYWHERE) == [("plain run", "baseline")]
