"""`adhere compare`: plain and every method on the same seeds, on one sheet."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Collection
from pathlib import Path

from adhere.cli.choosing import check_once, chosen_model, sampling
from adhere.cli.progress import bar, say
from adhere.drawing import Drawing, draw
from adhere.drawing.loading import MINI
from adhere.drawing.png import (
    SHEET_CHUNK,
    check_writable,
    png,
    save_bytes,
    sheet_chunks,
    slug,
)
from adhere.drawing.stated import method_named, stated_numbers
from adhere.figures.sheet import Label, make_sheet
from adhere.methods import METHODS, Method
from adhere.subjects import find_subjects
from adhere.subjects.text import check_prompt

FOLDER = "sheets"


def run(arguments: argparse.Namespace) -> None:
    """Draws the sheet, and prints what each method cost."""
    folder = arguments.out or FOLDER
    check_writable(folder)
    check_prompt(arguments.prompt)
    names = arguments.methods or list(METHODS)
    check_once(names)
    methods: dict[str, Method | None] = {"plain": None}
    chosen = arguments.model or MINI
    methods |= {name: method_named(name, model=chosen) for name in names if name != "none"}
    stated = stated_numbers(chosen)
    model = chosen_model(arguments)
    options = sampling(arguments)
    if any(methods.values()):
        find_subjects(model.pipe, arguments.prompt, arguments.subjects)
    # The first run in a process also pays for choosing kernels, which is nobody's cost.
    draw(arguments.prompt, model=model, method=None, **{**options, "steps": 2, "seeds": (0,)})
    rows: dict[str, Drawing] = {}
    try:
        for name, method in methods.items():
            with bar(name) as on_step:
                rows[name] = draw(
                    arguments.prompt, model=model, method=method, on_step=on_step, **options
                )
            say(f"{name:22} {', '.join(_told(name, rows, stated))}")
    except KeyboardInterrupt:
        if not rows:
            raise
        kept = _save(arguments.prompt, rows, stated, folder)
        raise KeyboardInterrupt(f"interrupted; the rows finished so far are on {kept}") from None
    say(str(_save(arguments.prompt, rows, stated, folder)))


def _save(prompt: str, rows: dict[str, Drawing], stated: Collection[str], folder: str) -> Path:
    """Writes the sheet of the rows that are there."""
    labels: list[Label] = [(name, *_told(name, rows, stated)) for name in rows]
    recipe = rows["plain"].recipes[0]
    model_name = Path(recipe.model.name).name
    sheet = make_sheet(
        [drawing.images for drawing in rows.values()],
        rows=labels,
        columns=[f"seed {one.seed}" for one in rows["plain"].recipes],
        title=prompt,
        note=f"{model_name}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}",
    )
    recipes = [one for drawing in rows.values() for one in drawing.recipes]
    chunks = sheet_chunks(f"adhere compare: {prompt}", recipes)
    digest = hashlib.sha256(chunks[SHEET_CHUNK].encode()).hexdigest()[:8]
    data = png(sheet, chunks)
    return save_bytes(data, folder, f"compare-{slug(prompt)}-{digest}", ".png")


def _told(name: str, rows: dict[str, Drawing], stated: Collection[str]) -> tuple[str, ...]:
    """Time against the plain run, passes that nursing added, and whose numbers a method has."""
    drawing, plain = rows[name], rows["plain"]
    time = f"{drawing.seconds:.1f} s"
    if drawing is plain:
        return (time,)
    forwards = sum(trace.truncated_forwards for trace in drawing.traces)
    backwards = sum(trace.backwards for trace in drawing.traces)
    added = f"{forwards} short passes, {backwards} gradients" if forwards else "no passes added"
    whose = ("numbers of this model",) if name in stated else ()
    return f"{drawing.seconds / plain.seconds:.2f} x plain, {time}", added, *whose
