"""`adhere compare`: the baseline and every method on the same seeds, on one sheet."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from adhere.cli.choosing import Source, check_once, chosen_model, options_of
from adhere.drawing.request import Sampling
from adhere.errors import AdhereError
from adhere.subjects.text import check_prompt

if TYPE_CHECKING:
    from adhere.drawing import Drawing
    from adhere.methods import Method

_SLOW = {"saga": "more than twenty times the baseline's time"}


def compare(
    prompt: str,
    *,
    methods: tuple[str, ...] = (),
    sampling: Sampling,
    source: Source,
    out: str = "sheets",
) -> None:
    """Draw the baseline and every method on the same seeds: one sheet, one row each.

    Without `--methods`, a method that refuses the model or the prompt, or takes very long, is left
    out with its reason.

      adhere compare "a cat and a frog" --seeds 0-3
      adhere compare "a red car and a blue bench" --methods divide-and-bind,attend-and-excite

    Args:
        prompt: what to draw, in English.
        methods: which, separated by commas; all without it.
        sampling: how images are sampled.
        source: what draws, and on what machine.
        out: the folder that the sheet goes to.
    """
    from adhere.cli.progress import bar, say
    from adhere.drawing import draw
    from adhere.drawing.png import check_writable
    from adhere.drawing.stated import method_named, stated_numbers
    from adhere.methods import METHODS
    from adhere.nursing.checks import check_boxes, check_needs, with_boxes
    from adhere.subjects import find_subjects

    check_writable(out)
    check_prompt(prompt)
    chosen = [name.strip() for text in methods or () for name in text.split(",")]
    names = chosen or list(METHODS)
    check_once(names)
    rows_of: dict[str, Method | None] = {"baseline": None}
    rows_of |= {n: method_named(n, model=source.model) for n in names if n != "none"}
    check_boxes([m for m in rows_of.values() if m], sampling.boxes)
    stated = stated_numbers(source.model)
    model = chosen_model(source, sampling.scheduler)
    options = options_of(sampling)
    if any(rows_of.values()):
        found = find_subjects(model.pipe, prompt, sampling.subjects)
        placed = with_boxes(found, sampling.boxes or {}, prompt)
        check_needs([m for m in rows_of.values() if m and chosen], placed, prompt)
    # The first run in a process also pays for choosing kernels, which is no method's cost.
    warm_up = {**options, "steps": 2, "seeds": (0,), "boxes": None}
    draw(prompt, model=model, method=None, **warm_up)
    rows: dict[str, Drawing] = {}
    try:
        for name, method in rows_of.items():
            if name in _SLOW and not chosen:
                say(f"{name:22} left out: it takes {_SLOW[name]}; --methods {name} draws it")
                continue
            try:
                with bar(name) as on_step:
                    reads = method is not None and method.needs_boxes
                    own = options if reads else {**options, "boxes": None}
                    drawn = draw(prompt, model=model, method=method, on_step=on_step, **own)
            except (AdhereError, ValueError) as refusal:
                if chosen or method is None:
                    raise
                say(f"{name:22} left out: {refusal}")
                continue
            rows[name] = drawn
            say(f"{name:22} {', '.join(_told(name, rows, stated))}")
    except KeyboardInterrupt:
        if not rows:
            raise
        kept = _save(prompt, rows, stated, out)
        raise KeyboardInterrupt(f"interrupted; the rows finished so far are on {kept}") from None
    say(str(_save(prompt, rows, stated, out)))


def _save(prompt: str, rows: dict[str, Drawing], stated: Collection[str], folder: str) -> Path:
    """Writes the sheet of the rows that are there."""
    from adhere.drawing.png import SHEET_CHUNK, png, save_bytes, sheet_chunks, slug
    from adhere.figures import Label, make_sheet

    labels: list[Label] = [(name, *_told(name, rows, stated)) for name in rows]
    recipe = rows["baseline"].recipes[0]
    model_name = Path(recipe.model.name).name
    sheet = make_sheet(
        [drawing.images for drawing in rows.values()],
        rows=labels,
        columns=[f"seed {one.seed}" for one in rows["baseline"].recipes],
        title=prompt,
        note=f"{model_name}, {recipe.steps} steps, guidance {recipe.guidance_scale:g}",
    )
    recipes = [one for drawing in rows.values() for one in drawing.recipes]
    chunks = sheet_chunks(f"adhere compare: {prompt}", recipes)
    digest = hashlib.sha256(chunks[SHEET_CHUNK].encode()).hexdigest()[:8]
    data = png(sheet, chunks)
    return save_bytes(data, folder, f"compare-{slug(prompt)}-{digest}", ".png")


def _told(name: str, rows: dict[str, Drawing], stated: Collection[str]) -> tuple[str, ...]:
    """Time against the baseline, passes that nursing added, and whose numbers a method has."""
    drawing, baseline = rows[name], rows["baseline"]
    time = f"{drawing.seconds:.1f} s"
    if drawing is baseline:
        return (time,)
    forwards = sum(trace.truncated_forwards for trace in drawing.traces)
    backwards = sum(trace.backwards for trace in drawing.traces)
    added = f"{forwards} short passes, {backwards} gradients" if forwards else "no passes added"
    whose = ("numbers of this model",) if name in stated else ()
    return f"{drawing.seconds / baseline.seconds:.2f} x baseline, {time}", added, *whose
