"""What a method is: something that moves latents, or something that edits attention.

Shapes: B samples, A heads, N image queries of a layer, T text columns, K the columns that an edit
sees (T, and one more where attention has other keys too).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from adhere.attention.maps import Pieces
from adhere.methods.layer_context import LayerContext
from adhere.methods.reading import Reading, Subjects
from adhere.methods.schedule import Schedule, Step
from adhere.typed import Positive, typed

# From latents (K, ...) that may require a gradient, and which K of the B samples they are, what a
# pass over them sees.
Read = Callable[[Tensor, Sequence[int]], Reading]


class Method(ABC):
    """A paper's method with its numbers.

    Attributes:
        name: names it in commands and reports.
        paper: title and arXiv id.
        bibtex: how it is cited.
        needs_boxes: whether subjects must have boxes; those without one are left alone.
        needs_attributes: whether it acts on subjects with attributes alone; other prompts are left
            as they are, with a warning.
        needs_joint_attention: whether it means something only where the image attends to text and
            to itself in one softmax.
        least_subjects: how many subjects a prompt must have.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    needs_boxes: ClassVar[bool] = False
    needs_attributes: ClassVar[bool] = False
    needs_joint_attention: ClassVar[bool] = False
    least_subjects: ClassVar[int] = 1


class LatentMethod(Method):
    """Moves the latents down the gradient of a loss on the attention of one pass.

    Methods add up, also by `sum`: `AttendAndExcite() + 0.5 * DivideAndBind()` minimises the
    weighted sum of the two losses. Its schedule, thresholds and score are those of the first term
    that moves latents.

    Attributes:
        needs_self_attention: whether the loss reads self-attention.
        needs_noise: whether runs must begin from noise alone, not from a noised image.
        layers: which layers are read: "default", a name from the family's published choices, or
            a pattern of the modules' whole names, with * and ?, such as "up_blocks.1.*".
    """

    needs_self_attention: ClassVar[bool] = False
    needs_noise: ClassVar[bool] = False
    layers: str = "default"

    @property
    @abstractmethod
    def schedule(self) -> Schedule:
        """When latents move, and how far."""

    @abstractmethod
    def loss(self, reading: Reading) -> Tensor:
        """One number a sample, (B,), from that sample's attention alone.

        A sample that has nothing to minimise (no attribute to bind, say) has the loss 0.
        """

    def score(self, reading: Reading) -> Tensor:
        """What thresholds are compared with, (B,): a sample is refined while it is below.

        By default minus the loss.
        """
        return -self.loss(reading)

    def refining_loss(self, reading: Reading) -> Tensor | None:
        """What a sample below its threshold minimises, (B,), where that is another loss."""
        return None

    def maps(self, reading: Reading) -> Tensor:
        """Attention as this method looks at it, (B, H, W, T): the heat maps that a trace keeps.

        By default after the softmax over tokens that the family of methods begins with, smoothed.
        """
        return reading.smoothed()

    def peaks(self, reading: Reading) -> list[Tensor]:
        """For each sample the highest attention of each of its subjects, (S,), for the trace.

        By default of the mean of a word's columns in `maps`. A method whose thresholds compare
        peaks returns those that it compares.
        """
        return [
            torch.stack([own[..., list(s.token_indices)].mean(-1).amax() for s in mine])
            if mine
            else own.new_zeros(0)
            for own, mine in zip(self.maps(reading), reading.subjects, strict=True)
        ]

    def search(self, latents: Tensor, read: Read, step: Step) -> Tensor:
        """The latents to begin a step from, (B, ...); by default those given.

        Called before the step's own update where `searches_at` says so; also if the schedule
        moves nothing at that step. A method that searches has a field `rounds`, and searches not
        at all where that is 0.

        Args:
            latents: (B, ...), as the denoiser gets them, float32: noise at the first step.
            read: runs a pass of some samples; gradients flow through its reading to the latents.
            step: which step it is.
        """
        return latents

    @property
    def searches(self) -> bool:
        """Whether `search` is to be called."""
        return type(self).search is not LatentMethod.search

    def searches_at(self, step: Step) -> bool:
        """Whether `search` is to be called at a step: by default at the first."""
        return self.searches and step.index == 0

    def reads_finer(self, subjects: Subjects) -> bool:
        """Whether the loss reads finer resolutions than the objective's, for these subjects."""
        return False

    def watches(self, step: Step) -> bool:
        """Whether the maps are recorded at this step even if nothing moves."""
        return False

    @property
    def moves(self) -> bool:
        """Whether latents move at any step."""
        return True

    def __add__(self, other: LatentMethod) -> LatentMethod:
        """The sum of two objectives, on a schedule of its own or of the first that moves."""
        from adhere.methods.weighted_sum import sum_of

        return sum_of(self, other) if isinstance(other, LatentMethod) else NotImplemented

    def __radd__(self, other: int) -> LatentMethod:
        """The method itself where nothing is added: `sum` begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, weight: float) -> LatentMethod:
        """The objective times a number."""
        from adhere.methods.weighted_sum import sum_of

        return sum_of(self, weight=weight) if isinstance(weight, int | float) else NotImplemented

    __rmul__ = __mul__


@typed
class ScheduledMethod(LatentMethod, Schedule):
    """A latent method with the numbers that the papers share: those of a `Schedule`, and these.

    Attributes:
        temperature: of the softmax over tokens; None reads raw probabilities, which is what
            joint attention wants.
    """

    temperature: Positive | None = 0.01
    layers: str = "default"

    @property
    def schedule(self) -> Schedule:
        """Its own numbers of when and how far."""
        return self

    def maps(self, reading: Reading) -> Tensor:
        """Attention after this method's softmax, smoothed, (B, H, W, T)."""
        return reading.smoothed(self.temperature)


