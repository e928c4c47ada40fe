"""Turn emoji artwork into the sprite file of the bundled model's world.

    npm install @iconify-json/noto @iconify-json/fluent-emoji-flat @iconify-json/twemoji
    python recipes/make_sprites.py node_modules/@iconify-json

writes `training/artwork/sprites.png` (one RGBA cell a sprite) and `sprites.json` (what each
cell holds, from which artwork, under which licence). A bench exists in none of the sets, so
benches are drawn here.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image
from training.world.sprites import digest

from adhere.mini.vocabulary import SUBJECTS

CELL = 96
DATA = Path(__file__).parents[1] / "training/artwork"

STYLES = {
    "noto": {"package": "noto", "author": "Google Inc.", "work": "Noto Emoji"},
    "fluent": {
        "package": "fluent-emoji-flat",
        "author": "Microsoft Corporation",
        "work": "Fluent Emoji",
    },
    "twemoji": {
        "package": "twemoji",
        "author": "Twitter, Inc and other contributors",
        "work": "Twemoji",
    },
}

ICONS = {
    "cat": "cat-face", "dog": "dog-face", "bird": "bird", "bear": "bear", "lion": "lion",
    "horse": "horse-face", "elephant": "elephant", "monkey": "monkey-face", "frog": "frog",
    "turtle": "turtle", "rabbit": "rabbit-face", "mouse": "mouse-face", "backpack": "backpack",
    "crown": "crown", "suitcase": "luggage", "chair": "chair", "balloon": "balloon",
    "bow": "ribbon", "car": "automobile", "bowl": "bowl-with-spoon", "clock": "alarm-clock",
    "apple": "red-apple", "glasses": "glasses",
}  # fmt: skip

# (plank, plank edge, leg): the palettes of the three drawn benches.
BENCH_WOOD = {
    "noto": ("#b5793f", "#8f5b2b", "#5d4037"),
    "fluent": ("#a56953", "#83503f", "#6d4534"),
    "twemoji": ("#c1694f", "#a0543d", "#662113"),
}


def bench_svg(style: str) -> str:
    """A park bench seen from the front, in the wood of a style."""
    plank, edge, leg = BENCH_WOOD[style]
    round_by = {"noto": 5, "fluent": 3, "twemoji": 8}[style]
    legs = "".join(
        f'<rect x="{x}" y="62" width="9" height="44" rx="3" fill="{leg}"/>' for x in (16, 103)
    )
    posts = "".join(
        f'<rect x="{x}" y="24" width="8" height="44" rx="2" fill="{leg}"/>' for x in (24, 96)
    )
    planks = "".join(
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{round_by}" fill="{edge}"/>'
        f'<rect x="{x}" y="{y}" width="{w}" height="{h - 4}" rx="{round_by}" fill="{plank}"/>'
        for x, y, w, h in ((8, 26, 112, 14), (8, 44, 112, 14), (4, 64, 120, 16))
    )
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">'
    return f"{head}{posts}{legs}{planks}</svg>"


def icon_svg(icons: dict, name: str) -> str:
    """One icon of an iconify collection as a whole SVG."""
    name = icons.get("aliases", {}).get(name, {}).get("parent", name)
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
        f"{icon['body']}</svg>"
    )


def render(svg: str) -> Image.Image:
    """An SVG as an RGBA cell, cropped to what is seen and centred, its longer side filling."""
    large = Image.open(
        io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=4 * CELL, height=4 * CELL)))
    ).convert("RGBA")
    seen = large.crop(large.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())
    scale = CELL / max(seen.size)
    small = seen.resize([max(1, round(side * scale)) for side in seen.size], Image.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(small, ((CELL - small.width) // 2, (CELL - small.height) // 2))
    # Fully transparent pixels carry no colour, so that the file does not depend on the renderer.
    pixels = np.array(cell)
    pixels[pixels[..., 3] == 0] = 0
    return Image.fromarray(pixels)


def main(collections: Path) -> None:
    """Write the sprite sheet and its index."""
    sheet = Image.new("RGBA", (CELL * len(SUBJECTS), CELL * len(STYLES)))
    sources = []
    for row, (style, source) in enumerate(STYLES.items()):
        folder = collections / source["package"]
        icons = json.loads((folder / "icons.json").read_text())
        info = json.loads((folder / "info.json").read_text())
        package = json.loads((folder / "package.json").read_text())
        for column, subject in enumerate(SUBJECTS):
            svg = bench_svg(style) if subject == "bench" else icon_svg(icons, ICONS[subject])
            sheet.paste(render(svg), (CELL * column, CELL * row))
        sources.append(
            {
                "style": style,
                "work": source["work"],
                "author": source["author"],
                "licence": info["license"]["spdx"],
                "licence_url": info["license"]["url"],
                "package": f"{package['name']}@{package['version']}",
                "icons": {s: ICONS.get(s, "drawn for adhere") for s in SUBJECTS},
                "changes": "rendered, cropped, scaled; objects are recoloured when drawn",
            }
        )
    DATA.mkdir(parents=True, exist_ok=True)
    sheet.save(DATA / "sprites.png", optimize=True)
    index = {
        "cell": CELL,
        "subjects": list(SUBJECTS),
        "styles": list(STYLES),
        "sources": sources,
    }
    index["sha256"] = digest(index, np.array(sheet))
    (DATA / "sprites.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
