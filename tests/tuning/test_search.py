"""The search: resumable, refused with other settings, reported on what chose nothing."""

import numpy as np
import pytest

from adhere import cli
from adhere.drawing.loading import load
from adhere.evaluation.prompts import prompt_set
from adhere.evaluation.scorers import scorer
from adhere.methods import make
from adhere.tuning import search as searching

PROMPTS = prompt_set("attend-and-excite-animals").prompts
VALIDATION = searching.Split(PROMPTS[:2], (0,))
SEARCH = searching.Search(
    "attend-and-excite", ("temperature", "refine_at"), VALIDATION, steps=2, trials=2
)


@pytest.fixture(scope="module")
def mini():
    return load("mini"), scorer("mini")


def test_a_stopped_search_goes_on_and_refuses_other_settings(mini, tmp_path):
    storage = tmp_path / "search.sqlite"
    told = []

    def stop(number, value, parameters):
        told.append((number, parameters))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searching.tune(SEARCH, *mini, storage, stop)
    best = searching.tune(SEARCH, *mini, storage, lambda *trial: told.append(trial[::2]))
    assert [number for number, _ in told] == [0, 1]
    default = make("attend-and-excite")
    assert told[0][1]["temperature"] == default.temperature
    assert told[1][1] != told[0][1]
    assert type(best) is type(default)
    other = searching.Search("attend-and-excite", ("temperature",), VALIDATION, steps=2, trials=3)
    with pytest.raises(ValueError, match=r"other settings \(parameters\)"):
        searching.tune(other, *mini, storage)
    (tmp_path / "text.sqlite").write_text("no database" * 200)
    with pytest.raises(ValueError, match="is no database of a search"):
        searching.tune(SEARCH, *mini, tmp_path / "text.sqlite")


def test_a_split_of_one_prompt_chooses_nothing():
    with pytest.raises(ValueError, match="has 1 prompt; a search needs at least 2"):
        searching.Search("attend-and-excite", ("temperature",), searching.Split(PROMPTS[:1], (0,)))


def test_a_report_needs_other_prompts_and_seeds():
    same_seed = searching.Split(PROMPTS[2:4], (0,))
    with pytest.raises(ValueError, match="the seed 0 is in the validation split"):
        searching.check_apart(VALIDATION, same_seed)
    same_prompt = searching.Split(PROMPTS[1:3], (1,))
    with pytest.raises(ValueError, match="is in the validation split and in the report"):
        searching.check_apart(VALIDATION, same_prompt)
    searching.check_apart(VALIDATION, searching.Split(PROMPTS[2:4], (1,)))


def test_only_numbers_and_switches_are_searched():
    method = make("divide-and-bind")
    kinds = searching.space(method, ("step_size", "binding", "refine_at", "max_refinements"))
    assert [kind for kind, *_ in kinds.values()] == ["float", "switch", "pairs", "int"]
    assert kinds["step_size"][1:] == (2.0, 200.0)
    with pytest.raises(ValueError, match="'layers' of divide-and-bind"):
        searching.space(method, ("layers",))
    with pytest.raises(ValueError, match="step_sizes"):
        searching.space(method, ("step_sizes",))


def test_the_report_has_each_method_with_its_gain():
    values = {"baseline": 0.25, "tuned": 0.75}
    lines = searching.reported(
        {name: name for name in values},
        VALIDATION,
        lambda name, _: searching.Score(np.full((2, 1), values[name]), 0.5),
        "baseline",
    )
    assert lines[0] == "2 prompts, seeds 0"
    assert "tuned" in lines[2] and "+50.0%" in lines[2] and "0.50 passes" in lines[2]


def test_the_command_says_what_is_wrong_in_one_line(capsys, tmp_path):
    out = ["--out", str(tmp_path / "x.sqlite")]
    for words, said in (
        (["tune", "attend-and-excite", "--prompts", "1", *out], "has 1 prompt"),
        (["tune", "attend-and-excit", *out], "attend-and-excite"),
        (["tune", "attend-and-excite", "--report-seeds", "1", *out], "the seed 1 is in"),
        (["calibrate", "no-such-model"], "no-such-model"),
    ):
        assert cli.main(words) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x.sqlite").exists()
