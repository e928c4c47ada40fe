"""The page: its components, and what happens when one is used."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

import adhere
from adhere.app import forms, view
from adhere.app.studio import Cancelled, Studio
from adhere.drawing import commands
from adhere.drawing.loading import Loaded
from adhere.drawing.request import checked_size, guidance_of
from adhere.drawing.schedulers import scheduler_recipe
from adhere.errors import AdhereError, is_out_of_memory
from adhere.figures.trace import COLOURS, PALE
from adhere.methods import parameters_of
from adhere.methods.registry import WEIGHT
from adhere.methods.watch import Watch, watched
from adhere.subjects.correcting import change_role, word_spans
from adhere.subjects.tokenizing import tokenize

MOST_STEPS = 100
LONGEST_PROMPT = 2_000
# Values by component.
Parts = dict[Any, Any]
_THEME = gr.themes.Base(
    primary_hue="orange", neutral_hue="stone", font="system-ui", font_mono="monospace"
)
LOOK: dict[str, Any] = {"theme": _THEME, "css_paths": Path(__file__).with_name("page.css")}
# On a phone the result is below the buttons.
_SHOW_RESULT = """() => { if (innerWidth < 768)
  document.getElementById("result").scrollIntoView({behavior: "smooth"}); }"""
# Tells Gradio where a progress is wanted.
_PROGRESS = gr.Progress()
_BROKEN = "This went wrong here, not by what you asked for. Ask again, or for something smaller."
_HIDE, _SHOW = gr.update(visible=False), gr.update(visible=True)
_QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def make_page(loaded: Loaded) -> gr.Blocks:
    """The page of a model; `launch(**LOOK)` serves it."""
    studio = Studio(loaded)
    pipe, (width, height) = loaded.pipe, checked_size(loaded.pipe, None)
    names = [*studio.methods]
    folds: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}
    with gr.Blocks(title="adhere", analytics_enabled=False, delete_cache=(60, 600)) as page:
        gr.HTML(view.HEADING)
        chosen = gr.State(("", ()))
        with gr.Row():
            with gr.Column(scale=2, min_width=320, elem_id="controls"):
                prompt = gr.Textbox(
                    "a red bowl and a blue clock", label="Prompt", lines=2, max_lines=6
                )
                marked = gr.HighlightedText(
                    label="Click a word: subject, attribute, neither",
                    color_map={c: c for c in (*COLOURS, *PALE, view.GREY)},
                    show_inline_category=False,
                    show_whitespaces=False,
                    elem_id="words",
                )
                said = gr.HTML(elem_id="said")
                with gr.Row():
                    go = gr.Button("Draw", variant="primary", scale=2, min_width=90)
                    cancel = gr.Button("Cancel", variant="stop", min_width=90, interactive=False)
                method = gr.Dropdown(names, value=names[0], label="Method")
                for name, stated in studio.methods.items():
                    title, is_first = f"Parameters of {name}", name == names[0]
                    with gr.Accordion(title, open=False, visible=is_first) as folds[name]:
                        fields[name] = forms.form_of(stated)
                with gr.Row():
                    whole = partial(gr.Number, precision=0, min_width=80)
                    seed = whole(0, label="Seed", minimum=0)
                    steps = whole(50, label="Steps", minimum=1, maximum=MOST_STEPS)
                with gr.Accordion("Size, guidance and negative prompt", open=False):
                    with gr.Row():
                        wide = whole(width, label="Width", minimum=8, maximum=2 * width)
                        high = whole(height, label="Height", minimum=8, maximum=2 * height)
                        scale = gr.Number(
                            guidance_of(pipe)[1],
                            label="Guidance",
                            minimum=0,
                            maximum=50,
                            min_width=80,
                        )
                    negative = gr.Textbox(label="Negative prompt")
                every = gr.Button("Compare all methods")
                file = gr.File(
                    label="Load the recipe of an image", file_types=[".png"], height=150
                )
            with gr.Column(scale=3, min_width=320):
                result = gr.HTML(view.EMPTY, min_height=320, elem_id="result")
                with gr.Column(visible=False) as details:
                    curve = gr.LinePlot(
                        x="Step",
                        y="Attention",
                        color="Image",
                        color_map={"baseline": view.GREY, "nursed": COLOURS[0]},
                        label="Attention of the weakest subject, step by step",
                    )
                    maps = gr.HTML()
                    code = [
                        gr.Code(label=name, lines=1, wrap_lines=True, show_line_numbers=False)
                        for name in ("Python", "Shell")
                    ]

        # What an image's recipe and `adhere.draw` call by the same name.
        alike = dict(prompt=prompt, steps=steps, guidance_scale=scale, negative_prompt=negative)

        def mark(text: str, subjects: Any) -> Parts:
            shown = view.marks(tokenize(pipe, text), subjects)
            return {chosen: (text, subjects), marked: shown, said: view.told(subjects)}

        def subjects_of(text: Any, held: Any) -> Any:
            """Those that a visitor has corrected, or those found where the prompt is new."""
            if len(str(text)) > LONGEST_PROMPT:
                raise ValueError(f"Shorten the prompt to {LONGEST_PROMPT:,} characters.")
            if held[0] == text:
                return held[1]
            with suppress(adhere.SubjectNotFound):
                return adhere.find_subjects(pipe, text)
            return ()

        def read(text: str, held: Any) -> Parts:
            try:
                return mark(text, subjects_of(text, held))
            except ValueError as error:
                return {chosen: ("", ()), marked: [], said: view.note(error, "alert")}

        def click(text: str, held: Any, event: gr.EventData) -> Parts:
            number = getattr(event, "index", None)
            if held[0] != text or not isinstance(number, int):
                return read(text, held)
            found = tokenize(pipe, text)
            span = dict(enumerate(word_spans(found.text))).get(number, (0, 0))
            return mark(text, change_role(found, held[1], span))

        def asked_of(data: Parts) -> dict[str, Any]:
            subjects = subjects_of(data[prompt], data[chosen])
            if not subjects:
                raise ValueError("No subject is marked. Click a word that the image must show.")
            given = {name: data[part] for name, part in alike.items() if data[part] != ""}
            size = data[wide], data[high]
            return {**given, "seeds": data[seed], "subjects": subjects, "size": size}

        def compare(data: Parts, draw: Callable[..., Any]) -> Iterator[Parts]:
            name, asked = data[method], asked_of(data)
            changed = forms.changed(fields[name], data)
            nursing = forms.nursing(studio.methods[name], changed)
            plain = draw("Baseline", [Watch.like(nursing)], **asked)
            yield {result: view.compared(plain), details: _HIDE}
            nursed = draw("Nursed", watched([nursing]), **asked)
            both = {"baseline": plain.trace.curve(), "nursed": nursed.trace.curve()}
            rows = [(name, *point) for name, line in both.items() for point in line]
            table = pd.DataFrame(rows, columns=["Image", "Step", "Attention"])
            means = [f"{n} {sum(v for _, v in line) / len(line):.2f}" for n, line in both.items()]
            lines = commands.lines(loaded, name, changed, asked)
            yield {
                result: view.compared(plain, nursed, name),
                details: _SHOW,
                curve: gr.LinePlot(table, caption="Mean of all steps: " + ", ".join(means)),
                maps: view.attention(nursed),
                **{part: lines[str(part.label)] for part in code},
            }

        def compare_all(data: Parts, draw: Callable[..., Any]) -> Iterator[Parts]:
            cells, asked = {}, asked_of(data)
            for name, nursing in {"baseline": None, **studio.methods}.items():
                try:
                    cells[name] = draw(name, nursing, **asked)
                except AdhereError as error:
                    cells[name] = str(error)
                yield {result: view.grid(cells), details: _HIDE}

        def guarded(work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            """Whatever a visitor asked for, the page shows a result or one line."""

            def run(data: Parts, request: gr.Request, told: Any = _PROGRESS) -> Iterator[Parts]:
                draw = partial(studio.draw, request.session_hash, told)
                try:
                    yield from work(data, draw)
                except Cancelled:
                    yield {result: view.note("Cancelled. Nothing was kept."), details: _HIDE}
                except (AdhereError, ValueError, TypeError) as error:
                    yield {result: view.note(error, "alert"), details: _HIDE}
                except Exception as error:
                    traceback.print_exc()
                    why = "It does not fit into memory." if is_out_of_memory(error) else _BROKEN
                    yield {result: view.note(why, "alert"), details: _HIDE}

            return run

        def load(path: str | None) -> Parts:
            """Fills the page from the recipe in an image, and deletes the image."""
            if path is None:
                return {}
            try:
                recipe = adhere.read_recipe(path)
                found = subjects_of(recipe.prompt, ("", ()))
                marking = mark(recipe.prompt, recipe.subjects or found)
            except (ValueError, OSError) as error:
                text = str(error).replace(path, Path(path).name)
                return {file: None, result: view.note(text, "alert"), details: _HIDE}
            finally:
                with suppress(OSError):
                    Path(path).unlink()
            values: Parts = {file: None, details: _HIDE}
            left = [one.name for one in recipe.methods if one.name != Watch.name]
            for name, part in {**alike, "seed": seed, "width": wide, "height": high}.items():
                value, most = getattr(recipe, name), getattr(part, "maximum", None)
                values[part] = value if most is None else min(value, most)
                if values[part] != value:
                    left.append(f"{name} {value:g}")
            for used in [one for one in recipe.methods if one.name in fields][:1]:
                values |= {method: used.name} | show(used.name)
                own = {WEIGHT: 1.0, **parameters_of(studio.methods[used.name])}
                left.remove(used.name)
                left += [
                    n
                    for n, v in used.parameters.items()
                    if n not in fields[used.name] and v != own.get(n)
                ]
                for name, part in fields[used.name].items():
                    values[part] = forms.shown(used.parameters.get(name, part.value))
            text = f"Loaded the recipe of seed {recipe.seed}. Press Draw to draw it again."
            here = loaded.source.weights, scheduler_recipe(pipe.scheduler)
            if (recipe.model.weights, recipe.scheduler) != here:
                text += " This page has another model or scheduler, so the image will differ."
            if left:
                text += f" It cannot draw with {', '.join(left[:5])}, so the image will differ."
            return values | marking | {result: view.note(text)}

        def show(name: str) -> Parts:
            return {fold: gr.update(visible=one == name) for one, fold in folds.items()}

        def begin(request: gr.Request) -> dict[str, Any]:
            studio.stops[request.session_hash].clear()
            return gr.update(interactive=True)

        def stop(request: gr.Request) -> None:
            studio.stops[request.session_hash].set()

        inputs = [field for form in fields.values() for field in form.values()]
        sampling = [*alike.values(), chosen, method, seed, wide, high]
        reading = [prompt, chosen], [chosen, marked, said]
        page.load(read, *reading, **_QUICK)
        prompt.change(read, *reading, trigger_mode="always_last", **_QUICK)
        marked.select(click, *reading, **_QUICK)
        method.change(show, method, [*folds.values()], **_QUICK)
        filled = [*sampling, *inputs, *folds.values(), file, marked, said, result, details]
        file.upload(load, file, filled, **_QUICK)
        for button, work in ((go, compare), (every, compare_all)):
            begun = button.click(begin, None, cancel, js=_SHOW_RESULT, **_QUICK)
            done = begun.then(
                guarded(work),
                {*sampling, *inputs},
                [result, details, curve, maps, *code],
                concurrency_id="draw",
                concurrency_limit=1,
                show_progress_on=result,
                api_visibility="private",
            )
            done.then(lambda: gr.update(interactive=False), None, cancel, **_QUICK)
        cancel.click(stop, None, None, **_QUICK)
        page.unload(stop)
    return page.queue(max_size=500)
