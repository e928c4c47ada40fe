"""SynGen: a noun and its attributes share one map, and no other word does.

Royi Rassin, Eran Hirsch, Daniel Glickman, Shauli Ravfogel, Yoav Goldberg, Gal Chechik, "Linguistic
Binding in Diffusion Models: Enhancing Attribute Correspondence through Attention Map Alignment",
NeurIPS 2023, https://arxiv.org/abs/2306.08877

Shapes: B samples, N cells of a map, I columns of an item, T text columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adhere.methods.base import ScheduledMethod
from adhere.methods.reading import Reading
from adhere.typed import NonNegative, Positive, typed


@typed
class SynGen(ScheduledMethod):
    """Draws the maps of a noun and its attributes together, and away from all other words'.

    A prompt without attributes is left as it is. Raw probabilities are read, each map as a
    distribution over the image, so that `temperature` is None.

    Attributes:
        step_range: the step size does not decay.
        with_nouns: whether nouns without attributes are drawn away from other words too.

    Source: arXiv 2306.08877, the positive and the negative loss. The authors' code parses prompts
        by spaCy, where this takes the subjects that adhere finds; of a word of several tokens it
        takes the most distant one, and so does this.
    """

    step_range: tuple[NonNegative, NonNegative] = (1.0, 1.0)
    temperature: Positive | None = None
    with_nouns: bool = False

    name = "syngen"
    needs_attributes = True
    paper = "SynGen, arXiv 2306.08877"
    bibtex = """@inproceedings{rassin2023linguistic,
  title     = {Linguistic Binding in Diffusion Models: Enhancing Attribute Correspondence through Attention Map Alignment},
  author    = {Rassin, Royi and Hirsch, Eran and Glickman, Daniel and Ravfogel, Shauli and Goldberg, Yoav and Chechik, Gal},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2023},
  note      = {arXiv:2306.08877}
}"""  # noqa: E501

    @classmethod
    def official(cls) -> SynGen:
        """The authors' schedule: the first 25 steps, PNDM's repeated call too."""
        return cls(stop=25, in_steps=True, nurses_repeats=True)

    def loss(self, reading: Reading) -> Tensor:
        """(B,), the distance within pairs less that from other words; not bounded below."""
        return torch.stack([self._loss(reading, sample) for sample in range(len(reading))])

    def _loss(self, reading: Reading, sample: int) -> Tensor:
        maps = reading.normalised(self.temperature)[sample].flatten(0, 1).T
        logs = _clamped(maps / maps.sum(-1, keepdim=True).clamp_min(1e-12)).log()
        words = reading.columns.words[sample].nonzero().flatten().tolist()
        total = logs.new_zeros(())
        for subject in reading.subjects[sample]:
            noun = subject.token_indices
            modifiers = [one.token_indices for one in subject.attributes]
            own = {column for item in (noun, *modifiers) for column in item}
            others = [word for word in words if word not in own]
            from_noun = _from_others(logs, noun, others)
            if not modifiers and self.with_nouns:
                total = total - from_noun
            for modifier in modifiers:
                apart = (from_noun + _from_others(logs, modifier, others)) / 2
                total = total + _distances(logs, modifier, noun).amax() - apart
        return total


def _clamped(maps: Tensor) -> Tensor:
    """Probabilities whose logarithm is finite."""
    epsilon = torch.finfo(maps.dtype).eps
    return maps.clamp(epsilon, 1 - epsilon)


def _distances(logs: Tensor, first: Sequence[int], second: Sequence[int]) -> Tensor:
    """Half the sum of the two Kullback-Leibler divergences of columns' maps, (I, I')."""
    p, q = logs[list(first), None], logs[None, list(second)]
    return 0.5 * ((p.exp() - q.exp()) * (p - q)).sum(-1)


def _from_others(logs: Tensor, item: Sequence[int], others: Sequence[int]) -> Tensor:
    """The mean distance of a word from other columns, (); 0 where there are none."""
    if not others:
        return logs.new_zeros(())
    return _distances(logs, item, others).amax(0).mean()
