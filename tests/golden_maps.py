"""The closed-form attention that the golden toy values are computed from, in float64."""

import torch
from torch import Tensor


def scores(side: int = 16, tokens: int = 77) -> Tensor:
    """Returns `3 sin(.37 (i+1)(k+1)) + 2 cos(.21 (j+1)(k+2))` over rows, columns, tokens."""
    cell = torch.arange(side, dtype=torch.float64)
    token = torch.arange(tokens, dtype=torch.float64)
    rows = 3 * torch.sin(0.37 * (cell[:, None, None] + 1) * (token + 1))
    columns = 2 * torch.cos(0.21 * (cell[None, :, None] + 1) * (token + 2))
    return rows + columns


def probabilities() -> Tensor:
    """Returns the softmax of the scores over tokens, (16, 16, 77)."""
    return scores().softmax(-1)
