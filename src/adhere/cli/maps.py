"""`adhere maps`: where the attention of each subject is, over the picture and over time."""

from __future__ import annotations

import argparse
import hashlib
from functools import reduce
from operator import add

from PIL import Image

from adhere.cli.choosing import chosen_methods, chosen_model, sampling
from adhere.cli.progress import bar, say
from adhere.drawing import Drawing, draw
from adhere.methods import LatentMethod, Method
from adhere.methods.watch import Watch
from adhere.picture import check_writable, png, save_bytes, sheet_chunks, slug
from adhere.sheet import Label, heat, make_sheet, over
from adhere.subjects import Attribute, Subject
from adhere.subjects.text import check_prompt

FOLDER = "sheets"
_MOMENTS = 6


def run(arguments: argparse.Namespace) -> None:
    """Draws one sheet for each seed."""
    folder = arguments.out or FOLDER
    check_writable(folder)
    check_prompt(arguments.prompt)
    methods = chosen_methods(arguments)
    model = chosen_model(arguments)
    name = " and ".join(method.name for method in methods) or "plain"

    def keep(drawing: Drawing) -> None:
        for number in range(len(drawing.images)):
            say(str(_save(drawing, number, name, folder)))

    with bar(name) as on_step:
        draw(
            arguments.prompt,
            model=model,
            method=_watched(methods),
            on_step=on_step,
            on_batch=keep,
            **sampling(arguments),
        )


def _watched(methods: list[Method]) -> list[Method]:
    """The methods, and the maps recorded at every step."""
    movers = [method for method in methods if isinstance(method, LatentMethod)]
    others = [method for method in methods if not isinstance(method, LatentMethod)]
    return [reduce(add, [*movers, Watch()]), *others]


def _save(drawing: Drawing, number: int, name: str, folder: str) -> object:
    trace, picture, recipe = drawing.trace, drawing.images[number], drawing.recipes[number]
    # Texts could not tell the two in "a red cat and a red frog" apart.
    parts: list[Subject | Attribute] = []
    words: list[Label] = []
    for subject in trace.subjects[number]:
        parts += [subject, *subject.attributes]
        words.append((subject.text, "subject"))
        words += [(a.text, f"of {subject.text}") for a in subject.attributes]
    count = len(trace.steps)
    moments = sorted({round(i * (count - 1) / (_MOMENTS - 1)) for i in range(_MOMENTS)})
    means = [trace.heat_map(part, number).numpy() for part in parts]
    series = [[trace.heat_map(p, number, step).numpy() for step in moments] for p in parts]
    brightest = max(float(one.max()) for row in series for one in row)
    brightest_mean = max(float(mean.max()) for mean in means)
    rows: list[list[Image.Image]] = [
        [
            picture,
            over(picture, mean, brightest_mean),
            *(_grown(one, picture, brightest) for one in row),
        ]
        for mean, row in zip(means, series, strict=True)
    ]
    turns = [trace.steps[step].step.index + 1 for step in moments]
    sheet = make_sheet(
        rows,
        rows=words,
        columns=["picture", "all steps", *(f"step {turn}" for turn in turns)],
        title=recipe.prompt,
        note=f"{name}, seed {recipe.seed}; a step's attention: dark 0, bright {brightest:.2f}",
        cell=192,
    )
    data = png(sheet, sheet_chunks(f"adhere maps: {recipe.prompt}", [recipe]))
    digest = hashlib.sha256(recipe.to_json().encode()).hexdigest()[:8]
    stem = f"maps-{slug(recipe.prompt)}-seed{recipe.seed}-{digest}"
    return save_bytes(data, folder, stem, ".png")


def _grown(heat_map, picture: Image.Image, brightest: float) -> Image.Image:  # noqa: ANN001
    """A heat map in the shape of the picture, its cells to be seen."""
    return heat(heat_map, brightest).resize(picture.size, Image.Resampling.NEAREST)
