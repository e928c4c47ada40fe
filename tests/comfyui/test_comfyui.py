"""The node in ComfyUI's own engine, which .ci/comfyui lays into .comfyui, on a toy checkpoint."""

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
    """What the engine said of each graph, and of the node's inputs."""
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


def test_strength_changes_the_image(graphs):
    plain = graphs["plain"]["latents"]
    names = ("weighted", "half", "words", "regulated")
    found = [tuple(graphs[name]["latents"]) for name in names]
    assert tuple(plain) not in found and len(set(found)) == len(names)
    assert all(abs(number) < 1e4 for latents in found for number in latents)

    def far(latents):
        return sum(abs(a - b) for a, b in zip(latents, plain, strict=True))

    assert 0 < far(graphs["half"]["latents"]) < far(graphs["weighted"]["latents"])


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
        ("wrong_box", "write a subject, a colon, and left, top, right and bottom"),
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
        assert f"'{name}'" in engine["inputs"]
