"""The package's face: public names, cheap imports, citations."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import adhere


def test_importing_the_package_imports_no_torch():
    code = "import sys, adhere; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", [n for n in adhere.__all__ if n != "__version__"])
def test_every_public_name_is_there_and_has_a_docstring(name):
    value = getattr(adhere, name)
    assert name == "METHODS" or value.__doc__


@pytest.mark.slow
def test_benchmarks_and_recipes_find_what_they_import(tmp_path):
    root = Path(__file__).parents[1]
    files = [str(f) for folder in ("benchmarks", "recipes") for f in (root / folder).glob("*.py")]
    code = "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
    code += "[runpy.run_path(file) for file in sys.argv[2:]]"
    done = subprocess.run(
        [sys.executable, "-c", code, str(root / "benchmarks"), *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert len(files) > 15 and not done.returncode, done.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="paint"):
        adhere.paint  # noqa: B018


def test_citing_gives_each_paper_once():
    sum_of_two = adhere.AttendAndExcite() + 0.5 * adhere.DivideAndBind()
    text = adhere.cite(adhere.AttendAndExcite, sum_of_two, adhere.Watch())
    assert text.count("@") == 2
    assert "2301.13826" in text and "2307.10864" in text


def test_it_is_cited_by_the_version_that_it_is():
    said = (Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert f"\nversion: {adhere.__version__}\n" in said


@pytest.mark.parametrize("name", adhere.METHODS)
def test_every_method_says_its_paper_and_its_numbers(name):
    method = adhere.METHODS[name]
    assert method.name == name
    assert hash(method()) == hash(method())
    assert method.__doc__ and "Attributes:" in method.__doc__


@pytest.mark.parametrize("room", ["attention", "families", "methods", "nursing"])
def test_a_file_of_the_core_has_at_most_300_lines(room):
    files = {f.name: f.read_text() for f in (Path(adhere.__file__).parent / room).glob("*.py")}
    longest = max(files, key=lambda name: files[name].count("\n"))
    assert files[longest].count("\n") <= 300, longest


def test_a_file_has_at_most_400_lines():
    files = {f: f.read_text().count("\n") for f in Path(adhere.__file__).parent.rglob("*.py")}
    longest = max(files, key=lambda file: files[file])
    assert files[longest] <= 400, longest


def test_every_warning_is_of_our_own_category():
    """The command shows warnings by their category alone."""
    source = Path(adhere.__file__).parent
    calls = [
        ast.unparse(node)
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn"
    ]
    assert len(calls) > 5
    assert [call for call in calls if "AdhereWarning" not in call] == []
