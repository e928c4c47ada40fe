"""One call of the denoiser by its pipeline, its arguments by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class DenoiserCall:
    """The arguments of a call.

    Attributes:
        args: those given by position.
        keywords: those given by name.
        names: the names of the denoiser's parameters, in order.
    """

    args: tuple
    keywords: Mapping[str, Any]
    names: tuple[str, ...]

    @classmethod
    def of(cls, denoiser: Any, args: tuple, keywords: Mapping[str, Any]) -> DenoiserCall:
        """A call of this denoiser."""
        return cls(args, keywords, _parameters(type(denoiser)))

    def __getitem__(self, name: str) -> Any:
        """An argument by name; KeyError where it was not given."""
        position = self.names.index(name)
        return self.args[position] if position < len(self.args) else self.keywords[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument by name, or a default where it was not given."""
        try:
            return self[name]
        except (KeyError, ValueError):
            return default

    def replace(self, name: str, value: Any) -> DenoiserCall:
        """The same call with another value for one argument, given as it was given."""
        position = self.names.index(name)
        if position < len(self.args):
            args = (*self.args[:position], value, *self.args[position + 1 :])
            return DenoiserCall(args, self.keywords, self.names)
        return DenoiserCall(self.args, {**self.keywords, name: value}, self.names)

    def take(
        self,
        rows: Sequence[int],
        count: int,
        whole: Collection[str] = (),
        listed: Collection[str] = (),
    ) -> DenoiserCall:
        """The call for some rows only.

        Args:
            rows: which of them.
            count: how many rows the call has.
            whole: names of arguments that do not have one entry a row.
            listed: names of arguments that are lists with one entry a row.
        """
        chosen = list(rows)

        def part(name: str, value: Any) -> Any:
            if name in listed and isinstance(value, list | tuple):
                return [value[row] for row in chosen]
            return value if name in whole else _take(value, count, chosen)

        args = tuple(part(self.names[i], value) for i, value in enumerate(self.args))
        named = {name: part(name, value) for name, value in self.keywords.items()}
        return DenoiserCall(args, named, self.names)

    def for_autograd(self) -> DenoiserCall:
        """The call with copies of tensors that were made under inference mode."""
        args = tuple(_usable(value) for value in self.args)
        named = {name: _usable(value) for name, value in self.keywords.items()}
        return DenoiserCall(args, named, self.names)


@cache
def _parameters(kind: type) -> tuple[str, ...]:
    return tuple(inspect.signature(kind.forward).parameters)[1:]  # type: ignore[attr-defined]


def _take(value: Any, count: int, rows: list[int]) -> Any:
    """Rows of all tensors in a structure that have one entry a row."""
    if isinstance(value, Tensor):
        return value[rows] if value.ndim > 0 and len(value) == count else value
    return _through(value, lambda part: _take(part, count, rows))


def _usable(value: Any) -> Any:
    """Tensors in a structure, cloned where autograd could not save them."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    return _through(value, _usable)


def _through(value: Any, change: Callable[[Any], Any]) -> Any:
    """A structure with a change applied to its parts."""
    if isinstance(value, Mapping):
        return {key: change(part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(change(part) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(change(part) for part in value)
    return value


def same(a: Any, b: Any) -> bool:
    """Whether two embeddings, tensors or lists of them, are equal."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool(torch.equal(a, b.to(a)))
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
