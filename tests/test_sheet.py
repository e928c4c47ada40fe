import numpy as np
import pytest
from PIL import Image, ImageChops

from adhere.figures.sheet import _legible, heat, make_sheet, over

RED = Image.new("RGB", (64, 32), (255, 0, 0))


def ink(sheet):
    """The box of all that is not paper."""
    return ImageChops.invert(sheet).getbbox()


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("title", ["a cat", "a cat and " * 60, "x" * 400])
def test_nothing_reaches_the_edge(columns, title):
    sheet = make_sheet(
        [[RED] * columns, [None] * columns],
        rows=[("attend-and-excite", "1.25 x baseline, 3.2 s", "45 short passes"), ("y" * 80,)],
        columns=[f"seed {i}" for i in range(columns)],
        title=title,
        note="a note",
        cell=300,
    )
    left, top, right, bottom = ink(sheet)
    assert left >= 20 and top >= 20
    assert right <= sheet.width - 20 and bottom <= sheet.height - 20


def test_labels_do_not_touch_pictures():
    sheet = make_sheet([[RED]], rows=[("w" * 60,)], columns=["s"], title="t", cell=100)
    pixels = np.asarray(sheet).astype(int)
    red = (pixels == (255, 0, 0)).all(-1)
    assert red.sum() == 100 * 50
    first = red.any(0).argmax()
    assert (pixels[red.any(1)][:, first - 8 : first] == 255).all()


def test_pictures_of_several_shapes_share_a_grid():
    tall = Image.new("RGB", (32, 64), (0, 0, 255))
    sheet = make_sheet([[RED, tall]], rows=[("r",)], columns=["a", "b"], title="t", cell=100)
    pixels = np.asarray(sheet)
    assert (pixels == (255, 0, 0)).all(-1).sum() == (pixels == (0, 0, 255)).all(-1).sum() == 5000


def test_letters_that_the_font_lacks_lose_their_accent():
    assert "".join(map(_legible, "é ñ\tab→")) in ("e n ab?", "é ñ ab→", "é ñ ab?")


def test_heat_is_dark_at_zero_and_bright_at_the_top():
    picture = heat(np.array([[0.0, 0.25, 0.5, 1.0, 2.0]]), brightest=1.0)
    light = list(picture.convert("L").get_flattened_data())
    assert light == sorted(light) and light[0] < 30 and light[-1] > 200
    assert light[-1] == light[-2]
    assert heat(np.zeros((2, 2)), brightest=0.0).size == (2, 2)


def test_where_there_is_no_heat_the_picture_shows():
    veiled = over(RED, np.array([[0.0] * 8 + [1.0] * 8] * 8), 1.0)
    assert veiled.size == RED.size
    assert veiled.getpixel((2, 16)) == (76, 76, 76)
    assert sum(veiled.getpixel((62, 16))) > 500


def test_labels_of_columns_stay_in_their_column():
    pictures = [[Image.new("RGB", (64, 64), "white")] * 2]
    short = make_sheet(pictures, rows=[("",)], columns=["a", ""], title="", cell=64)
    long = make_sheet(pictures, rows=[("",)], columns=["green backpack", ""], title="", cell=64)
    assert long.height > short.height
    second = long.crop((24 + 64 + 8, 0, long.width, long.height))
    assert np.asarray(second).min() == 255
