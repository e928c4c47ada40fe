"""`adhere methods`: what there is, and every parameter with its default."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from textwrap import fill

from adhere.typed import text_of


def methods() -> None:
    """List each method with its parameters: what it moves, its defaults, the bundled model's."""
    from adhere.drawing.loading import MINI
    from adhere.drawing.stated import stated_numbers
    from adhere.methods import METHODS, LatentMethod

    blocks = []
    stated = stated_numbers(MINI)
    for name, kind in METHODS.items():
        summary = (inspect.getdoc(kind) or "").splitlines()[0]
        moves = "moves latents" if issubclass(kind, LatentMethod) else "edits attention"
        lines = [f"{name}  ({kind.paper or 'no paper'}; {moves})", f"  {summary}"]
        lines.append(_options({f.name: f.default for f in fields(kind)}))  # type: ignore[arg-type]
        if name in stated:
            lines += ["  On the bundled model, where not said otherwise:", _options(stated[name])]
        blocks.append("\n".join(lines))
    print("\n\n".join(blocks))


def _options(values: Mapping[str, object]) -> str:
    """Parameters with their values, in lines."""
    words = [f"{k}={text_of(v)}" for k, v in values.items()]
    return fill(
        " ".join(words),
        95,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
