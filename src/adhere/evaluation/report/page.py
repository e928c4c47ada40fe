"""The report as a page and as Markdown: what the tables say, put into templates."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from adhere.evaluation.plan import BASELINE
from adhere.evaluation.report.cells import (
    DASH,
    cell_of,
    change_of,
    cost_of,
    escaped,
    fenced,
    of_auc,
    ratio_of,
    short,
)
from adhere.evaluation.report.columns import Column
from adhere.evaluation.report.evidence import UNIT
from adhere.evaluation.report.ratios import MEASURES
from adhere.evaluation.report.sheets import ReadImage, Strip, percent, strips, thumbnail
from adhere.evaluation.report.tables import MACRO, Tables
from adhere.evaluation.statistics import FEW, FEWEST_CHANGED

MOST_ROWS = 600
MOST_FAILURES = 200
_COMMAND = "adhere evaluate run plan.toml --out RUN"


def html(tables: Tables, image: ReadImage, plots: Mapping[str, str]) -> str:
    """The page, whole: no script, and nothing that is elsewhere.

    Args:
        tables: the numbers.
        image: gives the image of a unit; None where there is none.
        plots: by name, see `adhere.evaluation.report.plots.draw_plots`.
    """
    template = _template("page.html", autoescape=True)
    addresses = {name: _address("image/svg+xml", svg.encode()) for name, svg in plots.items()}
    sheets = [
        (name, [_shown(strip, image, tables) for strip in strips(tables, name)])
        for name in tables.sets
    ]
    return template.render(**facts(tables), plots=addresses, sheets=sheets)


def markdown(tables: Tables, figures: Sequence[tuple[str, str]]) -> str:
    """The same as Markdown.

    Args:
        tables: the numbers.
        figures: titles and paths of the files that it shows, relative to its own.
    """
    template = _template("report.md.jinja", finalize=escaped)
    return template.render(**facts(tables), figures=figures, command_block=fenced(_COMMAND))


def facts(tables: Tables) -> dict[str, Any]:
    """What both templates show, as text and lists of text."""
    plan = tables.evidence.plan
    total, done = len(plan.units), len(tables.evidence.rows)
    names = [*([MACRO] if len(tables.sets) > 1 else []), *tables.sets]
    failures = tables.failures
    return {
        "plan": plan,
        "title": _title(tables),
        "baseline": cell_of(tables.row(names[0], BASELINE, tables.primary), tables.primary),
        "weights": (plan.weights or "")[:12],
        "methods": list(tables.conditions[1:]),
        "conditions": [_label(name) for name in tables.conditions],
        "prompts": sum(len(prompts.prompts) for prompts in plan.sets),
        "seeds": len(plan.seeds),
        "done": done,
        "total": total,
        "is_partial": done < total,
        "left_out": [
            s.name for s in plan.sets if s.name not in (*tables.sets, *plan.baseline_only)
        ],
        "unscored": _unscored(tables),
        "compared": _compared(tables),
        "primary": tables.primary,
        "leading": tables.leading,
        "summary": [_sentence(tables, names[0], one) for one in tables.conditions[1:]],
        "summary_of": _label(names[0]),
        "comparisons": _comparisons(tables),
        "tables": [_table(tables, name) for name in names],
        "pairs": [_pairs(tables, name) for name in names] if len(tables.conditions) > 2 else [],
        "why": _why(tables),
        "measures": MEASURES,
        "ratios": [_ratios(tables, name) for name in names] if len(tables.conditions) > 1 else [],
        "all_metrics": [_all_metrics(tables, name) for name in names],
        "by_prompt": [_by(tables, name, "prompt") for name in tables.sets],
        "by_seed": [_by(tables, name, "seed") for name in tables.sets],
        "failures": [
            {**row, "text": short(row["text"]), "error": short(row["error"])}
            for row in failures.head(MOST_FAILURES).to_dict("records")
        ],
        "failure_count": len(failures),
        "few": FEW,
        "fewest_changed": FEWEST_CHANGED,
        "command": _COMMAND,
        "scorers": tables.evidence.scorers,
        "columns": tables.columns,
        "workers": sorted(set(tables.evidence.costs["worker"]) - {""}),
        "seconds": _seconds(tables),
    }


_WORDS = ("no", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def _title(tables: Tables) -> str:
    model = short(tables.evidence.plan.model)
    methods = tables.conditions[1:]
    if len(methods) <= 1:
        return f"{methods[0] if methods else 'The baseline'} on {model}"
    count = _WORDS[len(methods)] if len(methods) < len(_WORDS) else str(len(methods))
    return f"{count} methods on {model}"


def _template(name: str, **settings: Any) -> Template:
    return Environment(
        loader=PackageLoader("adhere.evaluation", "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
    ).get_template(name)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _label(name: str) -> str:
    return {MACRO: "All sets, macro average", BASELINE: "baseline"}.get(name, name)


def _sentence(tables: Tables, name: str, condition: str) -> dict[str, Any]:
    """What a method did to the primary metric, and at what cost."""
    row = tables.row(name, condition, tables.primary)
    return {"condition": condition, **cell_of(row, tables.primary), **cost_of(row)}


def _table(tables: Tables, name: str) -> dict[str, Any]:
    """Presence, binding, count, mixing, preservation and cost side by side."""
    rows = []
    for condition in tables.conditions:
        found = [tables.row(name, condition, column) for column in tables.leading]
        known = next((row for row in found if row is not None), None)
        rows.append(
            {
                "condition": _label(condition),
                "is_baseline": condition == BASELINE,
                "cells": [cell_of(r, c) for r, c in zip(found, tables.leading, strict=True)],
                **cost_of(known),
            }
        )
    source = next((s.source for s in tables.evidence.plan.sets if s.name == name), "")
    return {
        "name": _label(name),
        "heads": _heads(tables, name),
        "source": short(source),
        "prompts": max(_row_numbers(tables, name, "prompts"), default=0),
        "seeds": max(_row_numbers(tables, name, "seeds"), default=0),
        "rows": rows,
        "has_few": any(cell["is_few"] for row in rows for cell in row["cells"]),
    }


def _heads(tables: Tables, name: str) -> list[dict[str, str]]:
    """Group, name and what else is to be known of each leading metric."""
    return [
        {
            "group": column.metric.group,
            "name": column.metric.name,
            "note": _note(tables, name, column),
        }
        for column in tables.leading
    ]


def _note(tables: Tables, name: str, column: Column) -> str:
    """What is to be known of a metric before its numbers are read."""
    notes = [] if column.metric.higher_is_better else ["lower is better"]
    rows = (tables.row(name, condition, column) for condition in tables.conditions)
    sets = max((row["sets"] for row in rows if row is not None), default=0)
    if name == MACRO and sets < len(tables.sets):
        notes.append(f"{sets} of {len(tables.sets)} sets")
    return "; ".join(notes)


def _row_numbers(tables: Tables, name: str, what: str) -> list[int]:
    rows = (tables.row(name, BASELINE, column) for column in tables.columns)
    return [row[what] for row in rows if row is not None]


def _all_metrics(tables: Tables, name: str) -> dict[str, Any]:
    rows = []
    for column in tables.columns:
        found = [tables.row(name, condition, column) for condition in tables.conditions]
        if not any(row is not None and not math.isnan(row["value"]) for row in found):
            continue
        rows.append(
            {
                "column": column,
                "prompts": max(row["prompts"] for row in found if row is not None),
                "note": _note(tables, name, column),
                "cells": [cell_of(row, column) for row in found],
            }
        )
    has_few = any(cell["is_few"] for row in rows for cell in row["cells"])
    return {"name": _label(name), "rows": rows, "has_few": has_few}


def _pairs(tables: Tables, name: str) -> dict[str, Any]:
    """A row for each two methods, with the leading metrics."""
    records = [row for row in tables.pairs.to_dict("records") if row["set"] == name]
    found = {(r["condition"], r["against"], r["scorer"], r["metric"]): r for r in records}
    rows = []
    for pair in dict.fromkeys(key[:2] for key in found):
        of_pair = [(found.get((*pair, *column.key)), column) for column in tables.leading]
        cells = [None if row is None else change_of(row, column) for row, column in of_pair]
        rows.append({"condition": pair[0], "against": pair[1], "cells": cells})
    has_few = any(cell and cell["is_few"] for row in rows for cell in row["cells"])
    return {
        "name": _label(name),
        "heads": _heads(tables, name),
        "rows": rows,
        "has_few": has_few,
    }


def _why(tables: Tables) -> dict[str, str] | None:
    """What attention says of subjects that go missing, as text; None where it was not read."""
    found = tables.why.summary()
    if found is None:
        return None
    best, first = found["best"], found["from_step"]
    lower = f"{best['ratio']:.2f}"
    if not math.isnan(best["ratio_low"]):
        lower += f" [{best['ratio_low']:.2f}, {best['ratio_high']:.2f}]"
    interval = "" if math.isnan(best["auc_low"]) else of_auc(best["auc_low"], best["auc_high"])
    return {
        "condition": found["condition"],
        "found": f"{found['found']:,}",
        "missing": f"{found['missing']:,}",
        "prompts": f"{found['prompts']:,}",
        "measure": best["measure"],
        "step": str(best["step"]),
        "auc": f"{best['auc']:.2f}{interval}",
        "ratio": lower,
        "from": "the last step" if first is None else f"step {first}",
        "is_clear": "" if first is None else "yes",
    }


def _ratios(tables: Tables, name: str) -> dict[str, Any]:
    """A row for each method, with a cell for each measure that any of them has."""
    own = tables.ratios[tables.ratios["set"] == name]
    records = pd.DataFrame(own).to_dict("records")
    found = {(row["condition"], row["measure"]): row for row in records}
    measures = [one for one in MEASURES if any(measure == one for _, measure in found)]
    rows = [
        {
            "condition": condition,
            "cells": [ratio_of(found.get((condition, one))) for one in measures],
        }
        for condition in tables.conditions[1:]
    ]
    has_few = any(cell and "†" in cell["interval"] for row in rows for cell in row["cells"])
    return {"name": _label(name), "heads": measures, "rows": rows, "has_few": has_few}


def _by(tables: Tables, name: str, what: str) -> dict[str, Any]:
    """A row for each prompt or seed, with the primary metric of each condition."""
    column = tables.primary
    frame = tables.prompts if what == "prompt" else tables.seeds
    own = frame[
        (frame["set"] == name)
        & (frame["scorer"] == column.scorer)
        & (frame["metric"] == column.metric.name)
    ]
    wide = own.pivot(index=what, columns="condition", values="value")
    order = list(dict.fromkeys(own[what]))
    rows = []
    for key in order[:MOST_ROWS]:
        values = [float(wide.at[key, condition]) for condition in tables.conditions]
        rows.append(
            {
                "label": short(tables.text(name, key)) if what == "prompt" else str(key),
                "cells": [{"text": percent(v), "share": _share(v)} for v in values],
            }
        )
    return {"name": name, "rows": rows, "more": max(len(order) - MOST_ROWS, 0)}


def _share(value: float) -> str:
    """How much of its colour a cell has, 0 to 1."""
    return f"{min(max(value, 0.0), 1.0):.2f}" if math.isfinite(value) else "0"


def _shown(strip: Strip, image: ReadImage, tables: Tables) -> dict[str, Any]:
    is_yes_or_no = _is_yes_or_no(tables)
    pairs = []
    for pair in strip.pairs:
        images = []
        for unit, value in zip((pair.baseline, pair.nursed), pair.values, strict=True):
            found = image(unit)
            images.append(
                {
                    "label": _label(unit.condition),
                    "address": _address("image/webp", thumbnail(found)) if found else "",
                    "mark": _mark(value, is_yes_or_no),
                    "said": _said(value, is_yes_or_no),
                }
            )
        pairs.append({"seed": pair.seed, "images": images})
    return {
        "condition": strip.condition,
        "why": strip.why,
        "prompt": short(strip.prompt),
        "means": [percent(value) for value in strip.means],
        "pairs": pairs,
    }


def _is_yes_or_no(tables: Tables) -> bool:
    found = (tables.values(name, tables.primary) for name in tables.sets)
    return all(
        ((array == 0) | (array == 1) | ~(array == array)).all()
        for values in found
        if values is not None
        for array in values.of.values()
    )


def _mark(value: float, is_yes_or_no: bool) -> str:
    if not math.isfinite(value):
        return DASH
    return ("✓" if value else "✗") if is_yes_or_no else percent(value)


def _said(value: float, is_yes_or_no: bool) -> str:
    if not math.isfinite(value):
        return "no value"
    return ("yes" if value else "no") if is_yes_or_no else percent(value)


def _unscored(tables: Tables) -> list[dict[str, Any]]:
    """Scorers that have not scored all that is drawn."""
    drawn = len(tables.evidence.rows)
    scores = tables.evidence.scores
    found = []
    for scorer in tables.evidence.scorers:
        own = scores.loc[scores["scorer"] == scorer.name]
        count = len(set(own[UNIT].itertuples(index=False, name=None)))
        if count < drawn:
            found.append({"name": scorer.name, "count": count})
    return found


def _compared(tables: Tables) -> int:
    """Images of each condition that the primary metric compares."""
    found = (tables.values(name, tables.primary) for name in tables.sets)
    return sum(int(values.is_there.sum()) for values in found if values is not None)


def _comparisons(tables: Tables) -> int:
    """Intervals of differences in the main tables."""
    results = tables.results
    keys = {column.key for column in tables.leading}
    found = zip(results["scorer"], results["metric"], results["difference_low"], strict=True)
    return sum((scorer, metric) in keys and low == low for scorer, metric, low in found)


def _seconds(tables: Tables) -> str:
    hours = tables.evidence.costs["seconds"].sum() / 3600
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
