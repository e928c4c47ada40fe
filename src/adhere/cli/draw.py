"""`adhere draw`: pictures with their recipe inside."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from adhere.cli.choosing import chosen_methods, chosen_model, hush, sampling
from adhere.cli.progress import bar, say
from adhere.drawing import Drawing, draw, redraw
from adhere.drawing.png import check_writable, read_pixels, read_recipe
from adhere.nursing.trace import Trace
from adhere.subjects.text import check_prompt

FOLDER = "pictures"


def run(arguments: argparse.Namespace) -> None:
    """Draws, and says of each picture where it is and what nursing did."""
    folder = arguments.out or FOLDER
    check_writable(folder)
    if arguments.again is not None:
        _again(arguments, folder)
        return
    check_prompt(arguments.prompt)
    methods = chosen_methods(arguments)
    model = chosen_model(arguments)

    def keep(drawing: Drawing) -> None:
        for number, path in enumerate(drawing.save(folder)):
            say(f"{path}  {_told(drawing, number)}")

    with bar(" and ".join(m.name for m in methods) or "plain") as on_step:
        draw(
            arguments.prompt,
            model=model,
            method=methods or None,
            on_step=on_step,
            on_batch=keep,
            **sampling(arguments),
        )


def _again(arguments: argparse.Namespace, folder: str) -> None:
    recipe = read_recipe(arguments.again)
    before = read_pixels(arguments.again)
    hush(arguments.debug)
    with bar("again") as on_step:
        drawing = redraw(recipe, model=arguments.model, device=arguments.device, on_step=on_step)
    now = np.asarray(drawing.images[0])
    [path] = drawing.save(folder)
    say(f"{path}  {_compared(before, now, arguments.again)}")


def _compared(before: np.ndarray, now: np.ndarray, name: str) -> str:
    if before.shape != now.shape:
        return f"has another size than {name}, which was changed after it was drawn"
    apart = np.abs(before.astype(int) - now.astype(int))
    if not apart.any():
        return f"identical to {Path(name).name}"
    return (
        f"differs from {Path(name).name} in {(apart.max(-1) > 0).mean():.1%} of its pixels, "
        f"by at most {apart.max()} of 255"
    )


def _told(drawing: Drawing, number: int) -> str:
    """What nursing did to one picture of a batch, in a line."""
    seconds = f"{drawing.seconds / len(drawing.images):.1f} s"
    if not drawing.traces:
        return f"plain, {seconds}"
    trace = drawing.trace
    name = " and ".join(method.name for method in trace.methods)
    return f"{name}: {_effect(trace, number)}, {seconds}"


def _effect(trace: Trace, sample: int) -> str:
    """The weakest subject's attention at the first and the last step that was nursed."""
    peaks = [record.peaks[sample] for record in trace.steps if record.peaks[sample]]
    if not peaks and not trace.edited_layers and trace.subjects:
        return f"nothing to keep apart, as {trace.subjects[sample][0].text} is alone"
    if not peaks and not trace.edited_layers:
        return "nothing was nursed, as no step lies between start and stop"
    if not peaks:
        nursed = ", ".join(subject.text for subject in trace.subjects[sample])
        return f"edited the attention of {nursed}"
    first = min(range(len(peaks[0])), key=peaks[0].__getitem__)
    last = min(range(len(peaks[-1])), key=peaks[-1].__getitem__)
    subjects = trace.subjects[sample]
    refined = int(trace.refinements[:, sample].sum())
    return (
        f"weakest attention {peaks[0][first]:.2f} ({subjects[first].text}) to "
        f"{peaks[-1][last]:.2f} ({subjects[last].text})"
        + (f", {refined} refinements" if refined else "")
    )
