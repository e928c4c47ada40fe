"""What a drawing shows in the page, as HTML in which every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

import numpy as np
from PIL import Image, ImageColor

from adhere import Drawing, Recipe, Trace
from adhere.app.words import COLOURS
from adhere.drawing.loading import Loaded, scheduler_recipe
from adhere.drawing.png import file_stem, picture_png, png

_OTHER = "#f59f00"


HEADING = """<header><h1>adhere</h1>
<p>Draw everything that the prompt asks for, each thing with its own attributes.</p></header>"""
EMPTY = """<p class="empty">Press <b>Draw</b>. The image appears here twice, on the same seed:
as the model draws it, and nursed.</p>"""
CANCELLED = '<p class="empty" role="status">Cancelled. Nothing was kept.</p>'
UNMARKED = (
    """<p class="hint">No subject is marked. Click each word that the image must show.</p>"""
)
HINT = """<p class="hint">Click a word to correct it: subject, attribute, neither.</p>"""


def alert(error: object) -> str:
    """A message in one line."""
    return f'<p class="alert" role="alert">{escape(" ".join(str(error).split()))}</p>'


def image(data: bytes, said: str) -> str:
    """An image inside the page, with what it shows in words."""
    return f'<img src="{_url(data)}" alt="{escape(said)}">'


def first(plain: Drawing) -> str:
    """The baseline, while the nursed image is still drawn."""
    recipe = plain.recipes[0]
    said = f"{recipe.prompt}, baseline without nursing, seed {recipe.seed}"
    return f'<div class="slider">{image(picture_png(plain.images[0], recipe), said)}</div>'


def loaded(recipe: Recipe, model: Loaded) -> str:
    """What the recipe of an image says, and what of it the page cannot set."""
    own = scheduler_recipe(model.pipe.scheduler)  # type: ignore[attr-defined]
    lost = [
        *(["its model"] if recipe.model.weights != model.source.weights else []),
        *(["its scheduler"] if recipe.scheduler != own else []),
    ]
    text = f"Loaded the recipe of seed {recipe.seed}. Press Draw to draw it again."
    if lost:
        text += f" This page has not {' and not '.join(lost)}, so the image will differ."
    return f'<p class="empty" role="status">{escape(text)}</p>'


def code(lines: Mapping[str, str]) -> str:
    """Lines of code, each with the name of its language."""
    return "<h3>The same in code</h3>" + "".join(
        f'<p class="hint">{escape(name)}</p>'
        f'<pre tabindex="0" aria-label="{escape(name)}">{escape(line)}</pre>'
        for name, line in lines.items()
    )


def compared(plain: Drawing, nursed: Drawing, method: str) -> str:
    """Two images of one seed under a slider that the keyboard moves too."""
    before, after = (picture_png(d.images[0], d.recipes[0]) for d in (plain, nursed))
    prompt, seed = plain.recipes[0].prompt, plain.recipes[0].seed
    links = " ".join(
        f'<a download="{file_stem(d.recipes[0])}.png" href="{_url(data)}">{text}</a>'
        for d, data, text in ((plain, before, "Baseline"), (nursed, after, "Nursed"))
    )
    return (
        '<div class="slider" style="--at:50%">'
        f"{image(after, f'{prompt}, nursed by {method}, seed {seed}')}"
        f"{image(before, f'{prompt}, baseline without nursing, seed {seed}')}"
        '<span class="left">baseline</span><span class="right">nursed</span>'
        '<input type="range" aria-label="How much of the baseline is shown, in percent" '
        "oninput=\"this.parentElement.style.setProperty('--at', this.value + '%')\"></div>"
        f'<p class="links"><span>Download:</span> {links}</p>'
    )


def attention(drawing: Drawing) -> str:
    """Each word's attention over the image, subjects and attributes first and in their colours."""
    trace, picture = drawing.trace, drawing.images[0]
    colours = {
        index: COLOURS[number % len(COLOURS)]
        for number, subject in enumerate(trace.subjects[0])
        for part in subject.words
        for index in part.token_indices
    }
    words = range(1, len(trace.tokens[0]) - 1)
    shown = sorted(words, key=lambda index: index not in colours)
    heats = [trace.heat_map(index).numpy() for index in shown]
    brightest = max(float(heat.max()) for heat in heats) or 1.0
    figures = "".join(
        f'<figure style="--c:{colours.get(index, "transparent")}"><div>'
        + image(
            _heat_png(heat / brightest, colours.get(index, _OTHER)),
            f"Attention of {trace.tokens[0][index]}",
        )
        + f"</div><figcaption>{escape(trace.tokens[0][index])}</figcaption></figure>"
        for index, heat in zip(shown, heats, strict=True)
    )
    below = _url(png(picture, {}))
    return (
        "<h3>Where each word's attention is</h3>"
        f'<div class="maps" style="--image:url({below})">{figures}</div>'
    )


def curve(plain: Trace, nursed: Trace) -> str:
    """The highest attention of the weakest subject, step by step, as a line chart."""
    lines = {"baseline": weakest(plain), "nursed": weakest(nursed)}
    top = max((y for line in lines.values() for _, y in line), default=0) or 1
    last = max((x for line in lines.values() for x, _ in line), default=0) or 1
    drawn = "".join(
        f'<polyline class="{name}" points="'
        + " ".join(f"{36 + 350 * x / last:.1f},{126 - 112 * y / top:.1f}" for x, y in line)
        + '"/>'
        for name, line in lines.items()
    )
    ends = ", ".join(
        f"{name} from {line[0][1]:.2f} to {line[-1][1]:.2f}"
        for name, line in lines.items()
        if line
    )
    return (
        "<h3>Attention of the weakest subject, step by step</h3>"
        f'<svg class="curve" viewBox="0 0 400 150" role="img" aria-label="{escape(ends)}">'
        '<path d="M36 10V126H390"/>'
        f'<text x="30" y="18" class="end">{top:.2f}</text>'
        '<text x="30" y="130" class="end">0</text>'
        f'<text x="36" y="144">step 1</text><text x="390" y="144" class="end">{last + 1}</text>'
        f"{drawn}</svg>"
        '<p class="key"><span class="baseline">baseline</span> '
        '<span class="nursed">nursed</span></p>'
    )


def weakest(trace: Trace) -> list[tuple[int, float]]:
    """(step, highest attention of the most neglected subject), for each recorded step."""
    return [
        (
            record.step.index,
            min(float(trace.heat_map(s, step=at).max()) for s in trace.subjects[0]),
        )
        for at, record in enumerate(trace.steps)
        if trace.subjects[0]
    ]


def grid(cells: Mapping[str, Drawing | str]) -> str:
    """Images of all methods, or what went wrong with one."""
    figures = "".join(
        "<figure>"
        + (
            alert(cell)
            if isinstance(cell, str)
            else image(
                picture_png(cell.images[0], cell.recipes[0]),
                f"{cell.recipes[0].prompt}, {name}, seed {cell.recipes[0].seed}",
            )
        )
        + f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, cell in cells.items()
    )
    return f'<h3>Every method on the same seed</h3><div class="grid">{figures}</div>'


def _heat_png(heat: np.ndarray, shade: str) -> bytes:
    """A heat map as a layer of one colour, clear where there is no attention."""
    alpha = (heat.clip(0, 1) ** 0.7 * 235).round().astype(np.uint8)
    colour = np.broadcast_to(np.array(ImageColor.getrgb(shade), np.uint8), (*alpha.shape, 3))
    return png(Image.fromarray(np.dstack([colour, alpha])), {})


def _url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
