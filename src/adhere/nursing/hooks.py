"""Covers for a pipeline's calls, taken off when a block ends, and process-wide switches."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn


class Observer(Protocol):
    """What is told of the denoiser's calls."""

    def is_mine(self, args: tuple, kwargs: dict) -> bool:
        """Whether a call in this thread is the nursed pipeline's."""
        ...

    def before_denoiser(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """The arguments to call the denoiser with."""
        ...

    def after_denoiser(self, is_done: bool) -> None:
        """Called also where the call was broken off."""
        ...


@contextmanager
def around_calls(module: nn.Module, observer: Observer) -> Iterator[Callable[[], bool]]:
    """Inside the block, the nursed pipeline's calls of a module go through an observer.

    Gives what tells whether they still do: a module compiled in place inside the block has
    another call.

    A module's call runs `_compiled_call_impl` where it has one, which is how PyTorch itself
    compiles a module in place; without, `_call_impl`. Both names are PyTorch's own, not part of
    what it promises, and a test fails by their names if they go. Forward hooks, which are
    promised, would not do: a module compiled in place would compile them too, and those after
    the call do not run after an interrupt, whose open taps would then see the text encoder.
    """
    compiled = vars(module).get("_compiled_call_impl")
    own = module._call_impl if compiled is None else compiled

    def call(*args: Any, **kwargs: Any) -> Any:
        if not observer.is_mine(args, kwargs):
            return own(*args, **kwargs)
        is_done = False
        try:
            args, kwargs = observer.before_denoiser(args, kwargs)
            result = own(*args, **kwargs)
            is_done = True
            return result
        finally:
            observer.after_denoiser(is_done)

    # Set past `__setattr__`, by which a wrapper that torch.compile made would hand it on to the
    # module inside, to be compiled there.
    own_attributes = vars(module)
    own_attributes["_compiled_call_impl"] = call

    def is_in_place() -> bool:
        return own_attributes.get("_compiled_call_impl") is call

    try:
        yield is_in_place
    finally:
        if is_in_place():
            del own_attributes["_compiled_call_impl"]
            if compiled is not None:
                own_attributes["_compiled_call_impl"] = compiled


class _Shadow(functools.partial):
    """A function in the place of an object's method; a copy of the object has its own method."""

    __wrapped__: Callable

    def __reduce__(self) -> tuple[Callable, tuple[Callable]]:
        return _itself, (self.__wrapped__,)


def _itself(own: Callable) -> Callable:
    return own


@contextmanager
def shadowed(owner: Any, name: str, around: Callable[[Callable], Callable]) -> Iterator[None]:
    """Inside the block, a method of one object is another function; the class is not touched.

    Args:
        owner: the object.
        name: of its method; where it has none, nothing happens.
        around: from the method to the function in its place.
    """
    own = getattr(owner, name, None)
    if own is None:
        yield
        return
    former = vars(owner).get(name)
    vars(owner)[name] = functools.update_wrapper(_Shadow(around(own)), own)
    try:
        yield
    finally:
        if former is None:
            vars(owner).pop(name, None)
        else:
            vars(owner)[name] = former


_EAGER_LOCK = threading.Lock()
_eager_users = 0
_former_stance: Any = None


@contextmanager
def eager() -> Iterator[None]:
    """Compiled parts run as plain PyTorch: taps are Python, and a pass cut short must not compile.

    The compiler's stance is one for the whole process, so that blocks of several threads are
    counted: the last one to end puts it back. Importing the compiler takes seconds, so where
    nothing else has done it there is nothing to do.
    """
    global _eager_users, _former_stance
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with _EAGER_LOCK:
        if not _eager_users:
            _former_stance = torch.compiler.set_stance("force_eager")
        _eager_users += 1
    try:
        yield
    finally:
        with _EAGER_LOCK:
            _eager_users -= 1
            if not _eager_users:
                _former_stance.__exit__(None, None, None)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside the block, so that no graph is kept for weights."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