@typed
class SubjectMethod(ScheduledMethod):
    """A latent method whose loss reads one map a subject, `subject_maps`.

    Attributes:
        pieces: how the sub-word tokens of one word become one map: "mean", "max" or "last".
        smoothed: whether maps are smoothed.
        with_attributes: whether a subject's map is that of its whole phrase: where the noun is and
            its attributes are (`adhere.attention.maps.together`). Ours; thresholds are then
            compared with such maps.
    """

    pieces: Pieces = "mean"
    smoothed: bool = True
    with_attributes: bool = False

    @property
    def how(self) -> dict[str, Any]:
        """How words are read, see `Reading.word`."""
        names = ("temperature", "smoothed", "pieces")
        return {name: getattr(self, name) for name in names}

    def subject_maps(self, reading: Reading, sample: int) -> Tensor:
        """The maps of a sample's subjects, (S, H, W)."""
        return reading.subject_maps(sample, with_attributes=self.with_attributes, **self.how)

    def maps(self, reading: Reading) -> Tensor:
        """Attention after this method's softmax, (B, H, W, T), smoothed if its loss is."""
        read = reading.smoothed if self.smoothed else reading.normalised
        return read(self.temperature)

    def peaks(self, reading: Reading) -> list[Tensor]:
        """For each sample the highest attention of each of its subjects, (S,)."""
        samples = range(len(reading))
        return [self.subject_maps(reading, sample).amax((-2, -1)) for sample in samples]


class AttentionMethod(Method):
    """Edits the attention of the real pass, conditional samples only.

    That is the image's attention to text, and where `edits_self_attention` says so to itself. A
    method that moves latents too edits its own nursing passes as well, by its biases: its loss
    then reads edited attention.
    """

    @abstractmethod
    def is_active(self, step: Step) -> bool:
        """Whether attention is edited at this step."""

    @property
    def all_layers(self) -> bool:
        """Whether all layers are edited, or only those of the resolution that objectives read."""
        return True

    def reads(self, step: Step) -> bool:
        """Whether the edit wants to see all layers' attention at this step; it costs no pass."""
        return False

    def edits(self, subjects: Subjects) -> bool:
        """Whether there is anything to edit for these subjects; if not, no layer is touched."""
        return True

    def bias(self, context: LayerContext) -> Tensor | None:
        """What is added to scores, (B, A or 1, N or 1, T); None asks `probabilities` instead."""
        return None

    @property
    def is_mutual(self) -> bool:
        """Whether `bias` holds for the words' attention to the image too, in joint attention."""
        return False

    @property
    def edits_self_attention(self) -> bool:
        """Whether `self_bias` is to be asked."""
        return False

    def self_bias(self, context: LayerContext) -> Tensor | None:
        """What is added to the image's scores for itself, (B, A or 1, N, N), or None."""
        return None

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The weights of the values.

        Args:
            scores: (B, A, N, K), scaled, before the softmax, float32. Where attention has other
                keys than the T text columns (joint attention), the last column stands for all of
                them: the logarithm of the sum of their exponentials.
            context: the layer.

        Returns:
            (B, A, N, K).
        """
        raise NotImplementedError(f"{type(self).__name__} gives neither bias nor probabilities.")


def checked(given: Any) -> tuple[Method, ...]:
    """One method or several as a tuple.

    Raises:
        ValueError: there is none, or something that is not an instance of a method.
    """
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    methods: tuple[Any, ...] = tuple(given) if is_list else (given,)
    wrong = [m for m in methods if not isinstance(m, LatentMethod | AttentionMethod)]
    if wrong or not methods:
        got = f"{wrong[0]!r} as a method" if wrong else "no method"
        raise ValueError(
            f"Got {got}; give an instance such as adhere.AttendAndExcite(), or a list of them."
        )
    return methods
