"""`adhere compare`: plain and every method on the same seeds, on one sheet."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from adhere.cli.choosing import chosen_model, sampling
from adhere.cli.progress import bar, say
from adhere.drawing import Drawing, draw
from adhere.loading import MINI
from adhere.methods import METHODS, Method
from adhere.parameters import method_named
from adhere.picture import (
    SHEET_CHUNK,
    check_writable,
    png,
    save_bytes,
    sheet_chunks,
    slug,
)
from adhere.sheet import Label, make_sheet
from adhere.subjects import find_subjects
from adhere.texts import check_prompt

FOLDER = "sheets"


def run(arguments: argparse.Namespace) -> None:
    """Draws the sheet, and prints what each method cost."""
    folder = arguments.out or FOLDER
    check_writable(folder)
    check_prompt(arguments.prompt)
    names = arguments.methods or list(METHODS)
    methods: dict[str, Method | None] = {"plain": None}
    chosen = arguments.model or MINI
    methods |= {name: method_named(name, model=chosen) for name in names if name != "none"}
    model = chosen_model(arguments)
    options = sampling(arguments)
    if any(methods.values()):
        find_subjects(model.pipe, arguments.prompt, arguments.subjects)
    # The first run in a process also pays for choosing kernels, which is nobody's cost.
    draw(model, arguments.prompt, method=None, **{**options, "steps": 2, "seeds": (0,)})
    rows: dict[str, Drawing] = {}
    for name, method in methods.items():
        with bar(name) as on_step:
            rows[name] = draw(model, arguments.prompt, method=method, on_step=on_step, **options)
        say(f"{name:22} {', '.join(_cost(rows[name], rows['plain']))}")
    labels: list[Label] = [(n, *_cost(drawing, rows["plain"])) for n, drawing in rows.items()]
    recipe = rows["plain"].recipes[0]
    model_name = Path(recipe.model.name).name
    sheet = make_sheet(
        [drawing.pictures for drawing in rows.values()],
        rows=labels,
        columns=[f"seed {one.seed}" for one in rows["plain"].recipes],
        title=arguments.prompt,
        note=f"{model_name}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}",
    )
    recipes = [one for drawing in rows.values() for one in drawing.recipes]
    chunks = sheet_chunks(f"adhere compare: {arguments.prompt}", recipes)
    digest = hashlib.sha256(chunks[SHEET_CHUNK].encode()).hexdigest()[:8]
    data = png(sheet, chunks)
    say(str(save_bytes(data, folder, f"compare-{slug(arguments.prompt)}-{digest}", ".png")))


def _cost(drawing: Drawing, plain: Drawing) -> tuple[str, ...]:
    """Time against the plain run, and the passes of the denoiser that nursing added."""
    time = f"{drawing.seconds:.1f} s"
    if drawing is plain:
        return (time,)
    forwards = sum(trace.truncated_forwards for trace in drawing.traces)
    backwards = sum(trace.backwards for trace in drawing.traces)
    added = f"{forwards} short passes, {backwards} gradients" if forwards else "no passes added"
    return f"{drawing.seconds / plain.seconds:.2f} x plain, {time}", added
