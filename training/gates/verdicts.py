"""Figures beside their thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Verdict = tuple[str, str, str, bool]


def _detail(name: str, said: str) -> Verdict:
    """A figure without a threshold of its own."""
    return name, said, "", True


def _span(interval: Sequence[float], style: str = ".1%") -> str:
    return "({0:{2}} to {1:{2}})".format(*interval, style)


def _of_localisation(figures: dict[str, float]) -> list[Verdict]:
    own = min(figures["first_own"], figures["second_own"])
    other = max(figures["first_other"], figures["second_other"])
    return [
        ("attention in the own box", f"{own:.1%}", ">= 80%", own >= 0.8),
        ("attention in the other box", f"{other:.1%}", "<= 20%", other <= 0.2),
        *(
            _detail(f"{place} noun", f"own {own:.1%}, other {other:.1%}")
            for place in ("first", "second")
            for own, other in [(figures[f"{place}_own"], figures[f"{place}_other"])]
        ),
    ]


def _of_singles(figures: dict[str, float]) -> list[Verdict]:
    present, colour = figures["present"], figures["right_colour"]
    return [
        ("singles present", f"{present:.1%}", ">= 92%", present >= 0.92),
        ("singles' colours", f"{colour:.1%}", ">= 85%", colour >= 0.85),
        _detail("painted objects present", f"{figures['painted_present']:.1%}"),
        _detail("their colours where present", f"{figures['right_colour_where_present']:.1%}"),
    ]


def _of_animals(figures: dict[str, Any]) -> list[Verdict]:
    plain = figures["plain"]["present"]
    most = figures["plain"].get("most", 0.75)
    found = [("animal pairs, plain", f"{plain:.1%}", f"20% to {most:.0%}", 0.2 <= plain <= most)]
    for name, one in figures.items():
        if name != "plain":
            said = f"{one['gain']:+.1%} {_span(one['gain_interval'], '+.1%')}"
            is_gate = name == "tuned"
            holds = one["gain"] >= 0.15 and one["gain_interval"][0] > 0
            wanted = ">= +15%, clear of 0" if is_gate else ""
            found.append((f"gain of {name}", said, wanted, holds or not is_gate))
        present = f"{one['present']:.1%} {_span(one['present_interval'])}"
        found += [
            _detail(f"present, {name}", present),
            _detail("of pairs seen in training", f"{one['present_seen']:.1%}"),
            _detail("of pairs not seen", f"{one['present_unseen']:.1%}"),
            _detail("pictures with a mixture", f"{one['mixed']:.1%}"),
            _detail("seconds over plain's", f"{one['seconds_ratio']:.1f}"),
        ]
    return found


def _of_objects(figures: dict[str, float]) -> list[Verdict]:
    right, present = figures["right_colours"], figures["present"]
    said = f"{right:.1%} of {present:.1%}"
    return [("objects' colours under presence", said, "clearly below", right < present - 0.05)]


def _of_autoencoder(figures: dict[str, float]) -> list[Verdict]:
    return [("autoencoder", f"{figures['psnr']:.1f} dB", ">= 27 dB", figures["psnr"] >= 27)]


def _of_seconds(figures: dict[str, float]) -> list[Verdict]:
    limits = {"plain": 6, "tuned": 10, "paper": 10}
    return [
        *(
            (f"seconds, {name}", f"{figures[name]:.1f}", f"<= {limit}", figures[name] <= limit)
            for name, limit in limits.items()
            if name in figures
        ),
        _detail("threads", f"{figures['threads']:.0f}"),
    ]


_JUDGES: dict[str, Callable[[Any], list[Verdict]]] = {
    "localisation": _of_localisation,
    "singles": _of_singles,
    "animals": _of_animals,
    "objects": _of_objects,
    "autoencoder": _of_autoencoder,
    "seconds": _of_seconds,
}


def table(figures: dict[str, Any]) -> str:
    """The protocol, and a line for each figure."""
    lines = [figures["protocol"]]
    for name, figure, threshold, holds in verdicts(figures):
        mark = "" if not threshold else "ok" if holds else "FAIL"
        lines.append(f"{mark:6}{name:34}{figure:>28}  {threshold}".rstrip())
    return "\n".join(lines)


def verdicts(figures: dict[str, Any]) -> list[Verdict]:
    """For each gate measured its name, its figure, its threshold, and whether it holds.

    Figures that stand beside a gate's follow it, without a threshold.
    """
    return [v for part, judge in _JUDGES.items() if part in figures for v in judge(figures[part])]
