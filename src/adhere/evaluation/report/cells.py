"""Numbers of a report as text, and texts of strangers as text that is nothing else."""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup

from adhere.evaluation.report.columns import Column
from adhere.evaluation.report.sheets import percent

_LONGEST = 300


DASH = "–"


def cell_of(row: dict[str, Any] | None, column: Column) -> dict[str, Any]:
    """A value and its difference to the baseline, each with its interval, as text."""
    texts = ("value", "interval", "note", "difference", "difference_interval")
    if row is None or math.isnan(row["value"]):
        return {
            **dict.fromkeys((*texts, "difference_note", "verdict", "doubt", "pairs"), ""),
            "is_few": False,
        }
    few = bool(row["note"]) and not math.isnan(row["low"])
    change = change_of(row, column)
    return {
        "value": percent(row["value"]),
        "interval": _interval(row["low"], row["high"], few),
        "note": "" if few else row["note"],
        **change,
        "is_few": few or change["is_few"],
    }


def change_of(row: dict[str, Any], column: Column) -> dict[str, Any]:
    """A paired difference with its interval, as text."""
    few = bool(row["difference_note"]) and not math.isnan(row["difference_low"])
    return {
        "difference": "" if math.isnan(row["difference"]) else _signed(row["difference"]),
        "difference_interval": _interval(row["difference_low"], row["difference_high"], few),
        "difference_note": "" if few else row["difference_note"],
        "verdict": _verdict(row, column),
        "doubt": _doubt(row),
        "pairs": f"{row['raised']} raised, {row['lowered']} lowered of {row['pairs']}",
        "is_few": few,
    }


def of_auc(low: float, high: float) -> str:
    """The interval of an AUC as text, after a space."""
    return f" [{low:.2f}, {high:.2f}]"


def ratio_of(row: dict[str, Any] | None) -> dict[str, str] | None:
    """A ratio with its interval, and the two numbers that it is of, as text."""
    if row is None:
        return None
    few = "†" if row["note"].startswith("fewer") else ""
    has_interval = not math.isnan(row["low"])
    own, baseline = (f"{row[name]:.3g}" for name in ("value", "baseline"))
    return {
        "ratio": f"{row['ratio']:.2f}",
        "interval": f"[{row['low']:.2f}, {row['high']:.2f}]{few}" if has_interval else "",
        "note": "" if has_interval else row["note"],
        "of": "" if row["measure"] in _COUNTED else f"{own} : {baseline}",
    }


_COUNTED = ("operations", "seconds")


def _verdict(row: dict[str, Any], column: Column) -> str:
    """Whether a difference can be told from chance, and on which side it is."""
    if math.isnan(row["difference"]):
        return ""
    if not row["is_clear"]:
        return "unclear"
    return "better" if (row["difference"] > 0) == column.metric.higher_is_better else "worse"


def _doubt(row: dict[str, Any]) -> str:
    """Why a difference is not called better or worse, where its note does not say so."""
    if row["is_clear"] or row["difference_note"] or math.isnan(row["difference"]):
        return ""
    if row["difference_low"] <= 0 <= row["difference_high"]:
        return "not clear of 0"
    return f"only {row['prompts_changed']} prompts changed"


def cost_of(row: dict[str, Any] | None) -> dict[str, str]:
    """What an image costs, as text."""
    if row is None:
        return {
            "operations": DASH,
            "seconds": DASH,
            "seconds_each": "",
            "flops_each": "",
            "memory": "",
            "failures": "",
        }
    return {
        "operations": _ratio(row["flops_ratio"]),
        "seconds": _ratio(row["seconds_ratio"]),
        "seconds_each": "" if math.isnan(row["seconds"]) else f"{row['seconds']:.2f} s",
        "flops_each": "" if math.isnan(row["flops"]) else f"{row['flops'] / 1e9:,.0f} GFLOP",
        "memory": "" if math.isnan(row["peak_bytes"]) else f"{row['peak_bytes'] / 2**30:.2f} GiB",
        "failures": f"{row['failures']} failed" if row["failures"] else "",
    }


def _interval(low: float, high: float, is_few: bool) -> str:
    """An interval, with a sign for a footnote where it is too narrow."""
    mark = "†" if is_few else ""
    return "" if math.isnan(low) else f"[{_number(low)}, {_number(high)}]{mark}"


def _number(value: float) -> str:
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def _signed(value: float) -> str:
    text = _number(value)
    return text if text.startswith("−") or text == "0.0" else f"+{text}"


def _ratio(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.2f}"


def short(text: object) -> str:
    """A text that strangers may have written, in one line without control characters."""
    line = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * _LONGEST])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def escaped(value: object) -> object:
    """What a Markdown template shows, with every sign that Markdown or HTML would read as its own.

    What is marked as safe is left alone.
    """
    if isinstance(value, Markup | int | float) or value is None:
        return value
    text = short(value)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*_{}\[\]()#|~!$@]", r"\\\g<0>", text)


def fenced(text: str) -> Markup:
    """A block of code in Markdown, whatever the code holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}sh\n{text}\n{fence}")
