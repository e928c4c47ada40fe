"""One file for each paper's method, and the names that commands know them by.

A method is found by its file alone: every class in this folder that has a name, a constructor
`official` and a default for every parameter is registered.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from adhere.methods.base import AttentionMethod, LatentMethod, Method, ScheduledMethod
from adhere.methods.reading import Reading
from adhere.methods.schedule import Schedule, Step


def _found() -> Iterator[type[Method]]:
    for module in iter_modules(__path__):
        for kind in vars(import_module(f"{__name__}.{module.name}")).values():
            is_own = isinstance(kind, type) and kind.__module__ == f"{__name__}.{module.name}"
            if is_own and issubclass(kind, Method) and hasattr(kind, "official"):
                yield kind


METHODS: Mapping[str, type[Method]] = MappingProxyType({kind.name: kind for kind in _found()})

globals().update({kind.__name__: kind for kind in METHODS.values()})

__all__ = [
    "METHODS",
    "AttentionMethod",
    "LatentMethod",
    "Method",
    "Reading",
    "Schedule",
    "ScheduledMethod",
    "Step",
]
