"""The README's commands are the ones that CI runs; the pages beside it name real tests."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from make_table import TABLES, marks, table  # noqa: E402

README = (ROOT / "README.md").read_text()
TESTED = (ROOT / "docs" / "what-is-tested.md").read_text()
WORKS = (ROOT / "docs" / "does-it-work.md").read_text() + README


def commands():
    return [
        line
        for block in re.findall(r"```sh\n(.*?)```", README, re.S)
        for line in block.splitlines()
    ]


def test_ci_runs_the_test_command_of_the_readme():
    (test,) = (line for line in commands() if "-m pytest" in line)
    assert test in (ROOT / ".ci/run").read_text().splitlines()


def test_both_set_up_commands_pin_what_they_install():
    set_up = [line for line in commands() if "pip install" in line]
    assert len(set_up) == 2
    assert all("-c constraints.txt" in line for line in set_up)


def test_every_test_that_the_pages_name_exists():
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(?:test_\w+\.py::)?(test_\w+)`", README + TESTED)
    assert len(named) > 10
    assert not [name for name in named if f"def {name}(" not in sources]
    for file in re.findall(r"`((?:families/)?test_\w+\.py)", README + TESTED):
        assert (ROOT / "tests" / file).exists(), file


def test_every_image_and_page_that_the_readme_links_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("name", TABLES)
def test_its_tables_are_those_of_the_reports(name):
    """`python docs/make_table.py` writes them."""
    begin, end = marks(name)
    assert WORKS[WORKS.index(begin) + len(begin) : WORKS.index(end)] == table(name)
