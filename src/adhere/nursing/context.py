"""What a run draws, and which layers are read of it.

Shapes: B samples, N image queries, T text columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from adhere.attention.columns import Columns
from adhere.errors import UnsupportedPipeline
from adhere.families import Family, Layer, Placed
from adhere.methods.base import LatentMethod
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Step


@dataclass(frozen=True)
class Reader:
    """Which layers are read for a method.

    Attributes:
        layers: those that attend to text, in the order of a pass.
        factor: the resolution that objectives read.
        self_layers: those whose self-attention is read.
    """

    layers: tuple[Layer, ...]
    factor: int
    self_layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Context:
    """What one run draws.

    Attributes:
        family: of the pipeline.
        placed: for each sample where its words are.
        columns: what the text's columns are.
    """

    family: Family
    placed: tuple[Placed, ...]
    columns: Columns

    @property
    def subjects(self) -> Subjects:
        """One list a sample, with columns as indices."""
        return [one.placed for one in self.placed]

    def gives(self, method: LatentMethod) -> bool:
        """Whether any sample has the attributes that the method acts on, if it needs them."""
        own = (subject for subjects in self.subjects for subject in subjects)
        return not method.needs_attributes or any(subject.attributes for subject in own)

    def reader(self, method: LatentMethod) -> Reader:
        """The layers that a method reads of these prompts."""
        return reader_of(self.family, method, self.subjects)

    def reading(
        self,
        reader: Reader,
        rows: Mapping[str, Tensor],
        heads: Mapping[str, int],
        size: tuple[int, int],
        step: Step,
        samples: Sequence[int] | None = None,
        self_rows: Mapping[str, Tensor] | None = None,
        previous: Reading | None = None,
    ) -> Reading:
        """What a pass saw, from each layer's rows (B, N, T).

        Raises:
            UnsupportedPipeline: a layer has other cells than its grid.
        """
        grids = {}
        for layer in reader.layers:
            found = rows[layer.name]
            own = tuple(-(-side // layer.factor) for side in size)
            if found.shape[1] != own[0] * own[1]:
                raise UnsupportedPipeline(
                    f"The attention of {layer.name} has {found.shape[1]} places where "
                    f"{own[0]} x {own[1]} were expected. Undo what merges tokens."
                )
            grids[layer.name] = found.unflatten(1, own)
        chosen = range(len(self.placed)) if samples is None else samples
        return Reading(
            layers=grids,
            heads=heads,
            factors={layer.name: layer.factor for layer in reader.layers},
            size=size,
            factor=reader.factor,
            columns=self.columns if samples is None else self.columns.take(samples),
            subjects=[self.placed[sample].placed for sample in chosen],
            step=step,
            self_layers=self_rows or {},
            previous=previous,
        )


def reader_of(family: Family, method: LatentMethod, subjects: Subjects) -> Reader:
    """The layers that a method reads.

    Raises:
        UnsupportedPipeline: the method needs self-attention, and the model has none in reach.
        ValueError: the method's layers do not have the resolution that objectives read.
    """
    factor = family.objective_factor()
    is_finer = method.reads_finer(subjects)
    layers = tuple(
        layer
        for layer in family.chosen(method.layers)
        if layer.factor == factor or (is_finer and layer.factor < factor)
    )
    if not layers:
        raise ValueError(
            f"layers {method.layers!r} has none of the resolution that objectives read; choose "
            "others."
        )
    if not method.needs_self_attention:
        return Reader(layers, factor)
    own = tuple(layer for layer in family.self_layers() if layer.factor == factor)
    if not own:
        raise UnsupportedPipeline(
            f"{method.name} reads self-attention, and {type(family.denoiser).__name__} has none "
            "that can be read. Use another method."
        )
    return Reader(layers, factor, own)
