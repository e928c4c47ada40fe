"""Writes what the pages say of methods: from their classes, their pages and runs of toys.

Usage:
    python docs/make_methods.py             # parameters of each method, the tables to choose from
    python docs/make_methods.py families    # which method runs on which family, too

A page of docs/methods/ is written by hand up to its mark. `tests/test_docs.py` compares pages with
the code, and `tests/families/test_methods.py` the table of families with a run of each pair.
"""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, fields
from inspect import cleandoc
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "recipes")]

from method_images import (  # type: ignore[import-not-found]  # noqa: E402
    ANIMALS,
    COLOURS,
    prompt_of,
    slug,
)

import adhere  # noqa: E402
from adhere.typed import described  # noqa: E402

CHOOSING = DOCS / "choosing-a-method.md"
PAGES = (ROOT / "README.md", CHOOSING)
# A page and the class whose parameters it lists.
LISTED = {DOCS / "methods" / f"{name}.md": kind for name, kind in adhere.METHODS.items()} | {
    DOCS / "methods" / "watch.md": adhere.Watch,
    DOCS / "adding-a-method.md": adhere.Objective,
}
GROUPS = {"subjects": ANIMALS, "attributes": COLOURS, "boxes": None}


def marks(name: str) -> tuple[str, str]:
    """The lines between which a part of a page is written."""
    begin = f"<!-- docs/make_methods.py writes {name} from here -->\n"
    return begin, f"<!-- to here: {name} -->\n"


def between(page: str, name: str) -> str:
    """What a page has between the marks of a part."""
    begin, end = marks(name)
    return page[page.index(begin) + len(begin) : page.index(end)]


def write(path: Path, name: str, text: str) -> None:
    """Put a text between the marks of a page."""
    begin, end = marks(name)
    page = path.read_text(encoding="utf-8")
    path.write_text(page.replace(begin + between(page, name) + end, begin + text + end), "utf-8")


def parameters(kind: type) -> str:
    """A class's parameters with their defaults, and the formula's source, from its docstring."""
    made = {n: getattr(kind, n)() for n in ("official", "as_written") if hasattr(kind, n)}
    told = described(kind)
    lines = [_row(["Parameter", "Default", "Meaning"]), "|---|---|---|"]
    for one in fields(kind):  # type: ignore[arg-type]
        values = ["required" if one.default is MISSING else f"`{one.default!r}`"]
        for name, method in made.items():
            value = getattr(method, one.name)
            if value != one.default:
                values.append(f"`{name}()`: `{value!r}`")
        lines.append(_row([f"`{one.name}`", "<br>".join(values), told[one.name].rstrip(".")]))
    source = re.search(r"^Source: (.*(?:\n +.*)*)", cleandoc(kind.__doc__ or ""), re.MULTILINE)
    text = [] if source is None else ["", "**Source:** " + re.sub(r"\s+", " ", source[1])]
    return "\n".join([*lines, *text]) + "\n"


def choice(group: str) -> str:
    """The table of a group to choose from: images, when to use it, and what it costs."""
    prompt = GROUPS[group]
    images = slug(prompt or COLOURS)
    head = ["On seeds 0 to 2", "Method", "Use it when", "Adds to a step"]
    lines = [_row(head), "|---" * len(head) + "|", _row([_strip(images), "baseline", "", ""])]
    for name, kind in adhere.METHODS.items():
        if (None if kind.needs_boxes else prompt_of(name)) != prompt:
            continue
        page = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
        title = page.split("\n", 1)[0].removeprefix("# ")
        paper = re.search(r"arXiv ([\d.]+)", kind.paper)
        link = f"<br>[{paper[1]}](https://arxiv.org/abs/{paper[1]})" if paper else ""
        said = [_said(page, "Use it when"), _said(page, "Adds to a step")]
        lines.append(_row([_strip(name), f"[{title}](methods/{name}.md){link}", *said]))
    return "\n".join(lines) + "\n"


def _strip(name: str) -> str:
    path = f"pictures/strips/{name}.png"
    return f"![{name}]({path})" if (DOCS / path).exists() else "–"


def _said(page: str, what: str) -> str:
    [found] = re.findall(rf"^\*\*{what}\*\*:? (.*(?:\n.+)*)", page, re.MULTILINE)
    return found.replace("\n", " ").rstrip(".")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def families(found: list[tuple[str, str, str]]) -> str:
    """The table, with families of equal outcomes in one column, and the reasons below.

    Args:
        found: family, method, and "runs" or the reason why not.
    """
    methods = list(dict.fromkeys(method for _, method, _ in found))
    by_family: dict[str, dict[str, str]] = {}
    for family, method, outcome in found:
        by_family.setdefault(family, {})[method] = outcome
    groups: dict[tuple[str, ...], list[str]] = {}
    for family, outcomes in by_family.items():
        groups.setdefault(tuple(outcomes[method] for method in methods), []).append(family)
    reasons = list(dict.fromkeys(o for outcomes in groups for o in outcomes if o != "runs"))
    head = ["Method", *(", ".join(names) for names in groups.values())]
    lines = [_row(head), "|---" * len(head) + "|"]
    for number, method in enumerate(methods):
        cells = [_cell(outcomes[number], reasons) for outcomes in groups]
        lines.append(_row([f"`{method}`", *cells]))
    notes = [f"{number}. It {reason}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", "Refused, because:" if notes else "", "", *notes]) + "\n"


def _cell(outcome: str, reasons: list[str]) -> str:
    return "yes" if outcome == "runs" else f"no ({reasons.index(outcome) + 1})"


def read(page: str) -> dict[tuple[str, str], str]:
    """Outcomes by family and method, from a page that holds the table."""
    text = between(page, "families")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    reasons = dict(re.findall(r"^(\d+)\. It (.*)\.$", text, re.MULTILINE))
    found = {}
    for name, *cells in rows[1:]:
        for families, cell in zip(rows[0][1:], cells, strict=True):
            number = re.fullmatch(r"no \((\d+)\)", cell)
            said = reasons[number[1]] if number else "runs"
            found |= {(family, name.strip("`")): said for family in families.split(", ")}
    return found


def main() -> None:
    """Write every part between its marks."""
    for path, kind in LISTED.items():
        write(path, "parameters", parameters(kind))
    for group in GROUPS:
        write(CHOOSING, group, choice(group))
    if "families" in sys.argv[1:]:
        sys.path.insert(0, str(ROOT / "tests"))
        from families.outcomes import outcomes  # type: ignore[import-not-found]

        for path in PAGES:
            write(path, "families", families(list(outcomes())))


if __name__ == "__main__":
    main()
