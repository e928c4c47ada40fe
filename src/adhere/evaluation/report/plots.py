"""Plots of a report as SVG: presence against cost, paired differences, and attention by step.

Each shows nothing that a table does not.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

from adhere.evaluation.plan import BASELINE
from adhere.evaluation.report.columns import Column
from adhere.evaluation.report.tables import MACRO, Tables
from adhere.evaluation.report.why import MEASURES
from adhere.evaluation.statistics import pareto

# Okabe and Ito's colours, which all eyes can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7a4fa3", "#000000")
INK, FAINT, LINE, PAPER = "#1b1b20", "#62626d", "#e3e3e8", "#ffffff"
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
_FONTS = "system-ui, sans-serif"


def colour(number: int) -> str:
    """Of the condition of a number; 0 is the baseline."""
    return FAINT if number == 0 else _COLOURS[(number - 1) % len(_COLOURS)]


def marker(number: int) -> str:
    """The sign of the condition of a number; 0 is the baseline."""
    return "o" if number == 0 else _MARKERS[(number - 1) % len(_MARKERS)]


def draw_plots(tables: Tables) -> dict[str, str]:
    """Every plot of a report as SVG by its name; what there is nothing to show of is left out."""
    kinds = {"cost": plot_cost, "differences": plot_differences, "attention": plot_attention}
    return {name: svg for name, draw in kinds.items() if (svg := draw(tables))}


def plot_cost(tables: Tables) -> str:
    """The primary metric against cost, a panel for each prompt set, with the Pareto front.

    Args:
        tables: the numbers.

    Returns:
        SVG.
    """
    names = _names(tables)
    across = min(3, len(names))
    down = math.ceil(len(names) / across)
    with _style():
        longest = max(len(_shown(name)) for name in tables.conditions)
        ncols = min(len(tables.conditions), 5 if longest <= _LONG else 2)
        legend = math.ceil(len(tables.conditions) / ncols) * 0.26
        figure = _figure(3.2 * max(across, 2), 2.75 * down + legend + 0.2)
        panels = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        for name, axes in zip(names, panels, strict=False):
            _cost_panel(axes, tables, name)
        for axes in panels[len(names) :]:
            axes.remove()
        # Legends are filled column by column, and read row by row.
        count = len(tables.conditions)
        order = [number for first in range(ncols) for number in range(first, count, ncols)]
        figure.legend(
            [_handle(number) for number in order],
            [_shown(tables.conditions[number]) for number in order],
            loc="outside upper left",
            ncols=ncols,
            frameon=False,
        )
        return _svg(figure)


def plot_differences(tables: Tables) -> str:
    """Paired differences to the baseline with their intervals, a panel for each leading metric.

    Args:
        tables: the numbers.

    Returns:
        SVG; empty where there is nothing to compare.
    """
    columns = [
        c for c in tables.leading if any(_has_difference(tables, c, n) for n in tables.sets)
    ]
    if not columns:
        return ""
    names = _names(tables)
    # A line for the name of each set, and one for each of its methods.
    lines = len(names) * (len(tables.conditions) + 0.35)
    with _style():
        width = max(min(2.3 + 2.1 * len(columns), 9.6), 6.4)
        figure = _figure(width, 0.215 * lines + 0.9)
        panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
        for place, (axes, column) in enumerate(zip(panels, columns, strict=True)):
            _difference_panel(axes, tables, column, names, place == 0)
        return _svg(figure)


def plot_attention(tables: Tables) -> str:
    """Mean attention of found and of missing subjects by step, and how well it tells them apart.

    Args:
        tables: the numbers.

    Returns:
        SVG; empty where no attention was read.
    """
    summary = tables.why.summary()
    if summary is None:
        return ""
    table = tables.why.table
    own = table.loc[table["condition"] == summary["condition"]]
    means = own.loc[own["measure"] == "mean"].sort_values("step")
    with _style():
        figure = _figure(7.2, 2.9)
        left, right = figure.subplots(1, 2)
        for number, name in enumerate(("found", "missing"), 1):
            _line(left, means["step"], means[name], number, name)
        left.set_title("mean attention of subjects", loc="left")
        for number, measure in enumerate(MEASURES, 1):
            rows = own.loc[own["measure"] == measure].sort_values("step")
            _line(right, rows["step"], rows["auc"], number, f"{measure} attention")
            right.fill_between(
                rows["step"],
                rows["auc_low"].to_numpy(float),
                rows["auc_high"].to_numpy(float),
                color=colour(number),
                alpha=0.18,
                linewidth=0,
            )
        right.axhline(0.5, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        right.set_title("chance that found > missing (AUC)", loc="left")
        for axes in (left, right):
            axes.set_xlabel("step")
            axes.grid(True, axis="y")
            axes.legend(frameon=False)
        return _svg(figure)


def _line(axes: Any, steps: Any, values: Any, number: int, label: str) -> None:
    axes.plot(
        steps.to_numpy(),
        values.to_numpy(float),
        color=colour(number),
        marker=marker(number),
        markersize=3.5,
        linewidth=1.4,
        label=label,
    )


def _cost_panel(axes: Any, tables: Tables, name: str) -> None:
    column = tables.primary
    rows = [tables.row(name, condition, column) for condition in tables.conditions]
    shown = [
        (number, row[_cost_of(tables)], row)
        for number, row in enumerate(rows)
        if row is not None and not math.isnan(row["value"] + row[_cost_of(tables)])
    ]
    points = [(cost, row["value"]) for _, cost, row in shown]
    costs = [cost for cost, _ in points] or [1.0]
    room = max((max(costs) - min(costs)) * 0.12, 0.06)
    places = _apart(costs, room / 3)
    for (number, _, row), x in zip(shown, places, strict=False):
        if number == 0:
            axes.axhline(100 * row["value"], color=FAINT, linewidth=0.8, zorder=0)
        if not math.isnan(row["low"]):
            ends = [100 * row["low"], 100 * row["high"]]
            axes.plot([x, x], ends, color=colour(number), linewidth=1.4, zorder=2)
        _draw_point(axes, x, 100 * row["value"], number)
    sign = 1 if column.metric.higher_is_better else -1
    front = pareto([cost for cost, _ in points], [sign * value for _, value in points])
    axes.plot(
        [points[p][0] for p in front],
        [100 * points[p][1] for p in front],
        color=FAINT,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        drawstyle="steps-post",
        zorder=1,
    )
    axes.set_title(_shown(name), loc="left")
    axes.set_xlabel(f"{_COST_NAMES[_cost_of(tables)]}, × baseline")
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel(f"{column.metric.name}, %")
    axes.set_xlim(min(costs) - room, max(costs) + room)
    axes.grid(True, axis="y")


def _apart(costs: Sequence[float], gap: float) -> list[float]:
    """Where to draw points so that those of nearly the same cost do not hide each other."""
    places = list(costs)
    for number in range(len(places)):
        while any(abs(places[number] - other) < 0.9 * gap for other in places[:number]):
            places[number] += gap
    return places


def _difference_panel(
    axes: Any, tables: Tables, column: Column, names: Sequence[str], is_named: bool
) -> None:
    heights, labels = [], []
    y = 0.0
    for name in names:
        if is_named:
            axes.text(
                -0.02,
                y,
                _shown(name),
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                color=INK,
                weight="bold",
            )
        y += 1
        for number, condition in enumerate(tables.conditions):
            if condition == BASELINE:
                continue
            heights.append(y)
            labels.append(_shown(condition))
            row = tables.row(name, condition, column)
            if row is not None and not math.isnan(row["difference"]):
                if not math.isnan(row["difference_low"]):
                    ends = [100 * row["difference_low"], 100 * row["difference_high"]]
                    axes.plot(ends, [y, y], color=colour(number), linewidth=1.4)
                _draw_point(axes, 100 * row["difference"], y, number)
            y += 1
        y += 0.35
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_ylim(y - 0.5, -0.7)
    if is_named:
        axes.set_yticks(heights, labels=labels)
    axes.tick_params(axis="y", length=0, labelcolor=FAINT, labelleft=is_named)
    is_better = "higher" if column.metric.higher_is_better else "lower"
    axes.set_title(column.metric.group, loc="left")
    axes.set_xlabel(f"{column.metric.name}, points\n({is_better} is better)")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -2), max(high, 2))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(True, axis="x")


def _draw_point(axes: Any, x: float, y: float, number: int) -> None:
    axes.plot(
        [x],
        [y],
        marker=marker(number),
        markersize=6.5 if marker(number) in "*XP" else 5.5,
        color=colour(number),
        markeredgecolor=PAPER,
        markeredgewidth=0.7,
        linestyle="none",
        zorder=3,
        clip_on=False,
    )


def _handle(number: int) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], marker=marker(number), color=colour(number), linestyle="none", markersize=6
    )


# Letters of a name for which there is room, and beyond which it is cut in any case.
_LONG, _LONGEST = 26, 36
_COST_NAMES = {"flops_ratio": "operations", "seconds_ratio": "seconds"}


def _cost_of(tables: Tables) -> str:
    """Operations where they were counted, else seconds."""
    return "flops_ratio" if tables.costs["flops_ratio"].notna().any() else "seconds_ratio"


def _names(tables: Tables) -> list[str]:
    """What has a panel or a block: all sets together first, then each."""
    return [*([MACRO] if len(tables.sets) > 1 else []), *tables.sets]


def _shown(name: str, most: int = _LONGEST) -> str:
    known = {MACRO: "all sets, macro average", BASELINE: "baseline"}.get(name, name)
    return known if len(known) <= most else f"{known[: most - 1]}…"


def _has_difference(tables: Tables, column: Column, name: str) -> bool:
    rows = [tables.row(name, condition, column) for condition in tables.conditions]
    return any(row is not None and not math.isnan(row["difference"]) for row in rows)


def _style() -> Any:
    """Settings for the time of a block."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "adhere",
            # A dollar sign in a metric's name is no formula.
            "text.parse_math": False,
            "font.family": "DejaVu Sans",
            "font.size": 8.5,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.labelsize": 8.5,
            "axes.labelcolor": FAINT,
            "axes.titlecolor": INK,
            "axes.edgecolor": LINE,
            "axes.facecolor": PAPER,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "figure.facecolor": PAPER,
            "grid.color": LINE,
            "grid.linewidth": 0.7,
            "axes.axisbelow": True,
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": FAINT,
            "ytick.labelcolor": FAINT,
            "text.color": INK,
            "legend.labelcolor": INK,
            "legend.handletextpad": 0.3,
        }
    )


def _figure(width: float, height: float) -> Any:
    """An empty figure that no global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    """The figure, in the reader's own typeface and without the hour it was drawn."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?(?=[;\"])", _FONTS, text)
