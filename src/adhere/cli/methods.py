"""`adhere methods`: what there is, and every parameter with its default."""

from __future__ import annotations

import argparse
import inspect
from dataclasses import fields
from textwrap import fill

from adhere.methods import METHODS, LatentMethod
from adhere.parameters import said


def run(arguments: argparse.Namespace) -> None:
    """Prints each method: name, what it does, what it moves, parameters with defaults."""
    blocks = []
    for name, kind in METHODS.items():
        summary = (inspect.getdoc(kind) or "").splitlines()[0]
        moves = "moves latents" if issubclass(kind, LatentMethod) else "edits attention"
        lines = [f"{name}  ({kind.paper or 'no paper'}; {moves})", f"  {summary}"]
        options = " ".join(
            # A no-break space, taken out below, keeps an option and its value on one line.
            f"--{f.name.replace('_', '-')}\N{NO-BREAK SPACE}{said(f.default)}"
            for f in fields(kind)  # type: ignore[arg-type]
        )
        lines.append(
            fill(
                options,
                95,
                initial_indent="    ",
                subsequent_indent="    ",
                break_on_hyphens=False,
                break_long_words=False,
            ).replace("\N{NO-BREAK SPACE}", " ")
        )
        blocks.append("\n".join(lines))
    print("\n\n".join(blocks))
