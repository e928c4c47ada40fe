"""`adhere redraw`: images once more, from the recipes inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def redraw(
    pngs: list[str] | None = None,
    *,
    model: str | None = None,
    device: str | None = None,
    out: str = "images",
) -> None:
    """Draw images again from the recipes inside them, and say whether they are the same.

      adhere redraw images/a-cat-and-a-frog-seed0-1a2b3c4d.png

    Args:
        pngs: images that adhere drew.
        model: in place of the one that the recipe names, see `adhere draw`.
        device: cpu, cuda, cuda:1 or mps; the recipe's without it.
        out: the folder that the images go to.
    """
    import numpy as np

    from adhere.cli.choosing import hush
    from adhere.cli.progress import bar, say
    from adhere.drawing import redraw as draw_again
    from adhere.drawing.png import check_writable, read_pixels, read_recipe
    from adhere.drawing.redrawing import model_again

    if not pngs:
        raise ValueError("Got no image; name one that adhere drew.")
    check_writable(out)
    # All are read before the first is drawn.
    read = [(png, read_recipe(png), read_pixels(png)) for png in pngs]
    hush()
    loaded, of = None, None
    for png, recipe, before in read:
        asked = recipe.model, recipe.dtype, recipe.device
        if of != asked:
            loaded, of = model_again(recipe, model, device), asked
        with bar("again") as on_step:
            drawing = draw_again(recipe, model=loaded, on_step=on_step)
        now = np.asarray(drawing.images[0])
        [path] = drawing.save(out)
        say(f"{path}  {_compared(before, now, png)}")


def _compared(before: np.ndarray, now: np.ndarray, name: str) -> str:
    import numpy as np

    if before.shape != now.shape:
        return f"has another size than {name}, which was changed after it was drawn"
    apart = np.abs(before.astype(int) - now.astype(int))
    if not apart.any():
        return f"identical to {Path(name).name}"
    return (
        f"differs from {Path(name).name} in {(apart.max(-1) > 0).mean():.1%} of its pixels, "
        f"by at most {apart.max()} of 255"
    )
