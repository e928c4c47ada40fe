"""The notebook runs from top to bottom, but for its install."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "recipes" / "adhere.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs_and_shows_images(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in codes), "strip the outputs before committing"
    assert "install" in codes[0].metadata.tags and "pip install" in codes[0].source
    notebook.cells.remove(codes[0])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in codes[1:] for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    told = "".join(output.get("text", "") for output in outputs)
    assert "['backpack', 'chair']" in told
    first, last = (float(word) for word in told.split("nursed step: ")[1].split()[:2])
    assert last < first
