"""`adhere maps`: where the attention of each subject is, over the picture and over time."""

from __future__ import annotations

import argparse
import hashlib
from functools import reduce
from operator import add

from adhere.cli.choosing import chosen_methods, chosen_model, sampling
from adhere.cli.progress import bar, say
from adhere.drawing import Drawing, draw
from adhere.drawing.png import check_writable, png, save_bytes, sheet_chunks, slug
from adhere.figures import trace_sheet
from adhere.methods import LatentMethod, Method
from adhere.methods.watch import Watch
from adhere.subjects.text import check_prompt

FOLDER = "sheets"


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
    recipe = drawing.recipes[number]
    sheet = trace_sheet(
        drawing.trace,
        number,
        image=drawing.images[number],
        title=recipe.prompt,
        note=f"{name}, seed {recipe.seed}",
    )
    data = png(sheet, sheet_chunks(f"adhere maps: {recipe.prompt}", [recipe]))
    digest = hashlib.sha256(recipe.to_json().encode()).hexdigest()[:8]
    stem = f"maps-{slug(recipe.prompt)}-seed{recipe.seed}-{digest}"
    return save_bytes(data, folder, stem, ".png")
