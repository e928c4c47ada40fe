"""Writes the tables of does-it-work.md from the reports in docs/results.

Run, after `adhere evaluate report RUN --out docs/results/NAME`:
    python docs/make_table.py
"""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "does-it-work.md"

ALL, OBJECTS = "macro average", "attend-and-excite-objects"
# Name of the report; for each column its head, its prompt set and its metric.
TABLES = {
    "mini": (
        ("all present: animals", "attend-and-excite-animals", "all-present"),
        ("objects", OBJECTS, "all-present"),
        ("five sets", ALL, "all-present"),
        ("right colours", ALL, "right-colour"),
        ("mixtures", ALL, "mixture"),
    ),
    "phrases": (
        ("all present", OBJECTS, "all-present"),
        ("right colours", OBJECTS, "right-colour"),
        ("mixtures", OBJECTS, "mixture"),
        ("everything right", OBJECTS, "exact"),
    ),
}


def marks(name: str) -> tuple[str, str]:
    """The lines between which a table stands."""
    return f"<!-- docs/make_table.py writes {name} from here -->\n", f"<!-- to here: {name} -->\n"


def table(name: str) -> str:
    """A table in Markdown: values in percent, below them what changed against plain."""
    with open(RESULTS / name / "results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(row["condition"], row["set"], row["metric"]): row for row in rows}
    columns = TABLES[name]
    # The cost over as many sets as the table is of.
    whole = ALL if any(prompts == ALL for _, prompts, _ in columns) else columns[0][1]
    heads = ["", *(head for head, _, _ in columns), "operations", "time"]
    lines = [_line(heads), "|---|" + "---:|" * (len(heads) - 1)]
    for condition in dict.fromkeys(row["condition"] for row in rows):
        cells = [_cell(found[condition, prompts, metric]) for _, prompts, metric in columns]
        cost = found[condition, whole, "all-present"]
        ratios = [f"{float(cost[what]):.2f} ×" for what in ("flops_ratio", "seconds_ratio")]
        own = "plain" if condition == "none" else condition
        lines.append(_line([own, *cells, *ratios]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: dict[str, str]) -> str:
    value = f"{100 * float(row['value']):.1f}"
    if not row["difference"]:
        return f"{value} ({_percent(row['low'])} to {_percent(row['high'])})"
    change = _signed(row["difference"])
    if row["is_clear"] == "True":
        change = f"**{change}**"
    ends = f"{_signed(row['difference_low'])} to {_signed(row['difference_high'])}"
    return f"{value}<br>{change} ({ends})"


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}"


def _signed(text: str) -> str:
    return f"{100 * float(text):+.1f}".replace("-", "−")


def main() -> None:
    """Puts the tables between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        begin, end = marks(name)
        between = f"(?s){re.escape(begin)}.*?{re.escape(end)}"
        page = re.sub(between, lambda _, n=name: marks(n)[0] + table(n) + marks(n)[1], page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
