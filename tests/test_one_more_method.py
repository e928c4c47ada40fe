"""One more method is one file and one entry in the documentation, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OFFICIAL = '''    name = "keep-apart"
    paper = "A toy paper"

    @classmethod
    def official(cls) -> KeepApart:
        """The same."""
        return cls()
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository with a toy paper's method in it."""
    folder = tmp_path_factory.mktemp("copy")
    heavy = shutil.ignore_patterns("__pycache__", "weights", "results", "pictures", "labelled")
    for name in ("src", "tests", "docs", "recipes", "benchmarks", "training"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name, ignore=heavy)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "src/adhere/mini/weights").symlink_to(ROOT / "src/adhere/mini/weights")

    guide = (ROOT / "docs/adding-a-method.md").read_text()
    [code] = [c for c in re.findall(r"```python\n(.*?)```", guide, re.S) if "class KeepApart" in c]
    assert '    name = "keep-apart"\n' in code
    file = folder / "src/adhere/methods/keep_apart.py"
    file.write_text(code.replace('    name = "keep-apart"\n', OFFICIAL))

    page = (folder / "docs/methods/a-star.md").read_text()
    page = page.replace("methods.AStar", "methods.KeepApart")
    (folder / "docs/methods/keep-apart.md").write_text(page)
    python(folder, "docs/make_methods.py")
    return folder


def python(folder, *arguments):
    """What Python says in the copy, where it must succeed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)])}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run(folder, *arguments):
    """The tests of the copy, which must all pass; how many there were."""
    return python(folder, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments)


@pytest.mark.slow
def test_the_laws_the_registry_and_the_documentation_know_it(copy):
    said = run(
        copy,
        "tests/test_laws.py",
        "tests/test_docs.py::test_a_page_lists_the_parameters_of_its_class",
        "tests/test_docs.py::test_the_tables_to_choose_from_say_what_the_pages_say",
        "tests/test_package.py",
        "tests/methods/test_sums.py::test_every_method_meets_every_family",
        "tests/methods/test_phrases.py",
        "-k",
        "table or keep-apart or KeepApart or every_family",
        "-rA",
    )
    assert set(re.findall(r"^PASSED tests/test_laws.py::(\w+)", said, re.M)) == {
        "test_a_step_size_of_nothing_changes_no_bit",
        "test_leaving_the_block_restores_everything",
        "test_leaving_the_block_restores_every_scheduler",
        "test_a_batch_equals_its_samples_one_by_one_for_every_method",
        "test_one_small_step_lowers_the_loss_of_every_method",
        "test_any_size_and_shape",
    }
