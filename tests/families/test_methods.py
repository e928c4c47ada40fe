"""Every method on every family: it runs and moves the latents, or is refused with the reason."""

import sys
from pathlib import Path

import pytest

import adhere
from adhere.families.rows import ROWS

from . import FAMILIES
from .outcomes import TOYS, outcome

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from make_methods import PAGES, read  # noqa: E402

TABLES = [read(page.read_text(encoding="utf-8")) for page in PAGES]


@pytest.mark.filterwarnings("ignore:.*nursed nothing:UserWarning")
@pytest.mark.parametrize("family", TOYS)
def test_methods_run_or_are_refused_as_the_table_says(family):
    found = {(family, method): outcome(family, method) for method in adhere.METHODS}
    for table in TABLES:
        written = {key: said for key, said in table.items() if key[0] == family}
        assert written == found, "run python docs/make_methods.py"


def test_every_transformer_has_a_family_in_the_table():
    built = {
        type(FAMILIES[name].build().transformer).__name__
        for name in TOYS.values()
        if isinstance(name, str)
    }
    assert built == set(ROWS)
