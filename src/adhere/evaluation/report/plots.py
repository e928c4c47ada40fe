"""Plots of a report as SVG: presence against cost, and paired differences.

Each plot is drawn wide and narrow, has a dark twin, and shows nothing that a table does not.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adhere.evaluation.plan import PLAIN
from adhere.evaluation.report.tables import MACRO, Column, Tables, pareto

# Okabe and Ito's colours, which all eyes can tell apart; light ones for dark paper.
_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7a4fa3", "#000000")
_DARK = ("#5cb3e6", "#f08a4b", "#3fc79a", "#e3a0c4", "#e6c34a", "#9ad4f5", "#b896e0", "#ffffff")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
_FONTS = "system-ui, sans-serif"


@dataclass(frozen=True)
class Look:
    """How a plot is drawn.

    Attributes:
        is_dark: for dark paper.
        is_narrow: for a phone.
    """

    is_dark: bool = False
    is_narrow: bool = False

    @property
    def ink(self) -> str:
        """Colour of text."""
        return "#e7e7ea" if self.is_dark else "#1b1b20"

    @property
    def faint(self) -> str:
        """Colour of what is beside the point."""
        return "#a0a0ac" if self.is_dark else "#62626d"

    @property
    def line(self) -> str:
        """Colour of rules."""
        return "#34343c" if self.is_dark else "#e3e3e8"

    @property
    def paper(self) -> str:
        """Colour of the background."""
        return "#141417" if self.is_dark else "#ffffff"

    def colour(self, number: int) -> str:
        """Of the condition of a number; 0 is the plain control."""
        own = _DARK if self.is_dark else _LIGHT
        return self.faint if number == 0 else own[(number - 1) % len(own)]


def marker(number: int) -> str:
    """The sign of the condition of a number; 0 is the plain control."""
    return "o" if number == 0 else _MARKERS[(number - 1) % len(_MARKERS)]


@dataclass(frozen=True)
class Plot:
    """A plot on light paper, as SVG.

    Attributes:
        wide: for a screen.
        narrow: for a phone.
    """

    wide: str
    narrow: str


def draw_plots(tables: Tables) -> dict[str, Plot]:
    """Every plot of a report by its name: "cost", and "differences" where there are any."""
    drawn = {}
    for name, draw in (("cost", plot_cost), ("differences", plot_differences)):
        if wide := draw(tables, Look()):
            drawn[name] = Plot(wide, draw(tables, Look(is_narrow=True)))
    return drawn


def darkened(svg: str) -> str:
    """A plot that was drawn for light paper, in the colours for dark paper."""
    light, dark = Look(), Look(is_dark=True)
    colours = {
        **{light.colour(number): dark.colour(number) for number in range(len(_LIGHT) + 1)},
        light.ink: dark.ink,
        light.faint: dark.faint,
        light.line: dark.line,
        light.paper: dark.paper,
    }
    return re.sub("|".join(colours), lambda found: colours[found[0]], svg)


def plot_cost(tables: Tables, look: Look) -> str:
    """The primary metric against cost, a panel for each prompt set, with the Pareto front.

    Args:
        tables: the numbers.
        look: how it is drawn.

    Returns:
        SVG.
    """
    names = _names(tables)
    across = 1 if look.is_narrow else min(3, len(names))
    down = math.ceil(len(names) / across)
    with _style(look):
        longest = max(len(_shown(name)) for name in tables.conditions)
        most = 2 if look.is_narrow else 5
        ncols = min(len(tables.conditions), most if longest <= _LONG else most // 2)
        legend = math.ceil(len(tables.conditions) / ncols) * 0.26
        width, tall = (4.0, 2.7) if look.is_narrow else (3.2 * max(across, 2), 2.75)
        figure = _figure(width, tall * down + legend + 0.2)
        panels = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        for name, axes in zip(names, panels, strict=False):
            _cost_panel(axes, tables, name, look)
        for axes in panels[len(names) :]:
            axes.remove()
        # Legends are filled column by column, and read row by row.
        count = len(tables.conditions)
        order = [number for first in range(ncols) for number in range(first, count, ncols)]
        figure.legend(
            [_handle(number, look) for number in order],
            [_shown(tables.conditions[number]) for number in order],
            loc="outside upper left",
            ncols=ncols,
            frameon=False,
        )
        return _svg(figure)


def plot_differences(tables: Tables, look: Look) -> str:
    """Paired differences to plain with their intervals, a panel for each leading metric.

    Args:
        tables: the numbers.
        look: how it is drawn.

    Returns:
        SVG; empty where there is nothing to compare.
    """
    columns = [
        c for c in tables.leading if any(_has_difference(tables, c, n) for n in tables.sets)
    ]
    if not columns:
        return ""
    names = [_names(tables)] * len(columns)
    if look.is_narrow:
        names = [[n for n in _names(tables) if _has_difference(tables, c, n)] for c in columns]
    # A line for the name of each set, and one for each of its methods.
    lines = [len(blocks) * (len(tables.conditions) + 0.35) for blocks in names]
    with _style(look):
        if look.is_narrow:
            figure = _figure(4.0, 0.2 * sum(lines) + 0.75 * len(columns))
            heights = [0.2 * count + 0.75 for count in lines]
            panels = figure.subplots(len(columns), 1, squeeze=False, height_ratios=heights)[:, 0]
        else:
            width = min(2.3 + 2.1 * len(columns), 9.6)
            figure = _figure(max(width, 6.4), 0.215 * lines[0] + 0.9)
            panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
        for place, (axes, column) in enumerate(zip(panels, columns, strict=True)):
            is_named = look.is_narrow or place == 0
            _difference_panel(axes, tables, column, names[place], look, is_named)
        return _svg(figure)


def _cost_panel(axes: Any, tables: Tables, name: str, look: Look) -> None:
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
            axes.axhline(100 * row["value"], color=look.faint, linewidth=0.8, zorder=0)
        if not math.isnan(row["low"]):
            ends = [100 * row["low"], 100 * row["high"]]
            axes.plot([x, x], ends, color=look.colour(number), linewidth=1.4, zorder=2)
        _draw_point(axes, x, 100 * row["value"], number, look)
    sign = 1 if column.metric.higher_is_better else -1
    front = pareto([cost for cost, _ in points], [sign * value for _, value in points])
    axes.plot(
        [points[p][0] for p in front],
        [100 * points[p][1] for p in front],
        color=look.faint,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        drawstyle="steps-post",
        zorder=1,
    )
    axes.set_title(_shown(name), loc="left")
    axes.set_xlabel(f"{_COST_NAMES[_cost_of(tables)]}, × plain")
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
    axes: Any, tables: Tables, column: Column, names: Sequence[str], look: Look, is_named: bool
) -> None:
    heights, labels = [], []
    y = 0.0
    for name in names:
        if is_named:
            axes.text(
                0.01 if look.is_narrow else -0.02,
                y,
                _shown(name),
                transform=axes.get_yaxis_transform(),
                ha="left" if look.is_narrow else "right",
                va="center",
                color=look.ink,
                weight="bold",
            )
        y += 1
        for number, condition in enumerate(tables.conditions):
            if condition == PLAIN:
                continue
            heights.append(y)
            labels.append(_shown(condition, _LONG if look.is_narrow else _LONGEST))
            row = tables.row(name, condition, column)
            if row is not None and not math.isnan(row["difference"]):
                if not math.isnan(row["difference_low"]):
                    ends = [100 * row["difference_low"], 100 * row["difference_high"]]
                    axes.plot(ends, [y, y], color=look.colour(number), linewidth=1.4)
                _draw_point(axes, 100 * row["difference"], y, number, look)
            y += 1
        y += 0.35
    axes.axvline(0, color=look.faint, linewidth=0.8, zorder=0)
    axes.set_ylim(y - 0.5, -0.7)
    if is_named:
        axes.set_yticks(heights, labels=labels)
    axes.tick_params(axis="y", length=0, labelcolor=look.faint, labelleft=is_named)
    is_better = "higher" if column.metric.higher_is_better else "lower"
    axes.set_title(column.metric.group, loc="left")
    axes.set_xlabel(f"{column.metric.name}, points\n({is_better} is better)")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -2), max(high, 2))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(True, axis="x")


def _draw_point(axes: Any, x: float, y: float, number: int, look: Look) -> None:
    axes.plot(
        [x],
        [y],
        marker=marker(number),
        markersize=6.5 if marker(number) in "*XP" else 5.5,
        color=look.colour(number),
        markeredgecolor=look.paper,
        markeredgewidth=0.7,
        linestyle="none",
        zorder=3,
        clip_on=False,
    )


def _handle(number: int, look: Look) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], marker=marker(number), color=look.colour(number), linestyle="none", markersize=6
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
    known = {MACRO: "all sets, macro average", PLAIN: "plain"}.get(name, name)
    return known if len(known) <= most else f"{known[: most - 1]}…"


def _has_difference(tables: Tables, column: Column, name: str) -> bool:
    rows = [tables.row(name, condition, column) for condition in tables.conditions]
    return any(row is not None and not math.isnan(row["difference"]) for row in rows)


def _style(look: Look) -> Any:
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
            "axes.labelcolor": look.faint,
            "axes.titlecolor": look.ink,
            "axes.edgecolor": look.line,
            "axes.facecolor": look.paper,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "figure.facecolor": look.paper,
            "grid.color": look.line,
            "grid.linewidth": 0.7,
            "axes.axisbelow": True,
            "xtick.color": look.line,
            "ytick.color": look.line,
            "xtick.labelcolor": look.faint,
            "ytick.labelcolor": look.faint,
            "text.color": look.ink,
            "legend.labelcolor": look.ink,
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
