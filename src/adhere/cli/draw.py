"""`adhere draw`: images with their recipe inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adhere.cli.choosing import Chosen, Source, chosen_both, options_of
from adhere.drawing.request import Sampling
from adhere.subjects.text import check_prompt

if TYPE_CHECKING:
    from adhere.drawing import Drawing
    from adhere.nursing.trace import Trace


def draw(
    prompt: str, *, chosen: Chosen, sampling: Sampling, source: Source, out: str = "images"
) -> None:
    """Draw a prompt and nurse the model while it samples, so that no subject is left out.

      adhere draw "a cat and a frog" --seeds 0-3
      adhere draw "a red car and a blue bench" --method divide-and-bind
      adhere draw "a cat and a frog" --method attend-and-excite --set step_size=10 --set stop=0.6
      adhere draw "a cat and a frog" --method regions --boxes "cat=0,0,.5,1; frog=.5,0,1,1"

    Every PNG carries its whole recipe; `adhere redraw` draws it again.

    Args:
        prompt: what to draw, in English.
        chosen: what nurses.
        sampling: how images are sampled.
        source: what draws, and on what machine.
        out: the folder that images go to.
    """
    from adhere.cli.progress import bar, say
    from adhere.drawing import draw as draw_images
    from adhere.drawing.png import check_writable

    check_writable(out)
    check_prompt(prompt)
    methods, model = chosen_both(chosen, source, sampling.scheduler)

    def keep(drawing: Drawing) -> None:
        for number, path in enumerate(drawing.save(out)):
            say(f"{path}  {_told(drawing, number)}")

    with bar(" and ".join(m.name for m in methods) or "baseline") as on_step:
        draw_images(
            prompt,
            model=model,
            method=methods or None,
            on_step=on_step,
            on_batch=keep,
            **options_of(sampling),
        )


def _told(drawing: Drawing, number: int) -> str:
    """What nursing did to one image of a batch, in a line."""
    seconds = f"{drawing.seconds / len(drawing.images):.1f} s"
    if not drawing.traces:
        return f"baseline, {seconds}"
    trace = drawing.trace
    name = " and ".join(method.name for method in trace.methods)
    return f"{name}: {_effect(trace, number)}, {seconds}"


def _effect(trace: Trace, sample: int) -> str:
    """The weakest subject's attention at the first and the last step that was nursed."""
    peaks = [record.peaks[sample] for record in trace.steps if record.peaks[sample]]
    if not peaks and not trace.edited_layers:
        return _idle(trace, sample)
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


def _idle(trace: Trace, sample: int) -> str:
    """Why nothing was done."""
    from adhere.methods.base import AttentionMethod, LatentMethod

    movers = [method for method in trace.methods if isinstance(method, LatentMethod)]
    if movers and not movers[0].schedule.step_size:
        return "nothing was nursed, as the step size is 0"
    if not trace.runs[-1].is_due:
        return "nothing was nursed, as no step lies between start and stop"
    own = trace.subjects[sample]
    if any(mover.needs_attributes for mover in movers):
        return "nothing was nursed, as no subject has attributes"
    editors = [method for method in trace.methods if isinstance(method, AttentionMethod)]
    if len(own) == 1 and any(editor.edits([[*own, *own]]) for editor in editors):
        return f"nothing to keep apart, as {own[0].text} is alone"
    return "nothing was nursed, as its parameters change nothing"
