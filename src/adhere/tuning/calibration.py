"""Numbers of latent methods for a model, from images of single subjects.

Single subjects are drawn well by any model that pairs are worth nursing on. Their attention is
halved, as two subjects share an image. Then three numbers follow for every latent method:

- the temperature: that at which the peak of a subject's map depends most on the latents. A
  sharper softmax is saturated, a flatter one hardly tells words apart. Joint attention is read
  raw, without a softmax.
- the thresholds: what three of four well-drawn subjects reach.
- the step size: that which moves the latents, at the first step, by `SHIFT` of their length.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np

from adhere import draw
from adhere.drawing.loading import MINI, Loaded, load, local_folder
from adhere.evaluation.sets.words import ANIMALS, OBJECTS, with_article
from adhere.files import write_whole
from adhere.methods import make
from adhere.mini import bundled
from adhere.tuning.probe import CALIBRATED, Probe, Seen, Temperature, latent_methods

if TYPE_CHECKING:
    from PIL.Image import Image

    from adhere.methods import Method

FORMAT = "adhere calibration 1"
SUBJECTS = ANIMALS + OBJECTS
"""The subjects of Attend-and-Excite's own benchmark (arXiv 2301.13826)."""
TEMPERATURES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
SHIFT = 0.15
"""The part of the latents' length by which the first step moves them. Both methods whose numbers
were found by hand for the bundled model move by this much there: 0.17 and 0.13."""
FEWEST = 6
_JOINT = 0.99


