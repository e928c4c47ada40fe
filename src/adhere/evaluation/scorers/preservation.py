"""How much of the baseline image of the same seed a method leaves as it was."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from adhere.evaluation.scorers.base import (
    Baselines,
    Images,
    Judgement,
    Metric,
    Prompts,
    Scorer,
    Values,
)
from adhere.evaluation.scorers.weights import Model, find

MODEL = "facebook/dinov2-base"


class PixelScorer(Scorer):
    """Distance of pixels to the baseline image.

    Args:
        model: None, as it needs none.

    Raises:
        ValueError: a model is given, or scikit-image is missing.

    Source:
        The structural similarity is that of Wang and others (IEEE Transactions on Image
        Processing 13, 2004) with their Gaussian window, of gray images.
    """

    name = "pixels"
    metrics = (
        Metric(
            "pixel-difference",
            "preservation",
            False,
            "Mean absolute difference to the plain picture, 0…1.",
        ),
        Metric(
            "structural-similarity",
            "preservation",
            True,
            "Structural similarity (SSIM) with the plain picture; 1 for the same.",
        ),
    )
    compares_to_baseline = True

    def __init__(self, model: None = None) -> None:
        if model is not None:
            raise ValueError(
                f"The scorer 'pixels' takes no model, and got {model!r}; leave it out."
            )
        try:
            import skimage  # noqa: F401
        except ImportError as error:
            raise ValueError(
                "The scorer 'pixels' needs scikit-image; install it with "
                "pip install 'adhere[evaluate]'."
            ) from error
        self.identity = {
            "model": "none",
            "revision": f"scikit-image {version('scikit-image')}",
            "precision": "8-bit pictures, float64",
            "window": "Gaussian, sigma 1.5",
            "scale": "0 to 1, structural similarity -1 to 1",
        }

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Compares each image with its baseline."""
        return [
            Judgement(self._compared(image, other))
            for image, other in zip(images, baseline, strict=True)
        ]

    def _compared(self, image: Image.Image, baseline: Image.Image | None) -> Values:
        if baseline is None or baseline.size != image.size:
            return {metric.name: None for metric in self.metrics}
        own, other = (
            np.asarray(p.convert("RGB"), dtype=np.float64) / 255 for p in (image, baseline)
        )
        return {
            "pixel-difference": float(np.abs(own - other).mean()),
            "structural-similarity": structural_similarity(image, baseline),
        }


def structural_similarity(image: Image.Image, other: Image.Image) -> float | None:
    """SSIM of two images of one size, in gray; None where the window does not fit in."""
    from skimage.metrics import structural_similarity as of_arrays

    # The window reaches 3.5 sigma to each side.
    if min(image.size) < 11:
        return None
    own, theirs = (np.asarray(p.convert("L")) for p in (image, other))
    value = of_arrays(
        own, theirs, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(np.asarray(value))


class Dinov2Scorer(Scorer):
    """Distance to the baseline image in the features of DINOv2.

    In place of LPIPS, whose weights come only as pickles, and whose distances are of textures:
    this one tells whether the same things stand there. The numbers are not LPIPS's.

    Args:
        model: a DINOv2 as a folder or an id on the hub.

    Raises:
        ValueError: there is no such model.

    Source:
        arXiv 2304.07193.
    """

    name = "dinov2"
    metrics = (
        Metric(
            "dinov2-distance",
            "preservation",
            False,
            "1 minus the cosine of DINOv2 features of the image and of the baseline's.",
        ),
    )
    compares_to_baseline = True

    def __init__(self, model: str | None = None) -> None:
        from transformers import Dinov2Model

        self._model = Model.load(Dinov2Model, find(model or MODEL), text=False)
        self.identity = self._model.identity | {
            "feature": "class token after the last norm",
            "scale": "1 - cosine",
        }

    def judge(self, images: Images, prompts: Prompts, baseline: Baselines) -> list[Judgement]:
        """Compares each image with its baseline."""
        pairs = [
            (i, own, other)
            for i, (own, other) in enumerate(zip(images, baseline, strict=True))
            if other is not None
        ]
        values: list[Values] = [{"dinov2-distance": None} for _ in images]
        if pairs:
            cosines = F.cosine_similarity(
                self._features([own for _, own, _ in pairs]),
                self._features([other for _, _, other in pairs]),
            )
            for (i, _, _), cosine in zip(pairs, cosines.tolist(), strict=True):
                values[i] = {"dinov2-distance": max(0.0, 1 - cosine)}
        return [Judgement(one) for one in values]

    @torch.no_grad()
    def _features(self, images: Images) -> torch.Tensor:
        pixels = self._model.pixels(images)["pixel_values"]
        return self._model.network(pixel_values=pixels).pooler_output.float()
