"""Attention Regulation: edit attention scores so that every target is attended, all equally.

Yang Zhang, Teoh Tze Tzun, Lim Wei Hern, Tiviatis Sim, Kenji Kawaguchi, "Enhancing Semantic
Fidelity in Text-to-Image Synthesis: Attention Regulation in Diffusion Models", ECCV 2024,
https://arxiv.org/abs/2403.06381

Shapes: B samples, A heads, S targets, C bumps, N pixels, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.regulation import (
    Goal,
    fold,
    keep_specials,
    make_bumps,
    random_weights,
    regulate,
)
from adhere.methods.schedule import Step, check_window
from adhere.subjects.subject import Subject
from adhere.typed import Count, Fraction, NonNegative, PositiveCount, typed

Targets = tuple[tuple[int, ...], ...]


@typed
class AttentionRegulation(AttentionMethod, Goal):
    """Adds to the subjects' scores the sum of Gaussian bumps that serves them best.

    No pass of the denoiser is added: in each layer of the resolution that objectives read, and for
    each head, gradient descent finds the weights of the bumps.

    Attributes:
        start: where editing begins, a fraction of the loop or a number of steps.
        stop: where it ends.
        in_steps: whether `start` and `stop` count steps; else they are fractions of the loop.
        iterations: edits that the descent looks at.
        rate: step of the descent.
        memory: share of the previous step's edit in this step's.
        decay: factor of the edit, taken to the power of the step's index.
        keeps_specials: whether the start and end tokens keep the attention they had.
        renormalises: whether attention then sums to one again; it does not in the authors' code.
        joins_pieces: whether the tokens of one word are one target; else each is its own.
        remembers_start: whether the first step's edit is mixed with the descent's beginning.
        rounds_to_half: whether edited scores are rounded to float16.
        seed: of the descent's random beginning, the same for every sample of a batch and other
            for each layer and step; None takes it from torch's global generator.

    Source: arXiv 2403.06381, with the numbers of the authors' code. The paper keeps edited maps
        near the model's own; the code, and this, keep the bumps' weights small. The code rounds
        all edited scores to float16, mixes the first edit with random numbers, takes each token
        of a word for a target, and chooses the best edit over the whole batch, where this chooses
        for each sample; `official()` does the first three.
    """

    start: NonNegative = 0.0
    stop: NonNegative = 0.5
    in_steps: bool = False
    iterations: PositiveCount = 20
    rate: NonNegative = 100.0
    memory: Fraction = 0.25
    decay: Fraction = 0.99
    keeps_specials: bool = True
    renormalises: bool = False
    joins_pieces: bool = True
    remembers_start: bool = False
    rounds_to_half: bool = False
    seed: Count | None = 0

    name = "attention-regulation"
    paper = "Attention Regulation, arXiv 2403.06381"
    bibtex = """@article{zhang2024enhancing,
  title   = {Enhancing Semantic Fidelity in Text-to-Image Synthesis: Attention Regulation in Diffusion Models},
  author  = {Zhang, Yang and Tzun, Teoh Tze and Hern, Lim Wei and Sim, Tiviatis and Kawaguchi, Kenji},
  journal = {arXiv preprint arXiv:2403.06381},
  year    = {2024}
}"""  # noqa: E501

    def __post_init__(self) -> None:
        check_window(self.start, self.stop, self.in_steps)

    @classmethod
    def official(cls) -> AttentionRegulation:
        """The authors' behaviour for one image at a time, random numbers included."""
        return cls(
            stop=25,
            in_steps=True,
            joins_pieces=False,
            remembers_start=True,
            rounds_to_half=True,
            seed=None,
        )

    @property
    def all_layers(self) -> bool:
        """Only the resolution that objectives read is edited."""
        return False

    def is_active(self, step: Step) -> bool:
        """Whether this step lies in the window."""
        return step.within(self.start, self.stop, self.in_steps)

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The softmax of the edited scores, (B, A, N, T)."""
        edited = scores.clone()
        bumps = make_bumps(*context.size, device=scores.device).to(scores.dtype)
        alike: dict[Targets, list[int]] = {}
        for sample, subjects in enumerate(context.subjects):
            alike.setdefault(self._targets(subjects), []).append(sample)
        for targets, samples in alike.items():
            if not targets:
                continue
            edit = self._edit(targets, scores[samples], bumps, context)
            for tokens, of_target in zip(targets, edit.unbind(2), strict=True):
                for token in tokens:
                    edited[samples, ..., token] += of_target
        if self.rounds_to_half:
            edited = edited.half().to(scores.dtype)
        result = edited.softmax(-1)
        if self.keeps_specials:
            keep_specials(result, scores, context.columns)
        return result / result.sum(-1, keepdim=True) if self.renormalises else result

    def _targets(self, subjects: Sequence[Subject]) -> Targets:
        """Returns groups of token indices, none of them twice."""
        groups = [subject.token_indices for subject in subjects]
        if not self.joins_pieces:
            groups = [(index,) for tokens in groups for index in tokens]
        seen: set[int] = set()
        targets = []
        for tokens in groups:
            fresh = tuple(index for index in dict.fromkeys(tokens) if index not in seen)
            seen.update(fresh)
            targets.append(fresh)
        return tuple(tokens for tokens in targets if tokens)

    def _edit(
        self, targets: Targets, scores: Tensor, bumps: Tensor, context: LayerContext
    ) -> Tensor:
        """Returns what to add to the targets' scores, (B, A, S, N)."""
        folded = fold(scores, targets)
        samples, heads = folded.shape[:2]
        seed = f"{self.seed} {context.layer} {context.step.index}"
        shape = samples, heads, len(targets)
        first = random_weights(shape, bumps, None if self.seed is None else seed)
        best, _ = regulate(folded, first, bumps, self, iterations=self.iterations, rate=self.rate)
        key = f"edit of {targets}"
        previous = context.memory.get(key, first @ bumps if self.remembers_start else None)
        context.memory[key] = best
        if previous is not None:
            best = self.memory * previous + (1 - self.memory) * best
        return self.decay**context.step.index * best
