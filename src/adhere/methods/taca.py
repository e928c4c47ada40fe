"""TACA: in joint attention the image looks at the text more than at itself, while it is noise.

Zhengyao Lv, Tianlin Pan, Chenyang Si, Zhaoxi Chen, Wangmeng Zuo, Ziwei Liu, Kwan-Yee K. Wong,
"TACA: Rethinking Cross-Modal Interaction in Multimodal Diffusion Transformers", ICCV 2025,
https://arxiv.org/abs/2506.07986

Shapes: B samples, A heads, N image queries, T text columns, K = T + 1.
"""

from __future__ import annotations

from torch import Tensor

from adhere.methods.base import AttentionMethod, LayerContext
from adhere.methods.reading import Subjects
from adhere.methods.schedule import Step, check_window
from adhere.typed import Fraction, NonNegative, typed


@typed
class TACA(AttentionMethod):
    """Multiplies the scores of text seen by the image, in the first steps.

    Image tokens outnumber text tokens in joint attention, so that text has little of the softmax.
    The paper also trains a low-rank adapter, which does not belong here.

    Attributes:
        gamma: factor of the scaled scores.
        above: timesteps, as parts of 1000, at and above which scores are multiplied.
        start: fraction of the loop at which editing begins.
        stop: fraction of the loop at which it ends.

    Source: arXiv 2506.07986, the temperature and the timestep that it ends at. The authors' code
        takes a fixed number of text columns for each model, where this takes those that the call
        has.
    """

    gamma: NonNegative = 1.2
    above: Fraction = 0.97
    start: Fraction = 0.0
    stop: Fraction = 1.0

    name = "taca"
    paper = "TACA, arXiv 2506.07986"
    bibtex = """@inproceedings{lv2025taca,
  title     = {Rethinking Cross-Modal Interaction in Multimodal Diffusion Transformers},
  author    = {Lv, Zhengyao and Pan, Tianlin and Si, Chenyang and Chen, Zhaoxi and Zuo, Wangmeng and Liu, Ziwei and Wong, Kwan-Yee K.},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision},
  year      = {2025},
  note      = {arXiv:2506.07986}
}"""  # noqa: E501
    needs_joint_attention = True

    def __post_init__(self) -> None:
        check_window(self.start, self.stop)

    @classmethod
    def official(cls) -> TACA:
        """The same numbers."""
        return cls()

    def is_active(self, step: Step) -> bool:
        """Whether this step lies in the window, and the image is noise enough."""
        return step.within(self.start, self.stop) and step.timestep >= 1000 * self.above

    def edits(self, subjects: Subjects) -> bool:
        """Always, unless the factor is 1."""
        return self.gamma != 1

    def probabilities(self, scores: Tensor, context: LayerContext) -> Tensor:
        """The softmax with the scores of the text multiplied, (B, A, N, K)."""
        warmed = scores.clone()
        warmed[..., : len(context.columns)] *= self.gamma
        return warmed.softmax(-1)
