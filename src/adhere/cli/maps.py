"""`adhere maps`: where the attention of each subject is, over the image and over time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from adhere.cli.choosing import Chosen, Source, chosen_both, options_of
from adhere.drawing.request import Sampling
from adhere.subjects.text import check_prompt

if TYPE_CHECKING:
    from adhere.drawing import Drawing


def maps(
    prompt: str, *, chosen: Chosen, sampling: Sampling, source: Source, out: str = "sheets"
) -> None:
    """Show where the attention of each subject is: over the image, and step by step.

      adhere maps "a cat and a frog"
      adhere maps "a cat and a frog" --baseline

    Args:
        prompt: what to draw, in English.
        chosen: what nurses.
        sampling: how images are sampled.
        source: what draws, and on what machine.
        out: the folder that sheets go to.
    """
    from adhere.cli.progress import bar, say
    from adhere.drawing import draw
    from adhere.drawing.png import check_writable
    from adhere.methods.watch import watched

    check_writable(out)
    check_prompt(prompt)
    methods, model = chosen_both(chosen, source, sampling.scheduler)
    name = " and ".join(method.name for method in methods) or "baseline"

    def keep(drawing: Drawing) -> None:
        for number in range(len(drawing.images)):
            say(str(_save(drawing, number, name, out)))

    with bar(name) as on_step:
        draw(
            prompt,
            model=model,
            method=watched(methods),
            on_step=on_step,
            on_batch=keep,
            **options_of(sampling),
        )


def _save(drawing: Drawing, number: int, name: str, folder: str) -> object:
    from adhere.drawing.png import png, save_bytes, sheet_chunks, slug
    from adhere.figures import trace_sheet

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
