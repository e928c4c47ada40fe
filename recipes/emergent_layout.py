"""Draw the image of docs/emergent-layout.md: from the first attention maps to the finished image.

Usage:
    python recipes/emergent_layout.py [--model mini] [--seed 0] [--steps 25]

It writes docs/pictures/emergent-layout.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import adhere
from adhere.drawing.loading import load
from adhere.figures.sheet import make_sheet
from adhere.methods.phrases import Phrase, phrase_maps

PROMPTS = ("a red backpack and a blue chair", "a lion with a crown", "two cats and a dog")
COLUMNS = ("baseline", "first maps", "places", "emergent layout")
# One for each phrase of a prompt; readers who see no red or green can tell them apart.
INKS = np.array([(230, 97, 1), (26, 115, 200), (120, 200, 60)], dtype=np.float64)
CELL = 200
TARGET = Path(__file__).parents[1] / "docs" / "pictures" / "emergent-layout.png"

Seen = list[tuple[Tensor, Tensor]]


class Shown(adhere.EmergentLayout):
    """The method, which also keeps each reading's maps and places."""

    def _places(
        self, reading: Any, sample: int, phrases: tuple[Phrase, ...]
    ) -> list[tuple[Phrase, Tensor]]:
        places = super()._places(reading, sample, phrases)
        kept.append((phrase_maps(reading, sample, phrases), torch.stack([p for _, p in places])))
        return places


kept: Seen = []


def painted(maps: Tensor) -> Image.Image:
    """Maps (K, H, W) as one image: each in its ink, mixed on white by its strength."""
    shares = maps / maps.amax((-2, -1), keepdim=True).clamp_min(1e-12)
    shares = ((shares - 0.25) / 0.75).clamp_min(0).numpy()[..., None]
    paper = np.full((*shares.shape[1:3], 3), 255.0)
    for share, ink in zip(shares, INKS, strict=False):
        paper = paper * (1 - share) + ink * share
    return Image.fromarray(paper.round().astype(np.uint8)).resize(
        (CELL, CELL), Image.Resampling.BICUBIC
    )


def outlined(image: Image.Image, places: Tensor) -> Image.Image:
    """An image with each place (K, H, W) of 0 and 1 tinted in its ink."""
    result = image.convert("L").convert("RGB").resize((CELL, CELL))
    for place, ink in zip(places.numpy(), INKS, strict=False):
        veil = Image.fromarray((place * 110).astype(np.uint8)).resize((CELL, CELL))
        result.paste(tuple(int(part) for part in ink), (0, 0, CELL, CELL), veil)
    return result


def main() -> None:
    """Draw each prompt, with the method and without."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=25)
    given = parser.parse_args()
    model = load(given.model)
    rows = []
    for prompt in PROMPTS:
        kept.clear()
        settings = {"model": model, "seeds": given.seed, "steps": given.steps}
        baseline = adhere.draw(prompt, method=None, **settings).images[0]
        nursed = adhere.draw(prompt, method=Shown(), **settings).images[0]
        first, last = kept[0], kept[-1]
        rows.append([baseline, painted(first[0]), outlined(nursed, last[1]), nursed])
    title = f"From the first attention maps to the image, seed {given.seed}"
    sheet = make_sheet(
        rows, rows=[(prompt,) for prompt in PROMPTS], columns=COLUMNS, title=title, cell=CELL
    )
    sheet.save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
