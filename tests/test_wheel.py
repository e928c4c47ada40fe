"""The wheel has what it needs and nothing else, and draws where nothing of the repository is."""

import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import adhere

ROOT = Path(__file__).parents[1]
MOST_BYTES = 50 * 2**20
INFO = f"adhere-{adhere.__version__}.dist-info"
DRAW = """
import sys
sys.path.insert(0, sys.argv[1])
import adhere
assert adhere.__file__.startswith(sys.argv[1]), adhere.__file__
from adhere import cli
sys.exit(cli.main(["draw", "a cat and a frog", "--steps", "2", "--out", "images"]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the working tree, built by the project's own backend."""
    out = tmp_path_factory.mktemp("wheel")
    code = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, check=True, text=True)
    (file,) = out.glob("*.whl")
    return file


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    with ZipFile(wheel) as archive:
        names = {info.filename for info in archive.infolist() if not info.is_dir()}
    package = {name for name in names if name.startswith("adhere/")}
    assert {name.split("/")[0] for name in names - package} == {
        f"adhere-{adhere.__version__}.dist-info"
    }
    sources = (ROOT / "src" / "adhere").rglob("*")
    there = {str(f.relative_to(ROOT / "src")) for f in sources if f.is_file()}
    assert package == {name for name in there if "__pycache__" not in name}
    assert wheel.stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_the_wheel_draws_without_the_repository(wheel, tmp_path):
    site = tmp_path / "site"
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "images").glob("*.png"))) == 1


@pytest.mark.parametrize("name", ["torch", "diffusers", "transformers"])
def test_the_oldest_version_allowed_is_one_that_is_tested(name):
    floor = re.search(rf'"{name}>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    tested = re.search(rf"^{name}==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.M)[1]
    assert tested.split(".")[:2] == floor.split(".")[:2]
