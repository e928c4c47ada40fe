"""Which prompts a report shows in images, and the sheets of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from adhere.evaluation.plan import BASELINE, Unit
from adhere.evaluation.report.columns import Column
from adhere.evaluation.report.tables import Tables
from adhere.figures.sheet import Label, make_sheet

MOST_SEEDS = 4
MOST_SIDE = 192
_CELL = 150
# The longest side that WebP holds.
_MOST_OF_WEBP = 16_383
_QUALITY = 82

ReadImage = Callable[[Unit], Image.Image | None]


@dataclass(frozen=True)
class Pair:
    """A baseline image and the method's, of one prompt and seed.

    Attributes:
        seed: of both.
        baseline: unit of the baseline image.
        nursed: unit of the method's.
        values: of the primary metric, the baseline first; NaN where it does not apply.
    """

    seed: int
    baseline: Unit
    nursed: Unit
    values: tuple[float, float]


@dataclass(frozen=True)
class Strip:
    """Images of one prompt.

    Attributes:
        set: name of the prompt set.
        condition: what is compared with the baseline.
        prompt: its text.
        why: what it was chosen for, such as ("worst",).
        means: of the primary metric over all seeds, the baseline first.
        pairs: the first seeds, not chosen by what they show.
    """

    set: str
    condition: str
    prompt: str
    why: tuple[str, ...]
    means: tuple[float, float]
    pairs: tuple[Pair, ...]


def strips(tables: Tables, name: str) -> tuple[Strip, ...]:
    """The best, the worst and the most changed prompt of each method, by the primary metric.

    Best and worst are by the method's own mean over seeds, and where that is equal by the change
    from the baseline; most changed by how many pairs changed, whichever way. What is equal then
    comes in the order of the set.

    Args:
        tables: the numbers.
        name: of the prompt set.
    """
    column = tables.primary
    found = tables.values(name, column)
    if found is None:
        return ()
    chosen = []
    baseline = found.of[BASELINE]
    for condition in tables.conditions[1:]:
        own = found.of[condition]
        for place, why in _chosen(own, baseline, column).items():
            pairs = tuple(
                Pair(
                    seed,
                    Unit(BASELINE, name, found.prompts[place], seed),
                    Unit(condition, name, found.prompts[place], seed),
                    (float(baseline[place, number]), float(own[place, number])),
                )
                for number, seed in enumerate(found.seeds)
                if found.is_there[place, number]
            )[:MOST_SEEDS]
            means = float(_means(baseline)[place]), float(_means(own)[place])
            text = tables.text(name, found.prompts[place])
            chosen.append(Strip(name, condition, text, tuple(why), means, pairs))
    return tuple(chosen)


def _chosen(own: np.ndarray, baseline: np.ndarray, column: Column) -> dict[int, list[str]]:
    """Place of a prompt to what it is chosen for; at most three, most telling first."""
    sign = 1 if column.metric.higher_is_better else -1
    value, change = sign * _means(own), sign * _means(own - baseline)
    moved = np.nansum(np.abs(own - baseline), axis=1)
    places = [place for place in range(len(own)) if np.isfinite(value[place])]
    if not places:
        return {}
    change = np.nan_to_num(change)
    ranked = {
        "most changed": max(places, key=lambda p: moved[p]),
        "best": max(places, key=lambda p: (value[p], change[p])),
        "worst": min(places, key=lambda p: (value[p], change[p])),
    }
    if moved[ranked["most changed"]] == 0:
        del ranked["most changed"]
    why: dict[int, list[str]] = {}
    for reason, place in ranked.items():
        why.setdefault(place, []).append(reason)
    return why


def _means(values: np.ndarray) -> np.ndarray:
    """Means over seeds, NaN where there is none."""
    counts = np.isfinite(values).sum(axis=1)
    sums = np.nansum(values, axis=1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def thumbnail(image: Image.Image) -> bytes:
    """An image as WebP, its longer side no longer than `MOST_SIDE`."""
    small = image.convert("RGB")
    small.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    return webp(small)


def webp(image: Image.Image) -> bytes:
    """An image as WebP, smaller where it is larger than WebP holds.

    The same image gives the same bytes.
    """
    if max(image.size) > _MOST_OF_WEBP:
        image = ImageOps.contain(image, (_MOST_OF_WEBP, _MOST_OF_WEBP))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()


def sheet(chosen: Sequence[Strip], column: Column, image: ReadImage) -> Image.Image:
    """The strips of a set on one sheet, the baseline beside the method, a pair of columns a seed.

    Args:
        chosen: of one set, at least one.
        column: what the values are of.
        image: gives the image of a unit; None where there is none.
    """
    most = max(len(strip.pairs) for strip in chosen)
    seeds = max((strip.pairs for strip in chosen), key=len)
    rows: list[Label] = []
    cells = []
    for strip in chosen:
        change = " to ".join(percent(value) for value in strip.means)
        rows.append((strip.condition, ", ".join(strip.why), strip.prompt[:200], change))
        row = [image(unit) for pair in strip.pairs for unit in (pair.baseline, pair.nursed)]
        cells.append(row + [None] * (2 * most - len(row)))
    columns = [f"{word} {str(p.seed)[-6:]}" for p in seeds for word in ("baseline", "method")]
    return make_sheet(
        cells,
        rows=rows,
        columns=columns,
        title=chosen[0].set,
        note=f"{column.metric.name} of all seeds, baseline to method; columns by seed",
        cell=_CELL,
    )


def percent(value: float) -> str:
    """A value as a percentage without its sign, or a dash."""
    return f"{100 * value:.1f}" if np.isfinite(value) else "–"
