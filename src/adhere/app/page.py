"""The page: its components, and what happens when one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

import adhere
from adhere.app import forms, view, words
from adhere.app.studio import Cancelled, Studio
from adhere.drawing.loading import Loaded
from adhere.errors import AdhereError

MOST_STEPS = 100
EXAMPLE = "a red cat and a blue frog"
_FOLDER = Path(__file__).parent
LOOK: dict[str, Any] = {
    "theme": gr.themes.Base(
        primary_hue="orange",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "css": (_FOLDER / "page.css").read_text(encoding="utf-8"),
}
# On a phone the result is below the buttons.
_SHOW_RESULT = """() => { if (innerWidth < 768)
  document.getElementById("result").scrollIntoView({behavior: "smooth"}); }"""


def make_page(loaded: Loaded) -> gr.Blocks:
    """The page of a model; `launch(**LOOK)` serves it."""
    studio = Studio(loaded)
    pipe, (width, height) = loaded.pipe, studio.size
    first = next(iter(studio.kinds))
    folds: dict[str, Any] = {}
    fields: dict[str, list[Any]] = {}
    with gr.Blocks(title="adhere", analytics_enabled=False, delete_cache=(60, 600)) as page:
        gr.HTML(view.HEADING)
        chosen = gr.State(("", ()))
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                prompt = gr.Textbox(EXAMPLE, label="Prompt", lines=2, max_lines=6)
                marked = gr.HTML(js_on_load=(_FOLDER / "words.js").read_text(encoding="utf-8"))
                with gr.Row():
                    go = gr.Button("Draw", variant="primary", scale=2, min_width=90)
                    cancel = gr.Button("Cancel", variant="stop", min_width=90, interactive=False)
                method = gr.Dropdown(list(studio.kinds), value=first, label="Method")
                for name, kind in studio.kinds.items():
                    title, is_first = f"Parameters of {name}", name == first
                    with gr.Accordion(title, open=False, visible=is_first) as folds[name]:
                        fields[name] = forms.form_of(kind, studio.initial[name])
                with gr.Row():
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=80)
                    steps = gr.Slider(1, MOST_STEPS, 50, step=1, label="Steps", min_width=200)
                with gr.Accordion("Size, guidance and negative prompt", open=False):
                    with gr.Row():
                        sides: dict[str, Any] = {"precision": 0, "minimum": 8, "min_width": 80}
                        wide = gr.Number(width, label="Width", maximum=2 * width, **sides)
                        high = gr.Number(height, label="Height", maximum=2 * height, **sides)
                        scale = gr.Number(
                            None, label="Guidance", minimum=0, maximum=50, min_width=80
                        )
                    negative = gr.Textbox(label="Negative prompt")
                every = gr.Button("Compare all methods")
                file = gr.File(
                    label="Drop an image to load its recipe", file_types=[".png"], height=150
                )
            with gr.Column(scale=3, min_width=320):
                result = gr.HTML(view.EMPTY, min_height=320, elem_id="result")

        def mark(text: str, subjects: words.Subjects) -> dict[Any, Any]:
            shown = words.words_html(pipe, text, subjects)
            return {
                chosen: (text, subjects),
                marked: shown + (view.HINT if subjects else view.UNMARKED),
            }

        def subjects_of(text: Any, held: Any) -> words.Subjects:
            """Those that a visitor has corrected, or those found where the prompt is new."""
            words.check_prompt(text)
            if held[0] == text:
                return held[1]
            try:
                return adhere.find_subjects(pipe, text)
            except adhere.SubjectNotFound:
                return ()

        def read(text: str, held: Any) -> dict[Any, Any]:
            try:
                return mark(text, subjects_of(text, held))
            except ValueError as error:
                return {chosen: ("", ()), marked: view.alert(error)}

        def click(text: str, held: Any, event: gr.EventData) -> dict[Any, Any]:
            word = getattr(event, "word", None)
            if held[0] != text or not isinstance(word, int):
                return read(text, held)
            return mark(text, words.clicked(pipe, text, held[1], word))

        def asked_of(data: dict[Any, Any]) -> dict[str, Any]:
            subjects = subjects_of(data[prompt], data[chosen])
            if not subjects:
                raise ValueError("No subject is marked. Click a word that the image must show.")
            return {
                "prompt": data[prompt],
                "subjects": subjects,
                "seeds": data[seed],
                "steps": data[steps],
                "size": (data[wide], data[high]),
                "guidance_scale": data[scale],
                "negative_prompt": data[negative] or None,
            }

        def one(data: dict[Any, Any], session: str, told: Any) -> Iterator[str]:
            name = data[method]
            given = [data[field] for field in fields[name]]
            changed = forms.changed(studio.kinds[name], studio.initial[name], given)
            yield from studio.compare(session, name, changed, asked_of(data), told)

        def all_methods(data: dict[Any, Any], session: str, told: Any) -> Iterator[str]:
            yield from studio.compare_all(session, asked_of(data), told)

        def guarded(work: Callable[..., Iterator[str]]) -> Callable[..., Iterator[Any]]:
            """Whatever a visitor asked for, the page shows a result or one line."""

            def run(
                data: dict[Any, Any],
                request: gr.Request,
                progress: gr.Progress = gr.Progress(),  # noqa: B008
            ) -> Iterator[Any]:
                session = str(request.session_hash)

                def told(what: str, done: int, count: int) -> None:
                    progress((done, count), desc=what, unit="steps")

                try:
                    for html in work(data, session, told):
                        yield {result: html}
                except Cancelled:
                    yield {result: view.CANCELLED}
                except (AdhereError, ValueError, TypeError) as error:
                    yield {result: view.alert(error)}

            return run

        def load(path: str | None) -> dict[Any, Any]:
            """Fills the page from the recipe in an image, and deletes the image."""
            if path is None:
                return {}
            try:
                recipe = adhere.read_recipe(path)
                words.check_prompt(recipe.prompt)
            except (ValueError, OSError) as error:
                said = str(error).replace(path, Path(path).name)
                return {file: None, result: view.alert(said)}
            finally:
                with suppress(OSError):
                    Path(path).unlink()
            values = {
                file: None,
                prompt: recipe.prompt,
                seed: recipe.seed,
                steps: min(recipe.steps, MOST_STEPS),
                wide: min(recipe.width, 2 * width),
                high: min(recipe.height, 2 * height),
                scale: min(recipe.guidance_scale, 50),
                negative: recipe.negative_prompt,
            }
            named = [one for one in recipe.methods if one.name in studio.kinds]
            for one in named[:1]:
                values |= {method: one.name} | show(one.name)
                values |= forms.filled(studio.kinds[one.name], fields[one.name], one.parameters)
            known = recipe.subjects or adhere.find_subjects(pipe, recipe.prompt)
            return values | mark(recipe.prompt, known) | {result: view.loaded(recipe, loaded)}

        def show(name: str) -> dict[Any, Any]:
            return {fold: gr.update(visible=one == name) for one, fold in folds.items()}

        def begin(request: gr.Request) -> dict[str, Any]:
            studio.stops[str(request.session_hash)].clear()
            return gr.update(interactive=True)

        def stop(request: gr.Request) -> None:
            studio.stops[str(request.session_hash)].set()

        inputs = [field for form in fields.values() for field in form]
        sampling = [prompt, chosen, method, seed, steps, wide, high, scale, negative]
        quick: dict[str, Any] = {
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        page.load(read, [prompt, chosen], [chosen, marked], **quick)
        prompt.change(
            read, [prompt, chosen], [chosen, marked], trigger_mode="always_last", **quick
        )
        marked.click(click, [prompt, chosen], [chosen, marked], **quick)
        method.change(show, method, list(folds.values()), **quick)
        file.upload(
            load, file, [*sampling, *inputs, *folds.values(), file, marked, result], **quick
        )
        for button, work in ((go, one), (every, all_methods)):
            begun = button.click(begin, None, cancel, js=_SHOW_RESULT, **quick)
            done = begun.then(
                guarded(work),
                {*sampling, *inputs},
                result,
                concurrency_id="draw",
                concurrency_limit=1,
                api_visibility="private",
            )
            done.then(lambda: gr.update(interactive=False), None, cancel, **quick)
        cancel.click(stop, None, None, **quick)
        page.unload(stop)
    return page.queue(max_size=500)
