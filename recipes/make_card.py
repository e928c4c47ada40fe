"""Write the bundled model's card and its sample sheets from the figures that were measured.

python -m adhere.mini.gates --out src/adhere/mini/weights/figures.json
python recipes/make_card.py
"""

import json
from pathlib import Path

from PIL import Image

from adhere import mini
from adhere.mini import gates, world
from adhere.mini.train.dial import Recipe
from adhere.mini.train.text import vocabulary
from adhere.mini.world import mix
from adhere.sheet import make_sheet

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
# How long the bundled weights took, on what; LOG.md has the course of it.
TRAINING = (
    "The bundled weights took one sitting on two CPU cores without a GPU, shared with other work: "
    "autoencoder 2,000 steps of 32 crops in 17 minutes on two cores, denoiser 3,000 steps of 32 "
    "(96,000 samples) in 66 minutes on one core, scorer 1,000 steps of 64 in 30 minutes on part "
    "of one. More training is expected to make it better."
)


def _row(name: str, of: dict) -> str:
    """One method's line of the table."""
    low, high = of["present_interval"]
    gain = (
        ""
        if name == "plain"
        else "{:+.1%} ({:+.1%} to {:+.1%})".format(of["gain"], *of["gain_interval"])
    )
    cells = (
        f"`{name}`" if gain else name,
        f"{of['present']:.1%}",
        f"{low:.1%} to {high:.1%}",
        gain,
        f"{of['present_seen']:.1%}",
        f"{of['present_unseen']:.1%}",
        f"{of['mixed']:.1%}",
        f"{of['seconds_ratio']:.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Write the card and the sheets."""
    pipe = mini.load()
    figures = json.loads((mini.folder() / "figures.json").read_text())
    PICTURES.mkdir(parents=True, exist_ok=True)
    names = [f"a {subject}" for subject in world.SUBJECTS]
    tiles = [Image.fromarray(p) for p in gates.pictures_of(pipe, names, [0])]
    make_sheet(
        [tiles[i : i + 8] for i in (0, 8, 16)],
        rows=[(), (), ()],
        columns=[""] * 8,
        title="",
        cell=128,
    ).save(PICTURES / "mini-singles.png", optimize=True)
    prompts = [p.text for p in gates.attend_and_excite("animals").prompts[:8]]
    tiles = [Image.fromarray(p) for p in gates.pictures_of(pipe, prompts, range(4))]
    make_sheet(
        [tiles[4 * i : 4 * i + 4] for i in range(8)],
        rows=[(text,) for text in prompts],
        columns=[f"seed {i}" for i in range(4)],
        title="",
        cell=128,
    ).save(PICTURES / "mini-pairs.png", optimize=True)
    millions = {
        part: sum(p.numel() for p in getattr(pipe, name).parameters()) / 1e6
        for part, name in (("text", "text_encoder"), ("unet", "unet"), ("vae", "vae"))
    }
    rows = "\n".join(
        f"| {name} | {figure} | {threshold} | {'yes' if holds else 'not yet'} |"
        for name, figure, threshold, holds in gates.verdicts(figures)
    )
    one, two, three = mix.SUBJECT_COUNTS
    kinds = mix.BACKGROUND_KINDS
    methods = "\n".join(_row(name, of) for name, of in figures["animals"].items())
    weights = [p for p in mini.folder().rglob("*.safetensors")]
    card = (
        (ROOT / "recipes/card.md")
        .read_text()
        .format(
            mebibytes=sum(p.stat().st_size for p in weights) / 2**20,
            subjects=len(world.SUBJECTS),
            colours=len(world.COLOURS),
            backgrounds=len(world.BACKGROUNDS),
            words=len(vocabulary()),
            rows=rows,
            seeds=figures["protocol"],
            dial=Recipe().dial,
            training=TRAINING,
            one=one,
            two=two,
            three=three,
            twins=mix.TWINS,
            painted=mix.PAINTED,
            forget=mix.FORGET,
            **millions,
            **kinds,
            methods=methods,
        )
    )
    (mini.folder() / "README.md").write_text(card)


if __name__ == "__main__":
    main()
