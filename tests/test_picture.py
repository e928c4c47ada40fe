import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from adhere.drawing.png import check_writable, png, read_recipe, save_bytes, save_image, slug
from test_recipe import RECIPE

PICTURE = Image.new("RGB", (8, 8), (200, 30, 30))


def test_a_picture_carries_its_recipe(tmp_path):
    path = save_image(PICTURE, RECIPE, tmp_path / "new" / "folder")
    assert read_recipe(path) == RECIPE
    assert path.name.startswith("a-red-cat-and-a-frog-seed3-")
    with Image.open(path) as picture:
        assert picture.info["parameters"] == RECIPE.parameters_text()
        assert list(picture.get_flattened_data()) == list(PICTURE.get_flattened_data())
    assert os.listdir(path.parent) == [path.name]


def test_any_language_goes_in_and_comes_out(tmp_path):
    recipe = replace(RECIPE, prompt="ein Frosch über der Brücke, 猫 🐸\nSteps: 3\0")
    path = save_image(PICTURE, recipe, tmp_path)
    assert read_recipe(path) == recipe
    assert path.name.startswith("ein-frosch-uber-der-brucke-steps-3-seed3-")


@given(st.text(max_size=300))
def test_a_prompt_never_becomes_a_path(text):
    name = slug(text)
    assert name and len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name.strip("-") == name


@pytest.mark.parametrize("text", ["../../etc/passwd", "/", "..", "~", "C:\\x", "", "猫", "\0"])
def test_paths_in_a_prompt_are_words(text, tmp_path):
    path = save_image(PICTURE, replace(RECIPE, prompt=text), tmp_path)
    assert path.parent == tmp_path


def test_the_same_picture_is_written_once(tmp_path):
    first = save_image(PICTURE, RECIPE, tmp_path)
    assert save_image(PICTURE, RECIPE, tmp_path) == first
    assert len(os.listdir(tmp_path)) == 1


def test_another_picture_is_never_overwritten(tmp_path):
    paths = [save_bytes(data, tmp_path, "x", ".png") for data in (b"one", b"two", b"three")]
    assert [path.name for path in paths] == ["x.png", "x-2.png", "x-3.png"]
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three"]
    assert save_bytes(b"two", tmp_path, "x", ".png") == paths[1]


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path):
    (tmp_path / "x.png").symlink_to(tmp_path / "elsewhere")
    assert save_bytes(b"one", tmp_path, "x", ".png").name == "x-2.png"
    assert not (tmp_path / "elsewhere").exists()


def test_pictures_can_be_read_by_whom_the_folder_allows(tmp_path):
    path = save_bytes(b"one", tmp_path, "x", ".png")
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_looking_whether_a_folder_is_writable_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="choose another folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(ValueError, match="choose another folder"):
        check_writable(tmp_path / "file" / "below")
    for name in ("n" * 300, "nul\0", "/".join(["n" * 200] * 20)):
        with pytest.raises(ValueError, match="Nothing can be written .*choose another folder"):
            check_writable(tmp_path / name)


def test_strangers_files_are_refused(tmp_path):
    for name, data in {
        "text.png": b"no picture at all",
        "empty.png": b"",
        "plain.png": png(PICTURE, {}),
        "other.png": png(PICTURE, {"adhere": "{}"}),
        "huge.png": png(PICTURE, {"adhere": "x" * 300_000}),
        "cut.png": png(PICTURE, {"adhere": RECIPE.to_json()})[:60],
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}.*(PNG|recipe)"):
            read_recipe(tmp_path / name)
    PICTURE.save(tmp_path / "photo.jpg")
    with pytest.raises(ValueError, match="no PNG"):
        read_recipe(tmp_path / "photo.jpg")
    with pytest.raises(FileNotFoundError):
        read_recipe(tmp_path / "absent.png")
    with pytest.raises(IsADirectoryError):
        read_recipe(tmp_path)


def test_a_text_that_unpacks_without_end_is_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("adhere", "x" * 50_000_000, zip=True)
    PICTURE.save(tmp_path / "bomb.png", pnginfo=info)
    with pytest.raises(ValueError, match=r"PNG|recipe"):
        read_recipe(tmp_path / "bomb.png")
