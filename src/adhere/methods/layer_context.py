"""What an edit of attention is told about a layer.

Shapes: B samples, A heads, N image queries of a layer, T text columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from adhere.attention.columns import Columns
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Step
from adhere.subjects.relations import Relation


@dataclass(frozen=True)
class LayerContext:
    """What an attention edit is told about the layer that it edits.

    Attributes:
        layer: the module's name.
        step: where the loop is.
        size: height and width of the layer's map, N = height * width.
        subjects: one list a sample; their `token_indices` are columns.
        columns: what the T columns stand for.
        heads: how many heads the layer has, A.
        device: where the layer is.
        memory: kept for this edit and layer from step to step, empty at first.
        shared: kept for this edit for the whole run, empty at first.
        reading: the newest of those that the edit asked for by `AttentionMethod.reads`: the
            model's own attention, before any edit. None where there is none yet.
        relations: for each sample what its prompt says of its subjects.
        is_objective: whether objectives read this layer's resolution.
        is_nursing: whether this is a pass of the method's own, not the real one.
    """

    layer: str
    step: Step
    size: tuple[int, int]
    subjects: Subjects
    columns: Columns
    heads: int = 1
    device: torch.device = torch.device("cpu")
    memory: dict[str, Tensor] = field(default_factory=dict)
    shared: dict[Any, Any] = field(default_factory=dict)
    reading: Reading | None = None
    relations: Sequence[Sequence[Relation]] = ()
    is_objective: bool = True
    is_nursing: bool = False
