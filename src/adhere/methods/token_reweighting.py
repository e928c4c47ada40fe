"""Token reweighting: more attention for subjects, less for other words, and nothing to optimise.

The plainest of baselines, after the scheme of multiplying the attention of nouns by 1.5 and that
of all other tokens by 0.5. It belongs to no paper; Prompt-to-Prompt's reweighting
(https://arxiv.org/abs/2208.01626) is its relative.

Shapes: B samples, A heads, N pixels, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from adhere.methods.base import (
    AttentionMethod,
    LayerContext,
    Step,
    Subjects,
    expect,
    expect_window,
)
from adhere.values import fit

if TYPE_CHECKING:
    from adhere.subjects import Subject

Mode = Literal["row", "words", "hard", "none"]


@dataclass(frozen=True)
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

    alpha: float = 1.5
    beta: float = 0.5
    specials: float = 1.0
    mode: Mode = "row"
    with_attributes: bool = False
    start: float = 0.0
    stop: float = 1.0

    name = "token-reweighting"
    paper = ""
    bibtex = ""

    def __post_init__(self) -> None:
        fit(self, TokenReweighting)
        expect_window(self.start, self.stop)
        expect(self.alpha > 0, f"alpha {self.alpha}", "one above 0")
        expect(self.beta >= 0, f"beta {self.beta}", "at least 0")
        expect(self.specials > 0, f"specials {self.specials}", "one above 0")

    @classmethod
    def literal(cls) -> TokenReweighting:
        """The scheme to the letter: every token that is no subject gets beta, and no sum is kept.

        The start token usually holds most of the attention, so this changes the scale of what
        cross-attention returns.
        """
        return cls(mode="none", specials=0.5)

    @classmethod
    def official(cls) -> TokenReweighting:
        """The same as `literal`: nobody has published code for this scheme."""
        return cls.literal()

    def is_active(self, step: Step) -> bool:
        """Whether this turn lies in the window."""
        return step.within(self.start, self.stop)

    def bias(self, subjects: Subjects, ends: Sequence[int], tokens: int) -> Tensor | None:
        """The logarithms of the weights, (B, T), in the modes that are nothing else."""
        if self.mode not in ("row", "hard"):
            return None
        return self._weights(subjects, ends, tokens).log()

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The softmax of the scores times the weights, (B, A, N, T)."""
        tokens = scores.shape[-1]
        weights = self._weights(context.subjects, context.ends, tokens).to(scores)[:, None, None]
        attention = scores.softmax(-1)
        weighted = attention * weights
        if self.mode == "none":
            return weighted
        if self.mode in ("row", "hard"):
            return weighted / weighted.sum(-1, keepdim=True)
        words = _words(context.ends, tokens).to(scores)[:, None, None]
        mass = (attention * words).sum(-1, keepdim=True)
        weighted_mass = (weighted * words).sum(-1, keepdim=True)
        smallest = torch.finfo(scores.dtype).tiny
        return torch.where(
            words > 0, weighted * (mass / weighted_mass.clamp_min(smallest)), attention
        )

    def _weights(self, subjects: Subjects, ends: Sequence[int], tokens: int) -> Tensor:
        """Returns the weight of each token, (B, T)."""
        words = _words(ends, tokens)
        other = 0.0 if self.mode == "hard" else self.beta
        weights = torch.where(words, other, self.specials)
        for b, own in enumerate(subjects):
            weights[b, [index for subject in own for index in self._indices(subject)]] = self.alpha
        return weights

    def _indices(self, subject: Subject) -> tuple[int, ...]:
        weighted = (subject, *subject.attributes) if self.with_attributes else (subject,)
        return tuple(index for one in weighted for index in one.token_indices)


def _words(ends: Sequence[int], tokens: int) -> Tensor:
    """Returns which tokens stand between the start and the end token, (B, T)."""
    positions = torch.arange(tokens)
    return (positions >= 1) & (positions < torch.tensor(list(ends))[:, None])
