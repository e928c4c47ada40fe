"""Writes the tables of README.md and does-it-work.md from the reports in docs/results.

Run, after `adhere evaluate report RUN --out docs/results/NAME`:
    python docs/make_table.py
"""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "does-it-work.md")

ALL = "macro average"
ANIMALS, OBJECTS = "attend-and-excite-animals", "attend-and-excite-objects"
PAIRS = (
    ("both animals", ANIMALS, "all-present"),
    ("both objects", OBJECTS, "all-present"),
    ("both in their colours", OBJECTS, "right-colour"),
    ("mixtures", ALL, "mixture"),
)
SETS = (
    *PAIRS[:3],
    ("six sets: all present", ALL, "all-present"),
    ("right colours", ALL, "right-colour"),
    ("right counts", ALL, "right-count"),
    ("mixtures", ALL, "mixture"),
    ("relation kept", "relations", "relation-kept"),
)
# Name of the report; for each column its head, its prompt set and its metric.
TABLES = {
    "mini-methods": PAIRS,
    "mini-tuned": PAIRS,
    "mini": SETS,
    "mini-joint": SETS,
    "mini-joint-methods": PAIRS,
    "mini-joint-others": PAIRS,
}
# Other work ran beside the rest, so that their seconds say nothing.
TIMED = ("mini",)


def marks(name: str) -> tuple[str, str]:
    """The lines between which a table stands."""
    return f"<!-- docs/make_table.py writes {name} from here -->\n", f"<!-- to here: {name} -->\n"


def table(name: str) -> str:
    """A table in Markdown: values in percent, below them the difference to the baseline."""
    with open(RESULTS / name / "results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(row["condition"], row["set"], row["metric"]): row for row in rows}
    columns = TABLES[name]
    # The cost over as many sets as the table is of.
    whole = ALL if any(prompts == ALL for _, prompts, _ in columns) else columns[0][1]
    costs = {"operations": "flops_ratio"} | ({"time": "seconds_ratio"} if name in TIMED else {})
    heads = ["", *(head for head, _, _ in columns), *costs]
    lines = [_line(heads), "|---|" + "---:|" * (len(heads) - 1)]
    for condition in dict.fromkeys(row["condition"] for row in rows):
        if condition == "watched":  # The baseline again, with its attention kept.
            continue
        cells = [_cell(found[condition, prompts, metric]) for _, prompts, metric in columns]
        cost = found[condition, whole, "all-present"]
        ratios = [f"{float(cost[what]):.2f} ×" for what in costs.values()]
        own = "baseline" if condition == "none" else f"`{condition}`"
        lines.append(_line([own, *cells, *ratios]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: dict[str, str]) -> str:
    value = f"{100 * float(row['value']):.1f}"
    if not row["difference"]:
        # Where all prompts are alike, resampling has no interval.
        return (
            f"{value} ({_percent(row['low'])} to {_percent(row['high'])})" if row["low"] else value
        )
    change = _signed(row["difference"])
    if row["is_clear"] == "True":
        change = f"**{change}**"
    if not row["difference_low"]:
        return f"{value}<br>{change}"
    ends = f"{_signed(row['difference_low'])} to {_signed(row['difference_high'])}"
    return f"{value}<br>{change} ({ends})"


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}"


def _signed(text: str) -> str:
    return f"{100 * float(text):+.1f}".replace("-", "−")


def main() -> None:
    """Puts the tables between their marks, on whichever page has them."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        for name in TABLES:
            begin, end = marks(name)
            between = f"(?s){re.escape(begin)}.*?{re.escape(end)}"
            page = re.sub(between, lambda _, n=name: marks(n)[0] + table(n) + marks(n)[1], page)
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
