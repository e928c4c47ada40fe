"""The search: resumable, refused with other settings, reported on what chose nothing."""

from dataclasses import replace

import numpy as np
import pytest

from adhere import cli
from adhere.drawing.loading import load
from adhere.evaluation.prompts import prompt_set
from adhere.evaluation.scorers import scorer
from adhere.methods import make
from adhere.tuning import search as searching
from adhere.tuning.probe import CALIBRATED

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


def test_the_defaults_are_tried_though_the_search_was_stopped_while_they_were(mini, tmp_path):
    class Stopping:
        def __getattr__(self, name):
            return getattr(mini[1], name)

        def judge(self, *_):
            raise KeyboardInterrupt

    storage, told = tmp_path / "search.sqlite", []
    with pytest.raises(KeyboardInterrupt):
        searching.tune(SEARCH, mini[0], Stopping(), storage)
    searching.tune(SEARCH, *mini, storage, lambda *trial: told.append(trial[2]["temperature"]))
    default = make("attend-and-excite").temperature
    assert len(told) == 2 and told.count(default) == 1


def test_a_search_that_tried_nothing_may_begin_anew_with_other_settings(mini, tmp_path):
    storage = tmp_path / "search.sqlite"
    with pytest.raises(ValueError, match="5000 steps"):
        searching.tune(replace(SEARCH, steps=5000), *mini, storage)
    searching.tune(replace(SEARCH, trials=1), *mini, storage)
    with pytest.raises(ValueError, match=r"other settings \(steps\)"):
        searching.tune(replace(SEARCH, steps=3), *mini, storage)


@pytest.mark.filterwarnings("ignore:.* has a threshold at:UserWarning")
def test_parameters_that_a_method_refuses_together_end_no_search(mini, tmp_path):
    search = replace(SEARCH, parameters=("stop",), trials=14, steps=1)
    told = []
    best = searching.tune(search, *mini, tmp_path / "a.sqlite", lambda *trial: told.append(trial))
    assert best.stop <= 1 and 1 <= len(told) < 14
    kinds = searching.space(make("emergent-layout"), ("stop", "read_until"))
    assert [high for _, _, high in kinds.values()] == [1.0, 1.0]


def test_a_metric_that_is_about_none_of_the_prompts_is_refused(mini, tmp_path):
    search = replace(SEARCH, metric="relation-kept", steps=1)
    with pytest.raises(ValueError, match="says nothing of 'relation-kept' on these prompts"):
        searching.tune(search, *mini, tmp_path / "search.sqlite")


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
    with pytest.raises(ValueError, match="which cannot be searched; give some of step_size"):
        searching.space(make("conform"), ("refine_at",))
    with pytest.raises(ValueError, match="no metric 'mixture' of which more is better"):
        searching.drawer(None, scorer("mini"), "mixture", 2)
    with pytest.raises(ValueError, match="'layers' of divide-and-bind"):
        searching.space(method, ("layers",))
    with pytest.raises(ValueError, match="step_sizes"):
        searching.space(method, ("step_sizes",))


def test_without_names_a_method_is_searched_by_its_own_parameters(capsys, tmp_path):
    assert searching.usual(make("attend-and-excite")) == CALIBRATED
    assert searching.usual(make("a-star")) == ("temperature", "step_size")
    assert searching.usual(make("conform")) == ("step_size",)
    out = ["--out", str(tmp_path / "x.sqlite")]
    for method, can in (("token-reweighting", "alpha, beta,"), ("regions", "strength, softness,")):
        assert cli.main(["tune", method, *out]) == 2
        told = capsys.readouterr().err
        assert f"{method} has none of temperature, step_size, refine_at" in told
        assert f"--parameters with some of {can}" in told


def test_a_prompt_that_cannot_be_nursed_is_named_before_anything_is_drawn(capsys, tmp_path):
    path, out = tmp_path / "odd.txt", tmp_path / "x.sqlite"
    for odd, reason in (("!!!", "No noun was found"), ("a cat", "needs at least 2 subjects")):
        path.write_text(f"a cat and a dog\na frog and a bear\na cow and a bird\n{odd}\n")
        words = ["self-cross", "--set", str(path), "--prompts", "2", "--out", str(out)]
        assert cli.main(["tune", *words]) == 2
        told = capsys.readouterr().err
        assert f"The prompt 'prompt-003', {odd!r}, cannot be searched on" in told
        assert reason in told and not out.exists()


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
    nothing = searching.Score(np.full((2, 1), np.nan), 0.0)
    lines = searching.reported(dict.fromkeys("ab"), VALIDATION, lambda *_: nothing, "a")
    assert all("no value" in line for line in lines[1:])


def test_the_command_says_what_is_wrong_in_one_line(capsys, tmp_path):
    out = ["--out", str(tmp_path / "x.sqlite")]
    for words, said in (
        (["tune", "attend-and-excite", "--prompts", "1", *out], "has 1 prompt"),
        (["tune", "attend-and-excite", "--prompts=-1", *out], "has 0 prompts"),
        (["tune", "attend-and-excite", "--prompts=34", *out], "66 prompts; give --prompts 33,"),
        (["tune", "attend-and-excite", "--cost-weight=nan", *out], "`cost_weight` must be a fin"),
        (["tune", "attend-and-excite", "--cost-weight=-1", *out], "`cost_weight` must be >= 0"),
        (["tune", "attend-and-excite", "--steps=0", *out], "`steps` must be >= 1, got 0"),
        (["tune", "attend-and-excite", "--parameters", "stop,stop", *out], "no parameter twice"),
        (["tune", "attend-and-excit", *out], "attend-and-excite"),
        (["tune", "attend-and-excite", "--report-seeds", "1", *out], "the seed 1 is in"),
        (["calibrate", "no-such-model"], "no-such-model"),
    ):
        assert cli.main(words) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x.sqlite").exists()