@dataclass(frozen=True)
class Calibration:
    """Numbers of methods for one model, and what they were read from.

    Attributes:
        model: the name that was given.
        weights: SHA-256 of its weights.
        numbers: method name to parameters.
        steps: of the loop.
        seeds: the first and the last.
        asked: how many images were drawn.
        drawn: how many of them showed their subject.
        scorer: what looked at them; "none" where nothing did.
    """

    model: str
    weights: str
    numbers: Mapping[str, Mapping[str, Any]]
    steps: int
    seeds: tuple[int, int]
    asked: int
    drawn: int
    scorer: str

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(
            path, (json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n").encode()
        )


def calibrate(
    model: str | os.PathLike[str] | Loaded = MINI,
    *,
    subjects: Sequence[str] = SUBJECTS,
    seed: int = 0,
    steps: int = 25,
    scorer: str | None = None,
    device: str | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Numbers for every latent method, from one image of each subject alone.

    Args:
        model: see `adhere.draw`.
        subjects: singular nouns that the model can draw.
        seed: of the first image; the next ones follow.
        steps: of sampling.
        scorer: a scorer of `adhere evaluate` that tells whether a subject is present; images
            without their subject are left out. None takes the bundled model's own for "mini",
            and for others takes every image that is not a single colour.
        device: where the model is loaded to.
        on_image: called after each image with images done and their number.

    Raises:
        ValueError: fewer than `FEWEST` subjects were given, or drawn; or no gradient was found.
    """
    if len({*subjects}) < FEWEST:
        raise ValueError(
            f"Got {len({*subjects})} subjects; a calibration needs at least {FEWEST} different "
            "ones."
        )
    loaded = model if isinstance(model, Loaded) else load(model, device=device)
    name = loaded.source.name
    judge = scorer or ("mini" if name in bundled() else None)
    is_drawn = _judge(judge)
    methods = latent_methods()
    samples = []
    for number, subject in enumerate(subjects):
        probe = Probe(methods, (*TEMPERATURES, None))
        prompt = with_article(subject)
        drawing = draw(
            prompt,
            model=loaded,
            method=probe,
            subjects=[subject],
            seeds=[seed + number],
            steps=steps,
        )
        if is_drawn(drawing.images[0], prompt, subject):
            samples.append(probe.seen)
        if on_image is not None:
            on_image(number + 1, len(subjects))
    if len(samples) < FEWEST:
        raise ValueError(
            f"{name!r} drew {len(samples)} of {len(subjects)} single subjects, and a calibration "
            f"needs {FEWEST}. Give subjects that the model can draw, or more steps."
        )
    return Calibration(
        name,
        loaded.source.weights or "",
        numbers_from(samples, methods),
        steps,
        (seed, seed + len(subjects) - 1),
        len(subjects),
        len(samples),
        judge or "none",
    )


def numbers_from(samples: Sequence[Seen], methods: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Temperature, thresholds and step size of each method.

    A method whose loss says nothing of single subjects without attributes is left out.

    Raises:
        ValueError: no method's loss has a gradient.
    """
    temperature = temperature_from(samples)
    found = {}
    for name, method in methods.items():
        slope = median(one.slopes[name, temperature] for one in samples)
        if not (math.isfinite(slope) and slope > 0):
            continue
        thresholds = [
            (at, _short(quantiles(_scores(samples, name, temperature, at), n=4)[0]))
            for at, _ in method.refine_at
        ]
        found[name] = {
            "temperature": temperature,
            "step_size": _short(SHIFT / slope),
            "refine_at": thresholds,
        }
    if not found:
        raise ValueError(
            "The losses have no gradient on this model; use weights in float32 or bfloat16."
        )
    return found


def temperature_from(samples: Sequence[Seen]) -> Temperature:
    """That at which a peak's gradient is longest; None for joint attention."""
    if median(one.text_mass for one in samples) < _JOINT:
        return None
    return max(TEMPERATURES, key=lambda t: median(one.sharpness[t] for one in samples))


def _scores(
    samples: Sequence[Seen], name: str, temperature: Temperature, at: float
) -> list[float]:
    return [one.scores[name, temperature][at] for one in samples]


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _judge(name: str | None) -> Callable[[Image, str, str], bool]:
    if name is None:
        return lambda image, *_: bool(np.ptp(np.asarray(image.convert("L"))) > 8)
    from adhere.evaluation.scorers import scorer
    from adhere.evaluation.sets.prompt import Prompt, Wanted

    chosen = scorer(name)
    presence = [metric.name for metric in chosen.metrics if metric.group == "presence"]
    if not presence:
        raise ValueError(
            f"The scorer {name!r} does not tell whether a subject is present; give 'mini' for "
            "the bundled models, or 'owlv2'."
        )

    def is_drawn(image: Image, prompt: str, subject: str) -> bool:
        asked = Prompt(subject, prompt, (Wanted(subject),))
        value = chosen.judge([image], [asked], [None])[0].values[presence[0]]
        if value is None:
            raise ValueError(f"The scorer {name!r} does not know {subject!r}; leave it out.")
        return value > 0.5

    return is_drawn


def calibration_file(model: str, weights: str) -> Path:
    """Where a model's calibration is kept: in a folder of yours beside its weights, else apart.

    Args:
        model: "mini", a folder or a hub id.
        weights: SHA-256 of its weights.
    """
    folder = local_folder(model)
    if folder is not None and model not in bundled() and os.access(folder, os.W_OK):
        return folder / "calibration.json"
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "adhere" / "calibrations" / f"{weights[:16]}.json"


def read_calibration(path: Path, weights: str, model: str = "") -> Calibration:
    """A saved calibration.

    Args:
        path: its file.
        weights: SHA-256 of the weights that it must be of.
        model: how the error names the model.

    Raises:
        ValueError: there is none, it is damaged, or it is of other weights.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no calibration of {model or str(path)!r}; run `adhere calibrate` on it "
            "first."
        )
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        found = Calibration(**read | {"seeds": tuple(read["seeds"])})
        for name, numbers in found.numbers.items():
            if {*numbers} - {*CALIBRATED}:
                raise ValueError(f"it sets more than {', '.join(CALIBRATED)}")
            make(name, numbers)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is no calibration ({error}); run `adhere calibrate` again."
        ) from None
    if found.weights != weights:
        raise ValueError(
            f"{str(path)!r} was made with other weights; run `adhere calibrate` again."
        )
    return found


def calibrated(method: str, model: str | os.PathLike[str] | Loaded = MINI) -> Method:
    """A method with the numbers that `adhere calibrate` found for a model.

    Args:
        method: one of `METHODS`.
        model: see `adhere.draw`.

    Raises:
        ValueError: no such method, no calibration of this model, or one without the method.
    """
    make(method)
    loaded = model if isinstance(model, Loaded) else load(model)
    name, weights = loaded.source.name, loaded.source.weights or ""
    numbers = read_calibration(calibration_file(name, weights), weights, name).numbers
    if method not in numbers:
        raise ValueError(
            f"{method!r} is not calibrated; {', '.join(numbers) or 'no method'} can be, as these "
            f"have {', '.join(CALIBRATED)}."
        )
    return make(method, numbers[method])
