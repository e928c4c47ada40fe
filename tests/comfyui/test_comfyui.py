"""The nodes in ComfyUI's own engine, which .ci/comfyui lays into .comfyui, on a toy checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / ".comfyui"
IS_CI = os.environ.get("CI") == "true"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IS_CI and not ENGINE.exists(), reason="Run .ci/comfyui, which brings the engine."
    ),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """What the engine said of each graph, and of the nodes' inputs."""
    paths = [ROOT / "src", ENGINE / "ComfyUI", ENGINE / "site"]
    program = Path(__file__).with_name("graph.py")
    folder = tmp_path_factory.mktemp("comfyui")
    done = subprocess.run(
        [sys.executable, str(program), str(folder), str(ROOT / "recipes" / "comfyui")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def graphs(engine):
    """By name."""
    return engine["graphs"]


def test_zero_strength_gives_the_same_bits(graphs):
    assert graphs["plain"]["latents"] == graphs["zero"]["latents"]
    assert graphs["plain"]["latents"] == graphs["outside"]["latents"]
    assert graphs["old"]["latents"] == graphs["old_zero"]["latents"]
    assert graphs["plain"]["latents"] == graphs["excited_zero"]["latents"]
    assert graphs["plain"]["latents"] == graphs["excited_not"]["latents"]


def far(graphs, one, other):
    """How far the latents of two graphs are from each other."""
    pairs = zip(graphs[one]["latents"], graphs[other]["latents"], strict=True)
    return sum(abs(a - b) for a, b in pairs)


def test_strength_changes_the_image(graphs):
    plain = graphs["plain"]["latents"]
    names = ("weighted", "half", "words", "regulated")
    found = [tuple(graphs[name]["latents"]) for name in names]
    assert tuple(plain) not in found and len(set(found)) == len(names)
    assert all(abs(number) < 1e4 for latents in found for number in latents)
    assert 0 < far(graphs, "half", "plain") < far(graphs, "weighted", "plain")


def test_latents_move_by_strength_with_every_sampler_that_goes_on_from_them(graphs):
    assert 0 < far(graphs, "excited_half", "plain") < far(graphs, "excited", "plain")
    assert graphs["excited"]["latents"] == graphs["excited_again"]["latents"]
    assert far(graphs, "excited_multistep", "multistep") > 0
    assert far(graphs, "crossed", "plain") > 0
    assert graphs["plain"]["latents"] == graphs["plain_again"]["latents"]


def test_latents_move_beside_an_edit_and_an_override(graphs):
    both = "excited_weighted", "old_excited"
    for one in (*both, "excited", "weighted", "old"):
        assert all(far(graphs, one, other) > 0 for other in both if other != one)


def test_a_box_says_where_a_word_is(graphs):
    for ending in ("", "_latents"):
        assert far(graphs, f"left{ending}", "plain") > 0
        assert far(graphs, f"left{ending}", f"right{ending}") > 0


def test_a_model_is_left_as_it_was_and_a_run_remembers_nothing_of_another(graphs):
    assert graphs["regulated"]["latents"] == graphs["regulated_again"]["latents"]
    assert "latents" in graphs["after"]


def test_an_override_that_was_there_is_chained(graphs):
    assert graphs["old"]["latents"] != graphs["plain"]["latents"]
    for name in ("weighted", "words"):
        both = graphs[f"old_{name}"]["latents"]
        assert both != graphs["old"]["latents"] and both != graphs[name]["latents"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unknown_word", "'zebra' is not in the prompt"),
        ("wrong_box", "give (left, top, right, bottom) in fractions of the image"),
        ("no_box", "regions needs boxes"),
        ("one_subject", "conform needs at least 2 subjects"),
        ("heun", "Use one with one call of the model a step"),
        ("other_box", "box for 'dog', which is no subject"),
        ("wrong_number", "alpha"),
        ("long", "Shorten it to 75 tokens"),
        ("long_negative", "a negative prompt of up to 75 tokens"),
    ],
)
def test_errors_say_what_to_do(graphs, name, text):
    assert text in graphs[name]["error"]


def test_inputs_come_from_the_methods(engine):
    for name in ("token-reweighting", "attention-regulation", "alpha", "mode", "iterations"):
        assert f"'{name}'" in engine["inputs"]["NurseAttention"]
    for name in ("attend-and-excite", "syngen", "step_size", "boxes"):
        assert f"'{name}'" in engine["inputs"]["NurseLatents"]
    for name in ("word", "left", "top", "right", "bottom", "boxes"):
        assert f"'{name}'" in engine["inputs"]["WordBox"]
