"""A small part of a published run, repeated from its plan.toml, has the scores of its report."""

from pathlib import Path

import pytest
from benchmarks.repeat import repeated

from adhere.evaluation.planfile import read_plan

RESULTS = sorted((Path(__file__).parents[1] / "docs" / "results").glob("*/plan.toml"))


@pytest.mark.parametrize("plan", RESULTS, ids=lambda path: path.parent.name)
def test_the_plan_of_a_published_run_is_read(plan):
    file = read_plan(plan)
    assert len(file.built()) > 1 and file.prompt_sets(plan.parent)


@pytest.mark.slow
def test_a_part_of_a_published_run_is_repeated(tmp_path):
    [results] = [path.parent for path in RESULTS if path.parent.name == "mini"]
    scores, _ = repeated(results, 1, tmp_path / "run")
    assert {one.condition for one in scores} == {"none", "emergent-layout"}
    assert {one.metric for one in scores} >= {"pixel-difference", "structural-similarity"}
    for one in scores:
        # Another processor rounds otherwise; another image of the seed differs by more than 0.1.
        assert one.now == pytest.approx(one.published, abs=0.01), one
