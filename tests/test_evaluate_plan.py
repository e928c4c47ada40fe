"""Plans as files: what is written is read as the same, and mistakes are told in one line."""

from dataclasses import replace

import pytest

from adhere.drawing.stated import method_named
from adhere.evaluation.plan import Condition
from adhere.evaluation.planfile import (
    PlanFile,
    conditions_named,
    needs,
    read_plan,
    to_toml,
    told_apart,
)
from adhere.evaluation.prompts import Joined, Prompt, PromptSet, Wanted, prompt_set
from adhere.methods import (
    METHODS,
    AttendAndExcite,
    AttentionRegulation,
    DivideAndBind,
    TokenReweighting,
)
from adhere.methods.schedule import Schedule
from adhere.methods.watch import Watch
from runs import CROWD, PAIRS, PLAN


def read(tmp_path, text):
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    return read_plan(tmp_path / "plan.toml")


def one(*methods):
    """A plan of one condition."""
    return "[[conditions]]\nname = 'own'\nmethods = [" + ", ".join(methods) + "]"


def built(tmp_path, *methods):
    [_, own] = read(tmp_path, one(*methods)).built()
    return own.built()


def test_methods_have_the_parameters_that_a_plan_gives(tmp_path):
    strong = "{name = 'attend-and-excite', parameters = {step_size = 40, refine_at = [[0, 0.05], [0.2, 0.5]], stop = 0.6}}"  # noqa: E501
    assert built(tmp_path, strong) == (
        AttendAndExcite(step_size=40, refine_at=((0.0, 0.05), (0.2, 0.5)), stop=0.6),
    )
    edit = "{name = 'attention-regulation'}"
    assert built(tmp_path, "{name = 'attend-and-excite', parameters = {stop = 0.4}}", edit) == (
        AttendAndExcite(stop=0.4),
        AttentionRegulation(),
    )
    official = "{name = 'divide-and-bind', numbers = 'official', parameters = {temperature = 0.4}}"
    assert built(tmp_path, official) == (replace(DivideAndBind.official(), temperature=0.4),)


def test_numbers_that_the_model_states_are_asked_for(tmp_path):
    stated = method_named("attend-and-excite", model="mini")
    assert stated != AttendAndExcite()
    entry = "{name = 'attend-and-excite', numbers = 'stated', parameters = {stop = 0.4}}"
    assert built(tmp_path, entry) == (replace(stated, stop=0.4),)
    with pytest.raises(ValueError, match="states no numbers for 'attention-regulation'"):
        built(tmp_path, "{name = 'attention-regulation', numbers = 'stated'}")


def test_losses_are_summed_and_edits_run_beside_them(tmp_path):
    found = built(
        tmp_path,
        "{name = 'token-reweighting'}",
        "{name = 'attend-and-excite'}",
        "{name = 'divide-and-bind', weight = 0.5, parameters = {stop = 0.4}}",
    )
    half = AttendAndExcite() + 0.5 * DivideAndBind(stop=0.4)
    assert set(found) == {TokenReweighting(), half}
    assert built(tmp_path, "{name = 'attend-and-excite', weight = 2}") == (2 * AttendAndExcite(),)


def test_every_nth_prompt_is_drawn_but_sets_of_the_baseline_are_whole(tmp_path):
    text = "sets = ['dvmp', 'singles']\nbaseline_only = ['singles']\nevery = 3"
    thinned, singles = read(tmp_path, text).prompt_sets(tmp_path)
    whole = prompt_set("dvmp").prompts
    assert thinned.prompts == tuple(whole[place] for place in range(0, len(whole), 3))
    assert singles == prompt_set("singles")
    repeated = read(tmp_path, to_toml(replace(PLAN, sets=(thinned, singles))))
    assert repeated.every == 1, "the prompts that were drawn are written out"
    assert {s.name: s.sha256 for s in repeated.prompt_sets(tmp_path)} == {
        s.name: s.sha256 for s in (thinned, singles)
    }


def test_watching_is_a_condition_too(tmp_path):
    found = built(tmp_path, "{name = 'watch', parameters = {temperature = 'none'}}")
    assert found == (Watch(temperature=None),)


def test_without_conditions_every_method_is_compared(tmp_path):
    names = [condition.name for condition in read(tmp_path, "sets = ['dvmp']").built()]
    assert names[0] == "none" and {"attend-and-excite", "token-reweighting"} < set(names)
    left_out = set(METHODS) - set(names)
    assert {"bounded-attention", "taca"} <= left_out
    for name in METHODS:
        assert bool(needs(name)) == (name in left_out)


