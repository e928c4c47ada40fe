"""Writes the table of methods by families, from runs of the tests' toys.

Usage:
    python docs/make_methods.py

`tests/families/test_methods.py` runs every method on every family again and compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "choosing-a-method.md")
BEGIN = "<!-- docs/make_methods.py writes from here -->\n"
END = "<!-- to here: methods by families -->\n"


def table(found: list[tuple[str, str, str]]) -> str:
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
    lines = [
        "| Method | " + " | ".join(", ".join(families) for families in groups.values()) + " |",
        "|---|" + "---|" * len(groups),
    ]
    for number, method in enumerate(methods):
        cells = [_cell(outcomes[number], reasons) for outcomes in groups]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    notes = [f"{number}. It {reason}." for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", "Refused, because:" if notes else "", "", *notes]) + "\n"


def _cell(outcome: str, reasons: list[str]) -> str:
    return "yes" if outcome == "runs" else f"no ({reasons.index(outcome) + 1})"


def read(page: str) -> dict[tuple[str, str], str]:
    """Outcomes by family and method, from a page that holds the table."""
    text = page[page.index(BEGIN) + len(BEGIN) : page.index(END)]
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
    """Put the table between its marks."""
    sys.path.insert(0, str(ROOT / "tests"))
    from families.outcomes import outcomes  # type: ignore[import-not-found]

    written = table(list(outcomes()))
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        between = f"(?s){re.escape(BEGIN)}.*?{re.escape(END)}"
        path.write_text(re.sub(between, lambda _: BEGIN + written + END, page), encoding="utf-8")


if __name__ == "__main__":
    main()
