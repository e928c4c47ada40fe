"""The sheet of a trace: where each word's attention was, over the image and over the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Union

from PIL import Image

from adhere.figures.sheet import Label, heat, make_sheet, over

if TYPE_CHECKING:
    from adhere.nursing.trace import Trace
    from adhere.subjects import Attribute, Subject

Word = Union[str, int, "Subject", "Attribute"]

_MOMENTS = 6
_CELL = 192
_AMBER = "#f59f00"
# A colour for each subject, and a paler one for its attributes.
COLOURS = ("#e8590c", "#1c7ed6", "#2f9e44", "#ae3ec9", "#d6336c", "#0c8599")
PALE = ("#ffa875", "#74c0fc", "#8ce99a", "#e599f7", "#faa2c1", "#66d9e8")


def trace_sheet(
    trace: Trace,
    sample: int = 0,
    *,
    words: Sequence[Word] | None = None,
    image: Image.Image | None = None,
    title: str | None = None,
    note: str = "",
) -> Image.Image:
    """Heat maps of words: the mean over all recorded steps, then at most six of the steps.

    Args:
        trace: of a run with recorded steps.
        sample: which image of the batch.
        words: one row each, given as to `Trace.heat_map`; None for the subjects and their
            attributes.
        image: the finished image, shown first and under the mean heat maps.
        title: None for the prompt.
        note: a small line below the title, before the scale.

    Returns:
        The sheet, RGB.

    Raises:
        ValueError: nothing was recorded, or a word is no token of the prompt.
    """
    trace.check_recorded()
    parts: list[Word] = list(words or ())
    if words is None:
        for subject in trace.subjects[sample]:
            parts += subject.words
    means = [trace.heat_map(part, sample).numpy() for part in parts]
    count = len(trace.steps)
    moments = sorted({round(i * (count - 1) / (_MOMENTS - 1)) for i in range(_MOMENTS)})
    series = [[trace.heat_map(p, sample, step).numpy() for step in moments] for p in parts]
    brightest = max((float(one.max()) for row in series for one in row), default=1.0)
    brightest_mean = max((float(mean.max()) for mean in means), default=1.0)
    height, width = means[0].shape if means else (1, 1)
    scale = _CELL / max(height, width)
    size = image.size if image else (round(width * scale), round(height * scale))
    rows = []
    for mean, row in zip(means, series, strict=True):
        grown = [heat(one, brightest).resize(size, Image.Resampling.NEAREST) for one in row]
        if image is None:
            mean_heat = heat(mean, brightest_mean).resize(size, Image.Resampling.NEAREST)
            rows.append([mean_heat, *grown])
        else:
            rows.append([image, over(image, mean, brightest_mean), *grown])
    steps = [f"step {trace.steps[place].step.index + 1}" for place in moments]
    scale_note = f"a step's attention: dark 0, bright {brightest:.2f}"
    return make_sheet(
        rows,
        rows=[label(trace, part, sample) for part in parts],
        columns=[*(["image"] if image else []), "all steps", *steps],
        title=trace.prompts[sample] if title is None else title,
        note="; ".join(part for part in (note, scale_note) if part),
        cell=_CELL,
    )


def shades(subjects: Sequence[Subject]) -> dict[int, str]:
    """The colour of each token of some subjects, paler for those of their attributes."""
    return {
        index: (COLOURS if part is subject else PALE)[number % len(COLOURS)]
        for number, subject in enumerate(subjects)
        for part in subject.words
        for index in part.token_indices
    }


def word_maps(trace: Trace, image: Image.Image) -> Iterator[tuple[str, str | None, Image.Image]]:
    """The mean attention of each word of the first prompt, laid over its image in grey.

    Subjects and their attributes come first and in their colours, other words are amber.

    Args:
        trace: of a run with recorded steps.
        image: the finished image.

    Yields:
        Text of a token, its colour or None, and an image, RGB, of at most 192 pixels a side.

    Raises:
        ValueError: nothing was recorded.
    """
    # Darker, so that a colour shows on it.
    grey = image.convert("L").point(lambda value: 0.7 * value).convert("RGB")
    grey.thumbnail((_CELL, _CELL))
    colours = shades(trace.subjects[0])
    words = sorted(trace.words[0], key=lambda i: i not in colours)
    heats = {i: trace.heat_map(i) for i in words}
    brightest = max(float(heat.max()) for heat in heats.values()) or 1.0
    for index, heat_map in heats.items():
        veil = Image.fromarray(((heat_map / brightest) ** 0.7 * 235).byte().numpy())
        layer = Image.new("RGB", grey.size, colours.get(index, _AMBER))
        veil = veil.resize(grey.size, Image.Resampling.BICUBIC)
        yield trace.tokens[0][index], colours.get(index), Image.composite(layer, grey, veil)


def label(trace: Trace, word: Word, sample: int = 0) -> Label:
    """A word as the label of its row: its name, what it is, and for a subject its peaks.

    A word that the prompt has twice is told by the index of its token.
    """
    own = trace.subjects[sample]
    if isinstance(word, str):
        return (word,)
    tokens = trace.tokens[sample]
    text = tokens[word] if isinstance(word, int) else word.text
    index = word if isinstance(word, int) else word.token_indices[0]
    named = [part.text for s in own for part in s.words]
    name = (
        text if tokens.count(text) <= 1 and named.count(text) <= 1 else f"{text} (token {index})"
    )
    if isinstance(word, int):
        return (name,)
    if word in own:
        peaks = trace.peaks(sample)[:, own.index(word)]
        return name, "subject", f"peak {peaks[0]:.2f} to {peaks[-1]:.2f}"
    host = next((s.text for s in own if word in s.attributes), None)
    return (name, f"of {host}") if host else (name,)
