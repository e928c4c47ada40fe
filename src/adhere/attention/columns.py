"""What the text columns of attention stand for.

Shapes: B samples, T text columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Columns:
    """The text columns of some samples.

    Attributes:
        words: (B, T), bool: the tokens of the prompt itself.
        specials: (B, T), bool: the tokens that open and close the text.
        competing: (B, T), bool: the columns that a softmax over tokens takes in.
    """

    words: Tensor
    specials: Tensor
    competing: Tensor

    def __len__(self) -> int:
        """How many columns there are, T."""
        return self.words.shape[1]

    def take(self, samples: Sequence[int]) -> Columns:
        """Those of some samples."""
        chosen = list(samples)
        return Columns(self.words[chosen], self.specials[chosen], self.competing[chosen])

    def to(self, device: torch.device) -> Columns:
        """The same on a device."""
        return Columns(self.words.to(device), self.specials.to(device), self.competing.to(device))
