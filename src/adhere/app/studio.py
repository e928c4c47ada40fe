"""A model that draws for one visitor at a time, and stops when that visitor says so."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any

import adhere
from adhere import Drawing
from adhere.drawing.drawing import DEFAULT_METHOD
from adhere.drawing.loading import Loaded
from adhere.drawing.stated import method_named
from adhere.families import family_of

LONGEST = 1800
"""Seconds that a drawing may take while other visitors wait."""


class Cancelled(Exception):
    """A visitor has stopped a drawing."""


class Studio:
    """What the page does with its model.

    Attributes:
        loaded: the model.
        methods: those that need nothing but a prompt, as the model states them, the usual one
            first.
        stops: for each session whether its drawing is to stop.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        names = sorted(adhere.METHODS, key=lambda name: name != DEFAULT_METHOD)
        fit = [name for name in names if not adhere.METHODS[name].needs_boxes]
        self.methods = {name: method_named(name, model=loaded.source.name) for name in fit}
        self.stops: defaultdict[object, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()

    def draw(self, session: object, told: Any, what: str, method: Any, **asked: Any) -> Drawing:  # noqa: ANN401
        """`adhere.draw` for a session; `told` is a `gr.Progress`, and hears what is drawn.

        Raises:
            Cancelled: the session's visitor has said so.
            ValueError: it takes too long.
        """

        def check(*_: object) -> None:
            if stop.is_set():
                raise Cancelled
            if time.monotonic() > begun + LONGEST:
                raise ValueError(f"This takes more than {LONGEST // 60} minutes; ask for less.")

        def on_step(done: int, count: int) -> None:
            told((done, count), desc=what, unit="steps")
            check()

        stop = self.stops[session]
        with self._lock:
            begun = time.monotonic()
            on_step(0, asked["steps"])
            # A step may have many passes, of which a layer hears.
            layer = family_of(self.loaded.pipe).layers()[0].module
            hook = layer.register_forward_pre_hook(check)
            try:
                return adhere.draw(model=self.loaded, method=method, on_step=on_step, **asked)
            finally:
                hook.remove()
