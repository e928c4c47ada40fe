"""Where boxes are on a grid of attention.

Shapes: H x W the grid, N = H * W, S boxed subjects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from adhere.subjects.subject import Subject

Box = tuple[float, float, float, float]


def boxed(subjects: Sequence[Subject]) -> list[tuple[Subject, Box]]:
    """The subjects that have a box, and the box."""
    return [(subject, subject.box) for subject in subjects if subject.box is not None]


def masks(subjects: Sequence[Subject], size: tuple[int, int]) -> Tensor:
    """Which cells each boxed subject's box has, (S, N), bool."""
    found = [cells(box, size).flatten() for _, box in boxed(subjects)]
    return torch.stack(found) if found else torch.zeros((0, math.prod(size)), dtype=torch.bool)


def edges(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box in whole cells: left, top, right, bottom, at least one cell wide and high.

    Args:
        box: left, top, right, bottom, in fractions of the image.
        size: height and width of the grid.
    """
    height, width = size
    left, right = _span(box[0], box[2], width)
    top, bottom = _span(box[1], box[3], height)
    return left, top, right, bottom


def _span(first: float, last: float, count: int) -> tuple[int, int]:
    begin = min(round(first * count), count - 1)
    return begin, max(round(last * count), begin + 1)


def cells(box: Box, size: tuple[int, int]) -> Tensor:
    """Which cells a box has, (H, W), bool; at least one."""
    left, top, right, bottom = edges(box, size)
    inside = torch.zeros(size, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    return inside


def closeness(box: Box, size: tuple[int, int], margin: float = 0.0) -> Tensor:
    """How near cells are to a box, (H, W), in 0...1: 1 inside, 0 from a margin outside it on.

    Args:
        box: left, top, right, bottom, in fractions of the image.
        size: height and width of the grid.
        margin: width of the linear slope around the box, in sides of the image; 0 for none.

    Returns:
        Of a cell that the edge cuts at least the share that lies inside.
    """
    height, width = size
    across = _overlap(box[0], box[2], width)
    down = _overlap(box[1], box[3], height)
    share = down[:, None] * across[None]
    if not margin:
        return share
    beside = _distance(box[0], box[2], width)
    above = _distance(box[1], box[3], height)
    distance = torch.hypot(above[:, None].expand(size), beside[None].expand(size))
    return torch.maximum(share, (1 - distance / margin).clamp(0, 1))


def _overlap(first: float, last: float, count: int) -> Tensor:
    """The share of each of some cells in a row that lies between two places."""
    starts = torch.arange(count) / count
    ends = starts + 1 / count
    return ((ends.clamp_max(last) - starts.clamp_min(first)) * count).clamp(0, 1)


def _distance(first: float, last: float, count: int) -> Tensor:
    """How far the centre of each cell in a row lies outside two places."""
    centres = (torch.arange(count) + 0.5) / count
    return torch.maximum(first - centres, centres - last).clamp_min(0)
