"""What the page shows of a prompt and of drawings; in HTML every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from adhere import Drawing, Subject
from adhere.drawing.png import file_stem, image_png, png
from adhere.figures.trace import shades, word_maps
from adhere.subjects.correcting import word_spans
from adhere.subjects.tokenizing import Tokens

HEADING = """<header><h1>adhere</h1>
<p>Draw everything that the prompt asks for, each thing with its own attributes.</p></header>"""
EMPTY = """<p class="status">Press <b>Draw</b>. The image appears here twice, on the same seed:
as the model draws it, and nursed.</p>"""
GREY = "#868e96"


def note(text: object, role: str = "status") -> str:
    """A message that is read aloud, in one line; a mistake has the role "alert"."""
    return f'<p class="{role}" role="{role}">{escape(" ".join(str(text).split()))}</p>'


def marks(found: Tokens, subjects: Sequence[Subject]) -> list[tuple[str, str | None]]:
    """Each word and sign of a prompt with its colour; grey is what the model does not read."""
    colours = shades(subjects) | dict.fromkeys(range(found.end, len(found.pieces)), GREY)
    return [
        (found.text[slice(*span)], next(map(colours.get, found.indices(span)), None))
        for span in word_spans(found.text)
    ]


def told(subjects: Sequence[Subject]) -> str:
    """The subjects with their attributes as a sentence."""
    names = [" ".join([*(a.text for a in one.attributes), one.text]) for one in subjects]
    return note(f"Subjects: {', '.join(names)}." if names else "No subject is marked.")


def compared(plain: Drawing, nursed: Drawing | None = None, method: str = "") -> str:
    """The baseline, and once there is one the nursed image of the same seed under a slider."""
    before = _image(plain, "without nursing")
    if nursed is None:
        return f'<div class="slider">{before}</div>'
    return (
        f'<div class="slider">{_image(nursed, f"nursed by {method}")}{before}'
        '<span class="left">baseline</span><span class="right">nursed</span>'
        '<input type="range" aria-label="How much of the baseline is shown, in percent" '
        "oninput=\"this.parentElement.style.setProperty('--at', this.value + '%')\"></div>"
        f'<p class="links">Download: {_link(plain, "Baseline")} {_link(nursed, "Nursed")}</p>'
    )


def attention(drawing: Drawing) -> str:
    """Each word's attention over the image, subjects and attributes first and in their colours."""
    figures = "".join(
        _figure(_embedded(png(image, {}), f"Attention of {word}"), word, colour)
        for word, colour, image in word_maps(drawing.trace, drawing.images[0])
    )
    return f'<h3>Where each word\'s attention is</h3><div class="maps">{figures}</div>'


def grid(cells: Mapping[str, Drawing | str]) -> str:
    """Images of all methods, or what went wrong with one."""
    figures = "".join(
        _figure(note(cell, "alert") if isinstance(cell, str) else _image(cell, name), name)
        for name, cell in cells.items()
    )
    return f'<h3>Every method on the same seed</h3><div class="grid">{figures}</div>'


def _figure(shown: str, caption: str, colour: str | None = None) -> str:
    caption = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure style="--c:{colour or "transparent"}">{shown}{caption}</figure>'


def _image(drawing: Drawing, said: str) -> str:
    recipe = drawing.recipes[0]
    said = f"{recipe.prompt}, {said}, seed {recipe.seed}"
    return _embedded(image_png(drawing.images[0], recipe), said)


def _link(drawing: Drawing, text: str) -> str:
    recipe = drawing.recipes[0]
    url = _url(image_png(drawing.images[0], recipe))
    return f'<a download="{file_stem(recipe)}.png" href="{url}">{text}</a>'


def _embedded(data: bytes, said: str) -> str:
    return f'<img src="{_url(data)}" alt="{escape(said)}">'


def _url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
