"""A model that draws for one visitor at a time, and stops when that visitor says so."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import adhere
from adhere.app import commands, view
from adhere.drawing.drawing import DEFAULT_METHOD
from adhere.drawing.loading import Loaded
from adhere.drawing.request import checked_size
from adhere.drawing.stated import method_named
from adhere.errors import AdhereError
from adhere.methods import make
from adhere.methods.registry import parameters_of

Told = Callable[[str, int, int], None]


class Cancelled(Exception):
    """A visitor has stopped a drawing."""


class Studio:
    """What the page does with its model.

    Attributes:
        loaded: the model.
        kinds: the methods that need nothing but a prompt, the usual one first.
        initial: for each method its parameters, as the model states them.
        size: width and height that the model was trained at.
        stops: for each session whether its drawing is to stop.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        names = sorted(adhere.METHODS, key=lambda name: name != DEFAULT_METHOD)
        self.kinds = {n: adhere.METHODS[n] for n in names if not adhere.METHODS[n].needs_boxes}
        model = loaded.source.name
        self.initial = {n: parameters_of(method_named(n, model=model)) for n in self.kinds}
        self.size = checked_size(loaded.pipe, None)
        self.stops: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()

    def compare(
        self,
        session: str,
        name: str,
        changed: Mapping[str, object],
        asked: Mapping[str, Any],
        told: Told,
    ) -> Iterator[str]:
        """The baseline as HTML as soon as it is there, then all about both images."""
        nursing = make(name, {**self.initial[name], **changed})
        plain = self._draw(session, _watched(), asked, told, "Baseline")
        yield view.first(plain)
        nursed = self._draw(session, _watched(nursing), asked, told, "Nursed")
        lines = commands.lines(self.loaded, name, changed, asked)
        yield "".join(
            (
                view.compared(plain, nursed, name),
                view.curve(plain.trace, nursed.trace),
                view.attention(nursed),
                view.code(lines),
            )
        )

    def compare_all(self, session: str, asked: Mapping[str, Any], told: Told) -> Iterator[str]:
        """The baseline and every method as a grid that grows."""
        cells: dict[str, adhere.Drawing | str] = {}
        for name in ("baseline", *self.kinds):
            method = make(name, self.initial[name]) if name in self.kinds else None
            try:
                cells[name] = self._draw(session, method, asked, told, name)
            except AdhereError as error:
                cells[name] = str(error)
            yield view.grid(cells)

    def _draw(
        self, session: str, method: Any, asked: Mapping[str, Any], told: Told, what: str
    ) -> adhere.Drawing:
        stop = self.stops[session]

        def on_step(done: int, count: int) -> None:
            told(what, done, count)
            if stop.is_set():
                raise Cancelled

        with self._lock:
            if stop.is_set():
                raise Cancelled
            return adhere.draw(model=self.loaded, method=method, on_step=on_step, **asked)


def _watched(method: Any = None) -> list[Any]:
    """A method, or none, beside which the attention of every step is recorded."""
    if isinstance(method, adhere.LatentMethod):
        return [method + adhere.Watch()]
    return [adhere.Watch(), *([] if method is None else [method])]
