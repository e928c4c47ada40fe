"""Token reweighting: more attention for subjects, less for other words, and nothing to optimise.

The plainest of baselines, after the scheme of multiplying the attention of nouns by 1.5 and that
of all other tokens by 0.5. It belongs to no paper; Prompt-to-Prompt's reweighting
(https://arxiv.org/abs/2208.01626) is its relative.

Shapes: B samples, A heads, N pixels, T tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.reading import Subjects
from adhere.methods.schedule import Step, check_window
from adhere.typed import Fraction, NonNegative, Positive, typed

Mode = Literal["row", "words", "hard", "none"]


@typed
class TokenReweighting(AttentionMethod):
    """Multiplies the attention of each token by a weight, in all cross-attention.

    Modes say what else happens to a pixel's row of attention. In "row" it is brought back to a sum
    of one, which is the same as adding the weights' logarithms to the scores, so that the fused
    attention kernel stays in use. In "words" only the words share their sum anew, and the start
    token, the end token and the padding keep what they had. In "hard" all words that are no
    subject are left out, and the rest is brought back to a sum of one. In "none" nothing is
    brought back, so that the length of what attention returns changes too.

    Attributes:
        alpha: weight of the subjects' tokens.
        beta: weight of the other words' tokens.
        specials: weight of the start token, the end token and the padding.
        mode: "row", "words", "hard" or "none".
        with_attributes: whether a subject's attributes are weighted as the subject is.
        start: fraction of the loop at which editing begins.
        stop: fraction of the loop at which it ends.
    """

    alpha: Positive = 1.5
    beta: NonNegative = 0.5
    specials: NonNegative = 1.0
    mode: Mode = "row"
    with_attributes: bool = False
    start: Fraction = 0.0
    stop: Fraction = 1.0

    name = "token-reweighting"
    paper = ""
    bibtex = ""

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @classmethod
    def literal(cls) -> TokenReweighting:
        """The scheme to the letter: a mask of 0 and 1 before the weights, and no sum is kept.

        Only subjects are attended, so that beta has no effect, and the start token, which usually
        holds most of the attention, is left out: this changes the scale of what attention returns.
        """
        return cls(mode="none", beta=0.0, specials=0.0)

    @classmethod
    def official(cls) -> TokenReweighting:
        """The same as `literal`: nobody has published code for this scheme."""
        return cls.literal()

    def is_active(self, step: Step) -> bool:
        """Whether this step lies in the window."""
        return step.within(self.start, self.stop)

    def edits(self, subjects: Subjects) -> bool:
        """Whether any weight is another than 1, or than the other words' in the mode "words"."""
        if self.mode == "words":
            return self.alpha != self.beta
        return self.mode == "hard" or {self.alpha, self.beta, self.specials} != {1}

    def bias(self, context: LayerContext) -> Tensor | None:
        """The logarithms of the weights, (B, 1, 1, T), in the modes that are nothing else."""
        if self.mode not in ("row", "hard"):
            return None
        key = "bias", context.device
        if key not in context.shared:
            weights = self._weights(context)
            context.shared[key] = weights.log()[:, None, None].to(context.device)
        return context.shared[key]

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The softmax of the scores times the weights, (B, A, N, K), in "words" and "none"."""
        others = scores.shape[-1] - len(context.columns)
        weights = F.pad(self._weights(context), (0, others), value=1.0)
        weights = weights.to(scores)[:, None, None]
        attention = scores.softmax(-1)
        weighted = attention * weights
        if self.mode == "none":
            return weighted
        words = F.pad(context.columns.words, (0, others)).to(scores)[:, None, None]
        mass = (attention * words).sum(-1, keepdim=True)
        weighted_mass = (weighted * words).sum(-1, keepdim=True)
        smallest = torch.finfo(scores.dtype).tiny
        return torch.where(
            words > 0, weighted * (mass / weighted_mass.clamp_min(smallest)), attention
        )

    def _weights(self, context: LayerContext) -> Tensor:
        """The weight of each column, (B, T)."""
        other = 0.0 if self.mode == "hard" else self.beta
        weights = torch.where(context.columns.words.cpu(), other, self.specials)
        for sample, subjects in enumerate(context.subjects):
            for subject in subjects:
                weights[sample, list(subject.columns(self.with_attributes))] = self.alpha
        return weights
