"""What happened while a pipeline was nursed: numbers a step, and heat maps."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adhere.files import write_whole
from adhere.methods.base import Method
from adhere.nursing.records import RunTrace, StepRecord
from adhere.subjects import Attribute, Subject

if TYPE_CHECKING:
    from PIL.Image import Image


_SAVED = re.compile(r"\.?(trace\.json|maps\.safetensors|sample-\d+\.png)(\.part)?")


@dataclass(repr=False)
class Trace:
    """The record of a `nurse` block, filled while its pipeline runs.

    Its attributes, properties and methods speak of the last run.

    Attributes:
        methods: what nursed.
        runs: one for each sampling run inside the block.
    """

    methods: tuple[Method, ...] = ()
    runs: list[RunTrace] = field(default_factory=list)

    @property
    def _last(self) -> RunTrace:
        return self.runs[-1] if self.runs else RunTrace()

    @property
    def prompts(self) -> tuple[str, ...]:
        """One a sample."""
        return self._last.prompts

    @property
    def subjects(self) -> tuple[tuple[Subject, ...], ...]:
        """One list a sample."""
        return self._last.subjects

    @property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """For each sample its tokens as text, without padding."""
        return self._last.tokens

    @property
    def words(self) -> tuple[tuple[int, ...], ...]:
        """For each sample which of its tokens are of the prompt itself, and were read."""
        return self._last.words

    @property
    def steps(self) -> list[StepRecord]:
        """One record for each step at which the maps were read."""
        return self._last.steps

    @property
    def full_forwards(self) -> int:
        """The pipeline's own denoiser calls, whole batches, all branches together."""
        return self._last.full_forwards

    @property
    def edited_layers(self) -> int:
        """Layer calls in which attention was edited."""
        return self._last.edited_layers

    def __repr__(self) -> str:
        """One line; `as_dict` has the numbers."""
        methods = " + ".join(method.name for method in self.methods) or "no method"
        return (
            f"Trace({methods}, {len(self.prompts)} samples, {len(self.steps)} recorded steps, "
            f"{self.full_forwards} + {self.truncated_forwards} forwards, "
            f"{self.backwards} backwards)"
        )

    @property
    def loss(self) -> Tensor:
        """(steps, B)."""
        return (
            torch.stack([record.loss for record in self.steps]) if self.steps else torch.empty(0)
        )

    @property
    def refinements(self) -> Tensor:
        """(steps, B)."""
        if not self.steps:
            return torch.empty(0, dtype=torch.long)
        return torch.stack([record.refinements for record in self.steps])

    @property
    def truncated_forwards(self) -> int:
        """Passes that nursing cost, each ended after the last layer read."""
        return sum(record.truncated_forwards for record in self.steps)

    @property
    def backwards(self) -> int:
        """Gradients that nursing cost."""
        return sum(record.backwards for record in self.steps)

    @property
    def seconds(self) -> float:
        """Time that nursing cost."""
        return sum(record.seconds for record in self.steps)

    def peaks(self, sample: int = 0) -> Tensor:
        """(steps, subjects), the highest attention of each of the sample's subjects."""
        return torch.tensor([record.peaks[sample] for record in self.steps])

    def means(self, sample: int = 0) -> Tensor:
        """(steps, subjects), the raw mean attention of each of the sample's subjects."""
        return torch.tensor([record.means[sample] for record in self.steps])

    def weakest(self, sample: int = 0) -> list[float]:
        """A step at a time, the peak attention of the sample's most neglected subject."""
        return [min(record.peaks[sample]) for record in self.steps if record.peaks[sample]]

    def curve(self, sample: int = 0) -> list[tuple[int, float]]:
        """For each recorded step its number, from 1, and the attention of the weakest subject.

        Of each subject the highest value of its heat map counts. Two traces can be compared where
        both methods see attention alike: in the same layers, at the same temperature.
        """
        subjects = self.subjects[sample] if self.steps else ()
        return [
            (
                record.step.index + 1,
                min(float(self.heat_map(s, sample, at).max()) for s in subjects),
            )
            for at, record in enumerate(self.steps)
            if subjects
        ]

    def heat_map(
        self, word: str | int | Subject | Attribute, sample: int = 0, step: int | None = None
    ) -> Tensor:
        """Where a word's attention was, (H, W) in 0…1.

        Args:
            word: a subject or any token of the prompt; of words that the prompt has twice, text
                means the first, and an index, a `Subject` or an `Attribute` means its own.
            sample: which image of the batch.
            step: position in `steps`; None for the mean over all.

        Raises:
            ValueError: nothing was recorded, or the word is no token of the prompt.
        """
        self.check_recorded()
        columns = self._last.columns[sample]
        indices = [column for index in self._indices(word, sample) for column in columns[index]]
        chosen = self.steps if step is None else [self.steps[step]]
        maps = torch.stack(
            [record.maps[sample][..., indices].float().mean(-1) for record in chosen]
        )
        return maps.mean(0)

    def _indices(self, word: str | int | Subject | Attribute, sample: int) -> list[int]:
        tokens: Sequence[str] = self.tokens[sample]
        if not isinstance(word, str):
            indices = [word] if isinstance(word, int) else list(word.token_indices)
            if indices and all(0 <= index < len(tokens) for index in indices):
                return indices
            raise ValueError(
                f"{word!r} is not within {self.prompts[sample]!r}; its tokens have the indices 0 "
                f"to {len(tokens) - 1}."
            )
        for subject in self.subjects[sample]:
            for part in subject.words:
                if part.text == word:
                    return list(part.token_indices)
        if word in tokens:
            return [tokens.index(word)]
        raise ValueError(
            f"{word!r} is no word of {self.prompts[sample]!r}; choose one of "
            f"{', '.join(repr(tokens[place]) for place in self.words[sample])}."
        )

    def sheet(
        self,
        sample: int = 0,
        *,
        words: Sequence[str | int | Subject | Attribute] | None = None,
        image: Image | None = None,
    ) -> Image:
        """Heat maps over the image and over the steps, as an image, RGB.

        Args:
            sample: which image of the batch.
            words: one row each, given as to `heat_map`; None for the subjects and attributes.
            image: the finished image, laid under the mean heat maps.

        Raises:
            ValueError: nothing was recorded, or a word is no token of the prompt.
        """
        from adhere.figures import trace_sheet

        return trace_sheet(self, sample, words=words, image=image)

    def as_dict(self) -> dict[str, Any]:
        """The numbers, ready for JSON; what is not finite is None. Heat maps are left out."""
        return {
            "methods": [repr(method) for method in self.methods],
            "prompts": list(self.prompts),
            "tokens": [list(own) for own in self.tokens],
            "subjects": [[asdict(subject) for subject in own] for own in self.subjects],
            "full_forwards": self.full_forwards,
            "truncated_forwards": self.truncated_forwards,
            "backwards": self.backwards,
            "edited_layers": self.edited_layers,
            "seconds": self.seconds,
            "steps": [
                {
                    **asdict(record.step),
                    "loss": [_finite(value) for value in record.loss.tolist()],
                    "peaks": [list(own) for own in record.peaks],
                    "means": [list(own) for own in record.means],
                    "refinements": record.refinements.tolist(),
                    "truncated_forwards": record.truncated_forwards,
                    "backwards": record.backwards,
                    "seconds": record.seconds,
                }
                for record in self.steps
            ],
        }

    def save(self, folder: str | Path) -> Path:
        """Write the trace into a folder, made if need be.

        There will be `trace.json` with the numbers, `maps.safetensors` with the heat maps
        (steps, B, H, W, T), and a sheet `sample-0.png` for each sample. Those of a trace saved
        there before are taken away first; each file is written whole or not at all, the numbers
        last.

        Returns:
            The folder.
        """
        from safetensors.torch import save

        files: dict[str, bytes] = {}
        if self.steps:
            maps = torch.stack([record.maps for record in self.steps])
            files["maps.safetensors"] = save({"maps": maps.contiguous()})
            for sample in range(len(self.prompts)):
                sheet = io.BytesIO()
                self.sheet(sample).save(sheet, "PNG")
                files[f"sample-{sample}.png"] = sheet.getvalue()
        numbers = json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        files["trace.json"] = f"{numbers}\n".encode()
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for former in folder.iterdir():
            if _SAVED.fullmatch(former.name):
                former.unlink()
        for name, data in files.items():
            write_whole(folder / name, data)
        return folder

    def check_recorded(self) -> None:
        """Refuses a trace without recorded steps.

        Raises:
            ValueError: nothing was recorded.
        """
        if not self.steps:
            raise ValueError(
                "No attention maps were recorded; run the pipeline inside the nurse block, with "
                "a method that reads maps (adhere.Watch() reads them and changes nothing)."
            )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
