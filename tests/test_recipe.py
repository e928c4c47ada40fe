import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.drawing.recipe import (
    LONGEST_RECIPE,
    MethodRecipe,
    ModelRecipe,
    Recipe,
    SchedulerRecipe,
    from_json,
)
from adhere.methods import METHODS, parameters_of
from adhere.subjects import Attribute, Subject

RECIPE = Recipe(
    prompt="a red cat, and a frog",
    negative_prompt="blurry",
    subjects=(Subject("cat", (3,), (Attribute("red", (2,)),)), Subject("frog", (7,), (), 2)),
    methods=tuple(MethodRecipe(n, parameters_of(kind())) for n, kind in METHODS.items()),
    seed=3,
    batch=(2, 3),
    steps=50,
    guidance_scale=7.5,
    width=512,
    height=768,
    scheduler=SchedulerRecipe("DDIMScheduler", {"beta_end": 0.012, "trained_betas": None}),
    model=ModelRecipe("models/tiny", None, "ab" * 32),
    dtype="float32",
    device="cpu",
    environment={"adhere": "0.1.0", "torch": "2.13.0"},
)


def test_a_subject_may_stand_as_late_as_the_longest_prompt_is():
    late = replace(RECIPE, subjects=(Subject("cat", (9_999,)),))
    assert from_json(late.to_json()) == late


def test_json_and_back_is_the_same_recipe():
    assert from_json(RECIPE.to_json()) == RECIPE
    assert "\n" not in RECIPE.to_json()


@given(st.text(max_size=200), st.integers(0, 2**63 - 1))
def test_any_prompt_and_seed_survive(prompt, seed):
    recipe = replace(RECIPE, prompt=prompt, seed=seed, batch=(seed,))
    assert from_json(recipe.to_json()) == recipe


def test_the_text_for_image_tools():
    chosen = [one for one in RECIPE.methods if one.name == "attend-and-excite"]
    recipe = replace(RECIPE, methods=tuple(chosen))
    prompt, negative, pairs = recipe.parameters_text().split("\n")
    assert prompt == "a red cat, and a frog"
    assert negative == "Negative prompt: blurry"
    assert pairs.startswith(
        "Steps: 50, Sampler: DDIM, CFG scale: 7.5, Seed: 3, Size: 512x768, "
        "Model hash: ababababab, Model: tiny, Method: attend-and-excite, "
        'Subjects: "cat, frog", Step size: 20.0'
    )
    assert pairs.endswith("Version: adhere 0.1.0")


def changed(**changes):
    return json.dumps({**json.loads(RECIPE.to_json()), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "no json",
        "[" * 100_000,
        " " * (LONGEST_RECIPE + 1),
        changed(schema=2),
        changed(schema=True),
        changed(more=1),
        json.dumps({"schema": 1}),
        changed(prompt=3),
        changed(prompt="x" * 10_001),
        changed(seed=-1),
        changed(seed=2**63),
        changed(seed=True),
        changed(seed=1.0),
        changed(seed=9),
        changed(batch=[]),
        changed(batch=list(range(2000))),
        changed(batch=list(range(65))),
        changed(dtype="\x1b[2J"),
        changed(environment={"torch": "2\x1b]0;x\x07"}),
        changed(methods=[{"name": "x\x1b[1A", "parameters": {}}]),
        changed(steps=0),
        changed(steps=10**9),
        changed(guidance_scale=-1),
        changed(guidance_scale=float("nan")),
        changed(guidance_scale="7"),
        changed(guidance_scale=1e400),
        changed(guidance_scale=10**400),
        changed(width=0),
        changed(height=10**7),
        changed(model="mini"),
        changed(model={"name": "mini", "revision": None}),
        changed(model={"name": "mini", "revision": 3, "weights": None}),
        changed(subjects=[{"text": "cat"}]),
        changed(
            subjects=[{"text": "cat", "token_indices": [], "attributes": [], "count": 1}],
        ),
        changed(
            subjects=[{"text": "cat", "token_indices": [-1], "attributes": [], "count": 1}],
        ),
        changed(methods=[{"name": "x", "parameters": {"a": {"b": 1}}}]),
        changed(methods=[{"name": "x", "parameters": {"a": [[[1]]]}}]),
        changed(methods=[{"name": "x", "parameters": {"a": 10**12}}]),
        changed(scheduler={"name": "x", "config": {"a": float("inf")}}),
        changed(environment=["torch"]),
        changed(environment={"torch": 2}),
    ],
)
def test_what_we_did_not_write_is_refused(text):
    with pytest.raises(ValueError, match="recipe"):
        from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists))
def test_no_value_anywhere_does_worse_than_a_value_error(value):
    for key in RECIPE.__dataclass_fields__:
        try:
            from_json(changed(**{key: value}))
        except ValueError as error:
            assert "recipe" in str(error)