SUMS = (
    (AttendAndExcite(step_size=40, stop=0.6),),
    (AttendAndExcite(stop=0.25), TokenReweighting()),
    (AttendAndExcite() + 0.5 * DivideAndBind(stop=0.25),),
    (2 * AttendAndExcite(step_size=10),),
    (AttendAndExcite() + 1e6 * DivideAndBind(),),
    ((1 / 3) * AttendAndExcite(step_size=0.1234567891),),
    (AttendAndExcite(refine_at=((0, 0.1), (0.5, 0.7)), step_range=(1, 0.25)),),
    (AttendAndExcite(max_refinements_first=None), AttentionRegulation()),
    (replace(AttendAndExcite() + DivideAndBind(), own_schedule=Schedule(step_size=30)),),
)


def test_the_file_of_a_run_makes_the_same_plan(tmp_path):
    joined = Prompt(
        "a", "a cat on a car", (Wanted("cat"), Wanted("car")), relations=(Joined("on", 0, 1),)
    )
    odd = Prompt("b", "it's `bad`; $(rm -rf /) ''' \"\"\" \\ é 猫", ())
    sets = (PAIRS, prompt_set("relations"), CROWD, PromptSet("odd", "here", (joined, odd)))
    plan = replace(
        PLAN,
        conditions=tuple(Condition.of(f"c-{n}", *methods) for n, methods in enumerate(SUMS)),
        sets=sets,
        seeds=(0, 1, 2, 5, 9, 10),
        negative_prompt="it's `bad`; $(rm -rf /)",
        size=(96, 128),
        guidance_scale=6.25,
        environment={"threads": "2"},
    )
    got = read(tmp_path, to_toml(plan))
    assert got.built() == plan.conditions
    assert [(s.name, s.sha256) for s in got.prompt_sets(tmp_path)] == [
        (s.name, s.sha256) for s in sets
    ]
    written = [one["name"] for one in got.prompts]
    assert written == [s.name for s in sets if s.name != "relations"]
    for name in ("model", "seeds", "steps", "guidance_scale", "negative_prompt", "size", "dtype"):
        assert getattr(got, name) == getattr(plan, name)
    assert (got.batch_size, got.scheduler, got.threads) == (2, "ddim", 2)
    assert got.made_with["weights"] == plan.weights


def test_the_file_of_a_run_of_the_baseline_alone_draws_no_method(tmp_path):
    plan = replace(PLAN, conditions=(Condition("none"),))
    got = read(tmp_path, to_toml(plan))
    assert got.built() == plan.conditions
    changed = replace(plan, steps=plan.steps + 1)
    assert told_apart(got, plan) == [] and "the plan itself" in told_apart(got, changed)[0]


WRITTEN = """[[prompts]]
name = "a"
source = ""
prompts = [{id = "1", text = "a cat", wanted = []}]
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sets = 3", "`sets` must be a list"),
        ("set = ['a']", "did you mean 'sets'"),
        ("sets = ['a'", "no TOML"),
        ("sets = ['a']\nsets = ['b']", "no TOML"),
        ("seeds = ['a']", "`seeds.0.` must be a whole number"),
        ("steps = 0", "`steps` must be >= 1"),
        ("every = 0", "`every` must be >= 1"),
        ("guidance_scale = nan", "guidance_scale"),
        ("when = 2020-01-01", "Unknown parameter 'when'"),
        ("x = " + "[" * 5000, "no TOML"),
        (one("{name = 'atend-and-excite'}"), "did you mean 'attend-and-excite'"),
        (one("{name = 'attend-and-excite', wait = 3}"), "wait` is no parameter"),
        (one("{name = 'attend-and-excite', parameters = {stepsize = 3}}"), "'step_size'"),
        (one("{name = 'attend-and-excite', parameters = {step_size = 'many'}}"), "step_size"),
        (one("{name = 'attend-and-excite', numbers = 'mine'}"), "numbers` must be"),
        (one("{name = 'token-reweighting', weight = 0.5}"), "no loss"),
        (one(), "no methods"),
        (one("{name = 'attend-and-excite'}", "{name = 'attend-and-excite'}"), "twice"),
        ("[[conditions]]\nname = 'own'", "methods` is missing"),
        ("[[prompts]]\nname = 'own'", "no prompt set"),
        (2 * WRITTEN, "two sets of one name"),
        ("[[prompts]]\nname = '../up'\nsource = ''\nprompts = []", "folder"),
        ("sets = ['gone.csv']", "gone.csv"),
        ("", "`sets` is empty"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, text, told):
    with pytest.raises(ValueError, match=told) as caught:
        file = read(tmp_path, text)
        file.built()
        file.prompt_sets(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_plan_is_refused(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no TOML"):
        read_plan(tmp_path / "plan.toml")
    with open(tmp_path / "plan.toml", "wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(ValueError, match="larger than"):
        read_plan(tmp_path / "plan.toml")


def test_conditions_of_names_are_methods_at_the_numbers_of_their_papers():
    found = conditions_named(["none", "divide-and-bind"])
    assert [condition.name for condition in found] == ["none", "divide-and-bind"]
    assert found[1].built() == (DivideAndBind(),)
    assert PlanFile(sets=("dvmp",)).prompt_sets(None)[0].name == "dvmp"
