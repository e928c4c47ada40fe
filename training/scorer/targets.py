"""What the scorer's network should say of every cell, and how far it is from that."""

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.mini.detector import GRID, STRIDE, Prediction
from adhere.mini.vocabulary import SUBJECTS
from training.scorer.specimens import Labels


class Targets:
    """What the network should say of every cell, from labels (B, K, ...).

    Attributes:
        centres: (B, 24, H, W), 1 at centres and falling off around them.
        asked: (B, 24, H, W), 0 where no answer is learnt from.
        weight: (B, H, W), how much the thing below a cell teaches its box, colour and mixture.
        subjects: (B, 24, H, W), 1 for the subject of that thing, a half for each of a mixture's.
        boxes: (B, 4, H, W), as in `Prediction`.
        colours: (B, 11, H, W), all zero where none is asked.
        mixtures: (B, H, W), 1 on mixtures.
    """

    def __init__(self, labels: Labels) -> None:
        """`labels` are those of a batch."""
        subject, other, box, colours, certain = labels
        batch, device = len(subject), subject.device
        middle = (box[..., :2] + box[..., 2:]) / 2 / STRIDE - 0.5
        size = ((box[..., 2:] - box[..., :2]) / STRIDE).clamp_min(0.5)
        cell = middle.round().clamp(0, GRID - 1)
        cells = torch.arange(GRID, device=device)
        across = cells.view(1, 1, 1, -1) - cell[..., 0, None, None]
        down = cells.view(1, 1, -1, 1) - cell[..., 1, None, None]
        spread = 0.45 + 0.06 * size.prod(-1).sqrt()[..., None, None]
        hill = torch.exp(-0.5 * (across**2 + down**2) / spread**2)
        used = (subject >= 0).float()[..., None, None]
        sure = used * certain[..., None, None]
        inside = (
            (across.abs() <= 0.5 * size[..., 0, None, None])
            & (down.abs() <= 0.5 * size[..., 1, None, None])
        ).float()
        self.centres = torch.zeros(batch, len(SUBJECTS), GRID, GRID, device=device)
        hidden = torch.zeros_like(self.centres)
        for which in (subject, other):
            index = which.clamp_min(0)[..., None, None].expand(-1, -1, GRID, GRID)
            self.centres.scatter_reduce_(1, index, hill * sure, "amax")
            hidden.scatter_reduce_(1, index, torch.maximum(inside, hill) * (used - sure), "amax")
        self.asked = torch.where(self.centres == 1, 1.0, 1 - (hidden > 0.05).float())
        strongest, owner = (hill * sure).max(1)
        self.weight = torch.where(strongest > 0.3, strongest, 0.0)

        def of_owner(values: Tensor) -> Tensor:
            """(B, K, N) values of each cell's thing, (B, N, H, W)."""
            index = owner.view(batch, -1, 1).expand(-1, -1, values.shape[-1])
            return values.gather(1, index).view(batch, GRID, GRID, -1).permute(0, 3, 1, 2)

        place = of_owner(middle)
        offset = torch.stack([place[:, 0] - cells, place[:, 1] - cells[:, None]], 1)
        twice = torch.zeros(batch, GRID, GRID, len(SUBJECTS), device=device)
        for which in (subject, other):
            of_cell = of_owner(which.clamp_min(0)[..., None])[:, 0, :, :, None]
            twice.scatter_add_(-1, of_cell, torch.full_like(of_cell, 0.5, dtype=torch.float32))
        self.subjects = twice.permute(0, 3, 1, 2)
        self.boxes = torch.cat([offset, of_owner(size.log())], 1)
        self.colours = of_owner(colours)
        self.mixtures = of_owner((subject != other).float()[..., None])[:, 0]


def detection_loss(said: Prediction, wanted: Targets) -> Tensor:
    """Focal loss of the centres (arXiv 1904.07850, eq. 1), and the errors of the rest.

    Box, colour and mixture are learnt at and around the centres of things, and so is which
    subject is likelier than another: centres alone say that of too few cells to learn fast.
    """
    log_yes, log_no = F.logsigmoid(said.centres), F.logsigmoid(-said.centres)
    chance = said.centres.sigmoid()
    is_centre = wanted.centres == 1
    hit = (1 - chance) ** 2 * log_yes
    quiet = (1 - wanted.centres) ** 4 * chance**2 * log_no
    things = is_centre.sum().clamp_min(1)
    focal = -(torch.where(is_centre, hit, quiet) * wanted.asked).sum() / things
    total = wanted.weight.sum().clamp_min(1)
    box = F.smooth_l1_loss(said.boxes, wanted.boxes, reduction="none", beta=0.25).sum(1)
    colour = -(said.colours.log_softmax(1) * wanted.colours).sum(1)
    mixture = F.binary_cross_entropy_with_logits(said.mixtures, wanted.mixtures, reduction="none")
    subject = -(said.centres.log_softmax(1) * wanted.subjects).sum(1)
    rest = (0.7 * subject + 0.5 * box + 0.7 * colour + 1.5 * mixture) * wanted.weight
    return focal + rest.sum() / total
