"""Random choices that are the same for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar, final

T = TypeVar("T")


@final
class Draws:
    """Choices that depend on a seed alone.

    The generators of Python and NumPy may change what they draw from one version to the next;
    SHA-256 of the seed and a counter does not.
    """

    def __init__(self, seed: str) -> None:
        self._seed, self._drawn = seed, 0

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1, all equally likely."""
        digest = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        self._drawn += 1
        return int.from_bytes(digest, "big") % count

    def one_of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def some_of(self, options: Sequence[T], count: int) -> tuple[T, ...]:
        """As many different places of the options, in random order."""
        left = list(options)
        return tuple(left.pop(self.below(len(left))) for _ in range(count))

    def shuffled(self, options: Sequence[T]) -> tuple[T, ...]:
        """All of the options in random order."""
        return self.some_of(options, len(options))

    def evenly(self, options: Sequence[T], count: int) -> tuple[T, ...]:
        """As many in random order, each option as often as any other, or once more."""
        rounds = -(-count // len(options))
        return tuple(one for _ in range(rounds) for one in self.shuffled(options))[:count]
