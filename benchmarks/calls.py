"""Count the package's own function calls on the way to the first nursed step.

    python benchmarks/calls.py

The bundled model draws "a cat and a frog", by a pipeline that is loaded already. Counted are calls
of Python functions whose code lies in the package, lambdas and properties too. A generator counts
once, however often it goes on; expressions inside a function (comprehensions) and what importing a
module runs do not count.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import adhere

_HOME = str(Path(adhere.__file__).parent)
# Python's names for expressions and for bodies of modules.
_PARTS = {"<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<module>"}


@dataclass
class Calls:
    """Own calls by function, before the denoiser first runs and in the first step.

    Attributes:
        before: calls until the pipeline first calls its denoiser.
        step: calls from there until the scheduler has stepped once.
    """

    before: Counter[str] = field(default_factory=Counter)
    step: Counter[str] = field(default_factory=Counter)


def count(method: str | None = "attend-and-excite") -> Calls:
    """The calls of one drawing on the bundled model.

    Args:
        method: the name of what nurses; None for no nursing.
    """
    from adhere.drawing.loading import load

    loaded = load("mini", device="cpu")
    pipe: Any = loaded.pipe
    # What is imported or kept at the first use is not counted.
    adhere.draw("a dog", model=loaded, method=method, steps=1, seeds=0)
    calls = Calls()
    current: list[Counter[str] | None] = [calls.before]
    generators: dict[int, FrameType] = {}
    denoiser, scheduler = type(pipe.unet).forward.__code__, type(pipe.scheduler).step.__code__

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "return" and code is scheduler:
            current[0] = None
        if event != "call" or current[0] is None:
            return
        if code is denoiser:
            current[0] = calls.step
        if not code.co_filename.startswith(_HOME) or code.co_name in _PARTS:
            return
        if code.co_flags & inspect.CO_GENERATOR:
            if id(frame) in generators:
                return
            generators[id(frame)] = frame
        place = Path(code.co_filename).relative_to(_HOME)
        current[0][f"{place}:{code.co_firstlineno} {code.co_name}"] += 1

    sys.setprofile(watch)
    try:
        adhere.draw("a cat and a frog", model=loaded, method=method, steps=4, seeds=0)
    finally:
        sys.setprofile(None)
    return calls


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--method", default="attend-and-excite", help="the name of what nurses")
    parser.add_argument("--functions", action="store_true", help="list the functions too")
    asked = parser.parse_args()
    counted = count(asked.method)
    for title, own in (
        ("before the denoiser first runs", counted.before),
        ("in the first nursed step", counted.step),
    ):
        files = {name.partition(":")[0] for name in own}
        print(f"{own.total()} calls of {len(own)} functions in {len(files)} files {title}")
        for name, times in own.most_common() if asked.functions else ():
            print(f"{times:5}  {name}")
