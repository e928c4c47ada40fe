"""One call of the denoiser by its pipeline, whatever its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Rows = slice | Tensor


@dataclass(frozen=True)
class DenoiserCall:
    """The arguments of a call.

    Attributes:
        args: those given by position.
        keywords: those given by name.
    """

    args: tuple
    keywords: Mapping[str, Any]

    @property
    def sample(self) -> Tensor:
        """(rows, channels, h, w), what the denoiser is to work on."""
        return self.args[0] if self.args else self.keywords["sample"]

    @property
    def timestep(self) -> Tensor:
        """The scheduler's, as a tensor of one number or of one a row."""
        given = self.args[1] if len(self.args) > 1 else self.keywords["timestep"]
        return torch.as_tensor(given)

    @property
    def text(self) -> Tensor:
        """(rows, T, width), what the text encoder made of each row's prompt."""
        return self.args[2] if len(self.args) > 2 else self.keywords["encoder_hidden_states"]

    def with_sample(self, sample: Tensor) -> DenoiserCall:
        """The same call with another sample."""
        if self.args:
            return DenoiserCall((sample, *self.args[1:]), self.keywords)
        return DenoiserCall((), {**self.keywords, "sample": sample})

    def take(self, rows: Rows) -> DenoiserCall:
        """The call for some rows only: of every tensor that has one entry a row, at any depth."""
        batch = len(self.sample)
        return DenoiserCall(_take(self.args, batch, rows), _take(self.keywords, batch, rows))

    def for_autograd(self) -> DenoiserCall:
        """The call with copies of tensors that were made under inference mode."""
        return DenoiserCall(_usable(self.args), _usable(self.keywords))


def _take(value: Any, batch: int, rows: Rows) -> Any:
    """Rows of all batched tensors in a structure."""
    if isinstance(value, Tensor):
        return value[rows] if value.ndim > 0 and len(value) == batch else value
    return _through(value, lambda part: _take(part, batch, rows))


def _usable(value: Any) -> Any:
    """Tensors in a structure, cloned where autograd could not save them."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    return _through(value, _usable)


def _through(value: Any, change: Any) -> Any:
    """A structure with a change applied to its parts."""
    if isinstance(value, Mapping):
        return {key: change(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(change(part) for part in value)
    return value
