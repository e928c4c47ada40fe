"""Figures of a trace, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from adhere.nursing.trace import Trace
    from adhere.subjects import Attribute, Subject

    Word = str | int | Subject | Attribute

_MOST_COLUMNS = 6
# Dark to bright in even steps of lightness.
_COLOURS = "inferno"


def plot_run(trace: Trace, sample: int, words: Sequence[Word]) -> Figure:
    """A sample's numbers over the steps, above its words' attention at some of the steps.

    Args:
        trace: of a run with recorded steps.
        sample: which picture of the batch.
        words: one row of heat maps each.
    """
    columns = _spread(len(trace.steps))
    figure = _figure(width=2 * max(len(columns), 4), height=3.4 + 2 * len(words))
    heights = (3.4, 2 * max(len(words), 1))
    above, below = figure.subfigures(2, 1, height_ratios=heights)  # type: ignore[misc]
    above.suptitle(trace.prompts[sample], fontsize="medium")
    _plot_numbers(above.subplots(), trace, sample)
    rows = below.subplots(max(len(words), 1), len(columns), squeeze=False)
    for axes, word in zip(rows, words, strict=False):
        maps = [trace.heat_map(word, sample, place) for place in columns]
        titles = [f"step {trace.steps[place].step.index}" for place in columns]
        _show(axes, maps, titles)
        axes[0].set_ylabel(_label(trace, word, sample))
    return figure


def plot_word(trace: Trace, word: Word, sample: int, image: Image | None) -> Figure:
    """A word's attention, its mean over the picture and then at some of the steps.

    Args:
        trace: of a run with recorded steps.
        word: a subject, or any token.
        sample: which picture of the batch.
        image: laid under the mean, if given.
    """
    columns = _spread(len(trace.steps))
    figure = _figure(width=2 * (len(columns) + 1), height=2.5)
    axes = figure.subplots(1, len(columns) + 1, squeeze=False)[0]
    mean = trace.heat_map(word, sample)
    _show(axes[:1], [mean], ["mean"])
    if image is not None:
        height, width = mean.shape
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        shade = axes[0].images[0]
        shade.set(alpha=0.6, interpolation="bilinear", zorder=1)
        axes[0].imshow(image, extent=extent, zorder=0)
    maps = [trace.heat_map(word, sample, place) for place in columns]
    _show(axes[1:], maps, [f"step {trace.steps[place].step.index}" for place in columns])
    axes[0].set_ylabel(_label(trace, word, sample))
    return figure


def _label(trace: Trace, word: Word, sample: int) -> str:
    """What a word is called, with its place where the prompt has it twice."""
    if isinstance(word, str):
        return word
    tokens = trace.tokens[sample]
    if isinstance(word, int):
        text, index = tokens[word], word
    else:
        text, index = word.text, word.token_indices[0]
    named = [part.text for s in trace.subjects[sample] for part in (s, *s.attributes)]
    is_unique = tokens.count(text) <= 1 and named.count(text) <= 1
    return text if is_unique else f"{text} (token {index})"


def _plot_numbers(axes: Any, trace: Trace, sample: int) -> None:
    """The loss, each subject's peak, and where latents were refined."""
    steps = [record.step.index for record in trace.steps]
    peaks = trace.peaks(sample)
    for subject, line in zip(trace.subjects[sample], peaks.T, strict=True):
        axes.plot(steps, line, marker=".", label=f"peak of {_label(trace, subject, sample)}")
    loss = trace.loss[:, sample]
    if loss.isfinite().any():
        axes.plot(steps, loss, color="0.5", linestyle="--", label="loss")
    refinements = trace.refinements[:, sample]
    for step, count in zip(steps, refinements.tolist(), strict=True):
        if count:
            axes.axvline(step, color="0.85", zorder=0)
            axes.annotate(
                f"{count} more", (step, 1), xycoords=("data", "axes fraction"), fontsize="small"
            )
    axes.set(xlabel="step", ylabel="attention")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small")


def _show(axes: Sequence[Any], maps: Sequence[Tensor], titles: Sequence[str]) -> None:
    """Heat maps beside each other, on one scale."""
    top = max(float(torch.stack(list(maps)).max()), 1e-6)
    for place, heat, title in zip(axes, maps, titles, strict=True):
        place.imshow(heat, cmap=_COLOURS, vmin=0, vmax=top)
        place.set(xticks=[], yticks=[])
        place.set_title(title, fontsize="small")


def _spread(count: int) -> list[int]:
    """At most six positions out of so many, the first and the last among them."""
    shown = min(count, _MOST_COLUMNS)
    return sorted({round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)})


def _figure(width: float, height: float) -> Figure:
    """An empty figure that no global state knows of."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Plotting a trace needs matplotlib, which is not installed; install it with "
            "pip install 'adhere[plot]'."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
