"""The scorer's network: one forward pass finds the centre of every thing (arXiv 1904.07850).

B is the batch, C the channels, H W the grid of 16×16 cells, 8 pixels a cell.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adhere.mini.vocabulary import COLOURS, SUBJECTS

SIZE, STRIDE = 128, 8
GRID = SIZE // STRIDE
WIDTHS = (16, 32, 64, 128)


class Prediction(NamedTuple):
    """What the network says of every cell.

    Attributes:
        centres: (B, 24, H, W) logits: the centre of this subject lies here. Both subjects of a
            mixture have their centre at its centre.
        boxes: (B, 4, H, W): centre relative to the cell's centre, right and down, in cells; then
            the logarithms of width and height in cells.
        colours: (B, 11, H, W) logits of one colour among all.
        mixtures: (B, H, W) logits: what has its centre here is a mixture of two subjects.
    """

    centres: Tensor
    boxes: Tensor
    colours: Tensor
    mixtures: Tensor


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(8, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(8, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first_norm(self.first(x)))
        return F.relu(x + self.second_norm(self.second(hidden)))


def _halve(before: int, after: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.GroupNorm(8, after),
        nn.ReLU(),
    )


class Detector(nn.Module):
    """Down to 8×8 and up to 16×16 (about 0.1 GMAC).

    The convolutions behind a cell see 193×193 pixels around it: the whole image from its middle,
    not from its edges. Only the norms' statistics are always of the whole.
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        """`widths`: channels at 64, 32, 16 and 8 cells a side, multiples of 8."""
        super().__init__()
        a, b, c, d = widths
        self.fine = nn.Sequential(_halve(3, a, 5), _halve(a, b), _halve(b, c), _Block(c))
        self.coarse = nn.Sequential(_halve(c, d), _Block(d), _Block(d), nn.Conv2d(d, c, 1))
        self.joined = nn.Sequential(
            _Block(c), nn.Conv2d(c, c, 3, padding=1, bias=False), nn.GroupNorm(8, c), nn.ReLU()
        )
        self.parts = [len(SUBJECTS), 4, len(COLOURS), 1]
        self.head = nn.Conv2d(c, sum(self.parts), 1)
        # Nearly every cell is empty: start from a chance of 2% that a centre is there.
        nn.init.constant_(self.head.bias[: len(SUBJECTS)], -4.0)  # type: ignore[index]

    def features(self, images: Tensor) -> Tensor:
        """What the head reads of images (B, 3, 128, 128) with values in -1…1: (B, C, H, W)."""
        fine = self.fine(images)
        coarse = F.interpolate(self.coarse(fine), scale_factor=2.0, mode="nearest")
        return self.joined(fine + coarse)

    def forward(self, images: Tensor) -> Prediction:
        """What stands in images of shape (B, 3, 128, 128) with values in -1…1."""
        centres, boxes, colours, mixtures = torch.split(
            self.head(self.features(images)).float(), self.parts, 1
        )
        return Prediction(centres, boxes, colours, mixtures[:, 0])
