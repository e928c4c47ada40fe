"""The command, on toy pipelines in folders; every mistake gets one line, status 2 and no file."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image, PngImagePlugin

import adhere.drawing
import toys
from adhere.cli import main, one_line
from adhere.cli.values import seeds
from adhere.drawing import draw, redraw
from adhere.drawing.png import SHEET_CHUNK, read_recipe, save_image
from adhere.drawing.recipe import from_json
from adhere.drawing.stated import stated_numbers
from adhere.methods import METHODS
from adhere.printing import printable
from doors import PROMPT, copied, saved
from test_recipe import RECIPE

EXCITE = ["--method", "attend-and-excite"]
QUICK = [*EXCITE, "--steps", "3", "--set", "max_refinements=1"]


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    """Runs a command in an empty folder; gives status, output lines and error lines."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err.splitlines()

    return run


def test_draw_writes_images_and_says_where(shell, tmp_path):
    status, out, err = shell("draw", PROMPT, "--model", saved(), "--seeds", "0,4-5", *QUICK)
    assert (status, err) == (0, [])
    assert len(out) == 3
    for line, seed in zip(out, (0, 4, 5), strict=True):
        path = tmp_path / line.split("  ")[0]
        recipe = read_recipe(path)
        assert (recipe.seed, recipe.steps, recipe.prompt) == (seed, 3, PROMPT)
        assert recipe.methods[0].parameters["max_refinements"] == 1
        assert path.parent == tmp_path / "images"
        assert "attend-and-excite: weakest attention 0." in line


def test_draw_takes_everything_that_python_takes(shell):
    status, out, _ = shell(
        *("draw", PROMPT, "--model", saved(), "--out", "here", "--method", "divide-and-bind"),
        *("--subjects", "frog,2", "--guidance-scale", "4", "--negative-prompt", "-dark"),
        *("--size", "40x32", "--scheduler", "euler-a", "--dtype", "float32", "--device", "cpu"),
        *("--set", "refine_at=0:0.01"),
        *("--batch-size", "1", "--seed", "7", "--steps", "2", "--official"),
    )
    assert status == 0
    recipe = read_recipe(out[0].split("  ")[0])
    assert [s.text for s in recipe.subjects] == ["frog", "cat"]
    assert (recipe.width, recipe.height, recipe.guidance_scale) == (40, 32, 4.0)
    assert recipe.scheduler.name == "EulerAncestralDiscreteScheduler"
    assert recipe.methods[0].parameters["variation"] == "last-row"
    assert recipe.methods[0].parameters["refine_at"] == [[0.0, 0.01]]
    assert recipe.negative_prompt == "-dark"


def test_plain_images_have_no_method(shell):
    for words in (["--baseline"], ["--method", "none"]):
        status, out, _ = shell("draw", "and", "--model", saved(), "--steps", "2", *words)
        assert status == 0 and "baseline" in out[0]
        assert read_recipe(out[0].split("  ")[0]).methods == ()


@pytest.mark.parametrize("method", ["attend-and-excite", "token-reweighting"])
def test_a_window_without_a_step_is_told(shell, method):
    words = ["draw", PROMPT, "--model", saved(), "--method", method, "--steps", "1"]
    status, out, _ = shell(*words, "--set", "stop=0")
    assert status == 0 and "nothing was nursed, as no step lies between" in out[0]
    _, out, _ = shell(*words, "--set", "stop=1")
    assert "nothing" not in out[0]


@pytest.mark.parametrize(
    ("method", "settings", "reason", "warned"),
    [
        ("attend-and-excite", ["step_size=0"], "the step size is 0", []),
        (
            "token-reweighting",
            ["alpha=1", "beta=1"],
            "its parameters change nothing",
            ["token-reweighting nursed nothing: .* give other parameters"],
        ),
    ],
)
def test_parameters_that_change_nothing_are_told(shell, method, settings, reason, warned):
    words = ["draw", PROMPT, "--model", saved(), "--method", method, "--steps", "1"]
    status, out, err = shell(*words, *(w for one in settings for w in ("--set", one)))
    assert status == 0 and f"nothing was nursed, as {reason}" in out[0]
    assert [bool(re.search(*pair)) for pair in zip(warned, err, strict=True)] == [True] * len(err)


def test_a_subject_that_is_alone_is_told(shell):
    _, out, _ = shell("draw", "a cat", "--model", saved(), "--steps", "2")
    assert "nothing to keep apart, as cat is alone" in out[0]


@pytest.mark.parametrize("verb", ["draw", "maps"])
def test_a_method_that_did_nothing_is_told_by_every_verb_that_draws(shell, verb):
    words = [verb, "a cat", "--model", saved(), "--steps"]
    for steps, reason in ((1, "none of the denoiser's 1 calls"), (2, "with these subjects")):
        _, _, err = shell(*words, str(steps))
        assert f"emergent-layout nursed nothing: {reason}" in err[0]
    _, _, err = shell(*words, "1", "--method", "syngen")
    assert len(err) == 1 and "syngen binds attributes" in err[0]
    for quiet in (["--baseline"], ["--method", "token-reweighting", "--set", "stop=0"]):
        assert shell(*words, "1", *quiet)[2] == []


def test_what_a_method_leaves_alone_is_told(shell):
    words = ["draw", "a cat and a frog", "--model", saved(), "--steps", "1"]
    _, out, err = shell(*words, "--method", "emergent-layout")
    assert "nothing was nursed" in out[0] and "nursed nothing" in err[0]
    _, out, err = shell(*words, "--method", "syngen")
    assert len(err) == 1 and "warning: syngen binds attributes" in err[0]
    assert "nothing was nursed, as no subject has attributes" in out[0]


@pytest.mark.parametrize("swapped", [False, True])
def test_parameters_that_hang_together_are_set_together(shell, swapped):
    fractions, steps = ["start=0.8", "stop=0.9", "refine_at=0.8:0"], ["stop=2", "in_steps=true"]
    for given in (fractions, [*steps, "refine_at=0:0"]):
        words = [w for one in given[:: -1 if swapped else 1] for w in ("--set", one)]
        status, _, err = shell("draw", PROMPT, "--model", saved(), *QUICK, *words)
        assert (status, err) == (0, [])


def test_two_methods_and_whose_parameter_is_whose(shell):
    both = ["--method", "attend-and-excite,token-reweighting", "--model", saved()]
    status, out, _ = shell(
        "draw",
        PROMPT,
        *both,
        *QUICK[2:],
        "--set",
        "alpha=2",
        "--set",
        "token-reweighting.stop=0.4",
    )
    assert status == 0
    excite, reweighting = read_recipe(out[0].split("  ")[0]).methods
    assert excite.parameters["stop"] == 0.5
    assert reweighting.parameters["alpha"] == 2.0 and reweighting.parameters["stop"] == 0.4
    status, _, [line] = shell("draw", PROMPT, *both, "--set", "stop=0.4")
    assert (
        status == 2
        and "--set attend-and-excite.stop=VALUE or --set token-reweighting.stop=VALUE" in line
    )


def test_boxes_are_given_by_word_and_kept(shell):
    words = ["draw", PROMPT, "--model", saved()]
    words += ["--method", "regions", "--boxes", "cat=0,0,.5,1; frog=.5,0,1,1"]
    status, out, err = shell(*words, *QUICK)
    assert (status, err) == (0, [])
    path = out[0].split("  ")[0]
    boxes = {s.text: s.box for s in read_recipe(path).subjects}
    assert boxes == {"cat": (0.0, 0.0, 0.5, 1.0), "frog": (0.5, 0.0, 1.0, 1.0)}
    assert "identical" in shell("redraw", path)[1][0]


def test_again_is_identical(shell, tmp_path):
    _, out, _ = shell("draw", PROMPT, "--model", saved(), "--seeds", "0-1", *QUICK)
    path = out[1].split("  ")[0]
    status, again, err = shell("redraw", path, "--out", "again")
    assert (status, err) == (0, [])
    assert again == [f"again/{os.path.basename(path)}  identical to {os.path.basename(path)}"]
    assert (tmp_path / "again" / os.path.basename(path)).read_bytes() == (
        tmp_path / path
    ).read_bytes()
    assert shell("redraw", path)[1] == [f"{path}  identical to {os.path.basename(path)}"]
    status, both, err = shell("redraw", path, path)
    assert (status, len(both), err) == (0, 2, []) and all("identical" in line for line in both)
    assert shell("redraw")[0] == 2


def test_again_says_what_differs(shell, tmp_path):
    _, out, _ = shell("draw", PROMPT, "--model", saved(), *QUICK)
    path = out[0].split("  ")[0]
    recipe = read_recipe(path)
    older = replace(recipe, environment=recipe.environment | {"torch": "1.0"}, steps=2)
    with Image.open(path) as picture:
        changed = save_image(picture, older, tmp_path)
    status, out, err = shell("redraw", changed)
    assert status == 0
    assert "warning: drawn with torch 1.0, now" in err[0]
    assert "differs from" in out[0]


def test_again_decodes_the_image_before_it_draws(shell, tmp_path):
    _, out, _ = shell("draw", PROMPT, "--model", saved(), *QUICK)
    path = tmp_path / out[0].split("  ")[0]
    data = path.read_bytes()
    # Text chunks stay whole; the pixels after them do not.
    path.write_bytes(data[: data.index(b"IDAT") + 40])
    status, out, [line] = shell("redraw", path, "--out", "again")
    assert status == 2 and out == [] and "broken PNG" in line
    end = data.rindex(b"IEND") - 4
    damaged = io.BytesIO()
    PngImagePlugin.putchunk(damaged, b"gAMA", b"1")
    path.write_bytes(data[:end] + damaged.getvalue() + data[end:])
    status, out, [line] = shell("redraw", path, "--out", "again")
    assert status == 2 and out == [] and "broken PNG" in line
    assert not (tmp_path / "again").exists()


def test_compare_refuses_boxes_that_no_row_reads(shell):
    words = ["compare", PROMPT, "--model", saved(), "--boxes", "cat=0,0,.5,1"]
    status, _, [line] = shell(*words, "--methods", "attend-and-excite")
    assert status == 2 and "Got boxes, which attend-and-excite does not read" in line
    boxes = ["--boxes", "cat=0,0,.5,1; frog=.5,0,1,1", "--steps", "2", "--methods", "regions"]
    status, out, _ = shell("compare", PROMPT, "--model", saved(), *boxes)
    assert status == 0 and [line.split()[0] for line in out[:-1]] == ["baseline", "regions"]


def test_a_sheet_carries_the_recipes_of_its_images(shell, tmp_path):
    words = ["compare", PROMPT, "--model", saved(), "--seeds", "0-1", "--steps", "2"]
    _, out, _ = shell(*words, "--methods", "token-reweighting")
    with Image.open(tmp_path / out[-1]) as sheet:
        recipes = [from_json(json.dumps(one)) for one in json.loads(sheet.info[SHEET_CHUNK])]
    assert [(r.seed, len(r.methods)) for r in recipes] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    status, _, [line] = shell("redraw", tmp_path / out[-1])
    assert status == 2 and "is a sheet of several images" in line


def test_what_strangers_wrote_moves_no_cursor():
    assert printable("a\x1b[2Jb\x9b\x07 é") == "a\\x1b[2Jb\\x9b\\x07 é"


def test_again_loads_no_model_on_the_word_of_an_image(shell, tmp_path):
    path = save_image(
        Image.new("RGB", (8, 8)),
        replace(RECIPE, model=replace(RECIPE.model, name="a/b")),
        tmp_path,
    )
    status, _, [line] = shell("redraw", path)
    assert status == 2 and "say which model to load" in line


def test_compare_draws_a_sheet_of_every_method(shell, tmp_path):
    # With few rounds of what would take most of the time.
    model, brief = copied(tmp_path), {"initno": {"rounds": 1}}
    (model / "methods.json").write_text(json.dumps(brief))
    status, out, err = shell("compare", PROMPT, "--model", model, "--seeds", "0-1", "--steps", "2")
    # In two steps, and with no attribute, these two have nothing to do.
    assert status == 0 and all("warning: " in line for line in err)
    assert {line.split()[2] for line in err} == {"conform", "syngen"}
    assert [line.split()[0] for line in out[:-1]] == ["baseline", *METHODS]
    left_out = {line.split()[0] for line in out[1:-1] if " left out: " in line}
    assert {"boxdiff", "saga", "taca"} <= left_out and "attend-and-excite" not in left_out
    assert all("x baseline" in line for line in out[1:-1] if line.split()[0] not in left_out)
    with Image.open(tmp_path / out[-1]) as sheet:
        assert sheet.height > 5 * 256 and sheet.width > 2 * 256
    status, out, _ = shell(
        *("compare", PROMPT, "--model", saved(), "--steps", "2"),
        *("--methods", "token-reweighting", "--out", "there"),
    )
    assert status == 0
    assert [line.split()[0] for line in out[:-1]] == ["baseline", "token-reweighting"]
    assert out[-1].startswith("there/compare-a-cat-and-a-frog-")


@pytest.mark.parametrize("words", [["--baseline"], [], ["--method", "attention-regulation"]])
def test_maps_draws_a_sheet_for_each_seed(shell, tmp_path, words):
    status, out, err = shell(
        "maps",
        "a red cat and a frog",
        "--model",
        saved(),
        "--seeds",
        "0-1",
        "--steps",
        "3",
        *words,
    )
    assert (status, err) == (0, [])
    assert len(set(out)) == 2
    for line in out:
        with Image.open(tmp_path / line) as sheet:
            assert sheet.height > 3 * 192 and sheet.width > 5 * 192


def test_tokens_are_listed_with_their_roles(shell):
    status, out, _ = shell("tokens", "a red cat and two frogs", "--model", saved())
    assert status == 0
    assert out[2].split() == ["2", "red", "red,", "of", "cat"]
    assert out[3].split() == ["3", "cat", "subject", "cat"]
    assert out[6].endswith("subject frogs, 2 of them")
    status, out, _ = shell("tokens", "a red cat", "--model", saved(), "--subjects", "cat")
    assert status == 0


def test_tokens_of_every_encoder_of_the_joint_model_are_listed(shell):
    status, out, _ = shell("tokens", "a frog in a bowl", "--model", "mini-joint")
    assert status == 0 and out[0].split() == ["token", "tokenizer", "tokenizer_3"]


def test_what_a_tokenizer_says_moves_no_cursor(shell):
    status, out, _ = shell("tokens", "a \x1b[2J cat", "--model", saved())
    assert status == 0 and all(line.isprintable() for line in out)
    assert any("\\x1b" in line for line in out)


def test_a_terminal_of_few_characters_is_told_all(tmp_path):
    command = [sys.executable, "-m", "adhere", "tokens", "a café and a 猫", "--model", saved()]
    done = subprocess.run(
        [*command, "--subjects", "café"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert b"subject caf\\xe9" in done.stdout


def test_an_interrupted_comparison_keeps_what_is_finished(shell, tmp_path, monkeypatch):
    def interrupted(*given, method=None, **others):
        if method is not None and method.name == "divide-and-bind":
            raise KeyboardInterrupt
        return draw(*given, method=method, **others)

    monkeypatch.setattr(adhere.drawing, "draw", interrupted, raising=False)
    words = ["compare", PROMPT, "--model", saved(), "--steps", "2"]
    status, out, [line] = shell(*words, "--methods", "token-reweighting,divide-and-bind")
    assert status == 130 and [told.split()[0] for told in out] == ["baseline", "token-reweighting"]
    [sheet] = os.listdir(tmp_path / "sheets")
    assert line.endswith(f"finished so far are on sheets/{sheet}")


def test_the_models_own_numbers_are_told(shell, tmp_path):
    [numbers] = [v for k, v in stated_numbers("mini").items() if k == "attend-and-excite"]
    told = shell("methods")[1]
    own = told[told.index("  On the bundled model, where not said otherwise:") + 1]
    assert all(f"{name}=" in own for name in numbers)
    folder = copied(tmp_path)
    (folder / "methods.json").write_text('{"token-reweighting": {"alpha": 2.0}}')
    words = ["compare", PROMPT, "--model", folder, "--steps", "2"]
    _, out, _ = shell(*words, "--methods", "token-reweighting,attention-regulation")
    assert [line.endswith("numbers of this model") for line in out[1:3]] == [True, False]
    with Image.open(tmp_path / out[-1]) as sheet:
        recipes = [from_json(json.dumps(one)) for one in json.loads(sheet.info[SHEET_CHUNK])]
    assert recipes[1].methods[0].parameters["alpha"] == 2.0


def test_a_sheet_of_maps_carries_a_recipe_that_draws_its_image(shell, tmp_path):
    _, [line], _ = shell("maps", PROMPT, "--model", saved(), *QUICK)
    with Image.open(tmp_path / line) as sheet:
        [recipe] = json.loads(sheet.info[SHEET_CHUNK])
    again = redraw(from_json(json.dumps(recipe)))
    assert json.loads(again.recipes[0].to_json()) == recipe


def test_methods_lists_every_parameter(shell):
    status, out, _ = shell("methods")
    text = "\n".join(out)
    assert status == 0
    for name, method in METHODS.items():
        assert name in text
        for parameter in method.__dataclass_fields__:
            assert f"{parameter}=" in text
    assert max(map(len, out)) < 100


def test_cite_prints_bibtex(shell):
    published = [kind for kind in METHODS.values() if kind.bibtex]
    assert shell("cite")[1].count("}") == len(published)
    status, out, _ = shell("cite", "divide-and-bind")
    assert status == 0 and out[0].startswith("@inproceedings{li2023divide")
    assert "no paper" in shell("cite", "token-reweighting")[1][0]
    assert "did you mean 'divide-and-bind'" in shell("cite", "divide-bind")[2][0]


def test_methods_are_cited_by_name_class_or_object():
    kind = METHODS["divide-and-bind"]
    assert adhere.cite("divide-and-bind") == adhere.cite(kind) == adhere.cite(kind()) != ""
    with pytest.raises(ValueError, match="Got list to cite; give methods, their names"):
        adhere.cite([kind])


def test_help_and_usage_errors_import_no_torch():
    code = (
        "import sys; from adhere.cli import main\n"
        "assert [main(a) for a in (['--help'], ['draw', '--help'], ['--version'])] == [0] * 3\n"
        "assert main(['draw', 'x', '--seeds', 'many']) == 2 and main(['drow']) == 2\n"
        "assert not {'torch', 'numpy', 'PIL', 'diffusers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


MISTAKES = {
    "empty prompt": (["draw", ""], "prompt is empty"),
    "blank prompt": (["compare", "  \n"], "prompt is empty"),
    "no prompt": (["draw"], "Missing argument 'PROMPT'"),
    "no command": ([], "COMMAND"),
    "no subject": (["draw", "and of the"], "No noun was found.*1 and, 2 of"),
    "absent subject": (["draw", PROMPT, "--subjects", "dog"], "dog.*2 cat, 3 and"),
    "absent index": (["draw", PROMPT, "--subjects", "40"], "40.*2 cat, 3 and"),
    "empty subject": (["draw", PROMPT, "--subjects", "cat,,frog"], "empty subject"),
    "empty noun": (["draw", PROMPT, "--subjects", "cat:"], "'cat:' has an empty subject"),
    "large index": (["draw", PROMPT, "--subjects", "9" * 20], f"'{'9' * 20}' is not in the"),
    "threads": (
        ["evaluate", "run", "r", "--sets", "dvmp", "--threads", "99999"],
        "`threads` must be <= 1024, got 99999",
    ),
    "port": (["app", "--port", "99999"], "Got port 99999; give one from 1 to 65535"),
    "steps of letters": (["draw", PROMPT, "--steps", "many"], "'many' is no whole number"),
    "steps of 1e3": (["draw", PROMPT, "--steps", "1e3"], "'1e3' is no whole number; give one"),
    "scale of letters": (["draw", PROMPT, "--guidance-scale", "x"], "'x' is no number; give one"),
    "cut off": (["draw", "cat and " * 40 + "a frog", "--subjects", "frog"], "77 tokens"),
    "all cut off": (["tokens", "very " * 90 + "nice frog"], "77 tokens"),
    "method": (["draw", PROMPT, "--method", "atend-and-excite"], "mean 'attend-and-excite'"),
    "methods": (["compare", PROMPT, "--methods", "divide"], "unknown method 'divide'"),
    "two movers": (
        ["draw", PROMPT, "--method", "attend-and-excite,divide-and-bind"],
        "2 methods that move latents",
    ),
    "parameter": (["draw", PROMPT, *EXCITE, "--set", "stepsize=3"], "mean 'step_size'"),
    "parameter as an option": (
        ["draw", PROMPT, *EXCITE, "--stepsize", "3"],
        "mean --set step_size=",
    ),
    "option": (["draw", PROMPT, "--sedes", "3"], "mean --seeds"),
    "switch": (["draw", PROMPT, "--offical"], "did you mean --official"),
    "compare option": (["compare", PROMPT, "--sedes", "3"], "did you mean --seeds"),
    "value": (["draw", PROMPT, *EXCITE, "--set", "step_size=big"], "must be a number"),
    "twice": (["draw", PROMPT, "--set", "stop=1", "--set", "stop=0.5"], "--set gives stop twice"),
    "seeds twice": (["draw", PROMPT, "--seed", "1", "--seeds", "2"], "--seeds? is given twice"),
    "baseline with": (["draw", PROMPT, "--baseline", "--set", "stop=1"], "leave out --method"),
    "none with": (["draw", PROMPT, "--method", "none", "--set", "stop=1"], "no method to have it"),
    "scheduler": (["draw", PROMPT, "--scheduler", "dpm2m"], r"mean 'dpm\+\+2m'"),
    "dtype": (["draw", PROMPT, "--dtype", "float8"], "unknown dtype"),
    "device": (["draw", PROMPT, "--device", "cuda:77"], "unknown device"),
    "size 0": (["draw", PROMPT, "--size", "0x32"], "multiples of 8"),
    "odd size": (["draw", PROMPT, "--size", "33x32"], "multiples of 8"),
    "huge size": (["draw", PROMPT, "--size", "99992x32"], "at most 256"),
    "no size": (["draw", PROMPT, "--size", "large"], "512x768"),
    "negative seed": (["draw", PROMPT, "--seeds", "-1"], "no seeds"),
    "no seed": (["draw", PROMPT, "--seeds", "x"], "no seeds"),
    "backwards": (["draw", PROMPT, "--seeds", "3-1"], "runs backwards"),
    "many seeds": (["draw", PROMPT, "--seeds", "0-99999999"], "more than 1000"),
    "large seed": (["draw", PROMPT, "--seeds", "9999999999999999999"], "largest seed"),
    "negative steps": (["draw", PROMPT, "--steps", "-5"], "`steps` must be >= 1, got -5"),
    "no steps": (["draw", PROMPT, "--steps", "0"], "`steps` must be >= 1, got 0"),
    "many steps": (["draw", PROMPT, "--steps", "1001"], "1000 timesteps"),
    "guidance": (["draw", PROMPT, "--guidance-scale", "nan"], "must be a finite number, got nan"),
    "batch": (["draw", PROMPT, "--batch-size", "0"], "`batch_size` must be >= 1, got 0"),
    "nothing like it": (["tokens", PROMPT, "--xyzzy=3"], "--xyzzy is no option"),
    "no value": (["draw", PROMPT, "--out"], "--out needs a value"),
    "option for value": (["draw", PROMPT, "--out", "--baseline"], "--out needs a value"),
    "switch with value": (["draw", PROMPT, "--baseline=3"], "--baseline"),
    "no folder": (["draw", PROMPT, "--out", ""], "--out is empty"),
    "nowhere to run": (["evaluate", "run", "", "--sets", "dvmp"], "the name is empty"),
    "no model": (["draw", PROMPT, "--model="], "--model is empty"),
    "a long folder": (["draw", PROMPT, "--out", "n" * 300], "Nothing can be written to 'nnn"),
    "plain and a subject": (
        ["draw", PROMPT, "--baseline", "--subjects", "dog"],
        "'dog' is not in the prompt",
    ),
    "none and a subject": (
        ["draw", PROMPT, "--method", "none", "--subjects", "dog"],
        "'dog' is not in the prompt",
    ),
    "plain and official": (
        ["draw", PROMPT, "--baseline", "--official"],
        "--baseline draws without",
    ),
    "none and official": (
        ["draw", PROMPT, "--method", "none", "--official"],
        "--official, but no method",
    ),
    "one method twice": (
        ["draw", PROMPT, "--method", "token-reweighting,token-reweighting", "--set", "alpha=2"],
        "the method token-reweighting twice",
    ),
    "compared twice": (
        ["compare", PROMPT, "--methods", "divide-and-bind,divide-and-bind"],
        "the method divide-and-bind twice",
    ),
    "another method's": (
        ["draw", PROMPT, "--set", "token-reweighting.alpha=2"],
        "but the method is emergent-layout; add --method token-reweighting",
    ),
    "steps for fractions": (
        ["draw", PROMPT, *EXCITE, "--set", "refine_at=0:0.05,10:0.5"],
        "at fractions of the loop",
    ),
    "half a character": (["draw", "a caf\udcc3"], "give text in UTF-8"),
    "half of a negative one": (["draw", PROMPT, "--negative-prompt", "\udcc3"], "in UTF-8"),
    "half of a subject": (["tokens", PROMPT, "--subjects", "\udcc3"], "in UTF-8"),
    "step size as an option": (["draw", PROMPT, "--step-size", "10"], "say --set step_size=VALUE"),
    "parameter of one as an option": (
        ["draw", PROMPT, "--token-reweighting.stop=0.4"],
        "say --set token-reweighting.stop=VALUE",
    ),
    "no setting": (["draw", PROMPT, "--set", "10"], "give NAME=VALUE"),
    "no box": (["draw", PROMPT, "--boxes", "cat=1,2"], "WORD=LEFT,TOP,RIGHT,BOTTOM"),
    "a box twice": (["draw", PROMPT, "--boxes", "cat=0,0,1,1;cat=0,0,1,1"], "two boxes"),
    "a box outside": (
        ["draw", PROMPT, "--method", "regions", "--boxes", "cat=0,0,2,1"],
        "in fractions of the image",
    ),
    "a box that is not read": (["draw", PROMPT, "--boxes", "cat=0,0,.5,1"], "does not read"),
    "no boxes": (
        ["draw", PROMPT, "--method", "boxdiff"],
        'boxdiff needs boxes, and .* none has one. Give .* --boxes "cat=0,0,.5,1"',
    ),
    "compare without boxes": (
        ["compare", PROMPT, "--methods", "regions"],
        'regions needs boxes, and .* --boxes "cat=0,0,.5,1"',
    ),
    "a box of nothing that is needed": (
        ["draw", PROMPT, "--method", "regions", "--boxes", "dog=0,0,1,1"],
        "a box for 'dog', which is no subject of .*'cat', 'frog'",
    ),
    "one subject apart": (
        ["draw", "a red cat", "--method", "focus"],
        "focus needs at least 2 subjects",
    ),
    "none and another": (["draw", PROMPT, "--method", "none,attend-and-excite"], "alone"),
    "compare a subject that is not there": (
        ["compare", PROMPT, "--subjects", "dog", "--steps", "2"],
        "'dog' is not in the prompt",
    ),
    "again with more": (["redraw", "x.png", "--steps", "3"], "--steps is no option"),
    "again nothing": (["redraw", "x.png"], "'x.png': No such file"),
    "again no picture": (["redraw", __file__], "no PNG"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line(shell, tmp_path, mistake):
    words, message = MISTAKES[mistake]
    takes_model = words and words[0] in ("draw", "compare", "tokens")
    model = ["--model", saved()] if takes_model else []
    status, out, err = shell(*words, *model)
    assert status == 2 and out == []
    assert len(err) == 1, err
    check_message(err[0], message)
    assert os.listdir(tmp_path) == []


def check_message(line, message):
    assert re.search(message, line, re.IGNORECASE), line
    assert line.startswith("adhere") and "Traceback" not in line


def pickled(folder):
    file = next((folder / "unet").glob("*.safetensors"))
    file.rename(file.with_suffix(".bin"))


def corrupted(folder):
    file = next((folder / "unet").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])


def no_pipeline(folder):
    (folder / "model_index.json").unlink()


def no_numbers(folder):
    pipe = toys.sd()
    with torch.no_grad():
        pipe.unet.conv_out.bias.fill_(float("nan"))
    pipe.unet.save_pretrained(folder / "unet")


def no_cross_attention(folder):
    toys.unet(
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        mid_block_type=None,
    ).save_pretrained(folder / "unet")


@pytest.mark.parametrize(
    ("damage", "words", "message"),
    [
        (pickled, [], r"pickle.*safetensors"),
        (corrupted, [], "is broken"),
        (no_pipeline, [], r"no model_index\.json"),
        (no_numbers, [], "NaN"),
        (no_numbers, ["--baseline"], "NaN"),
        (no_cross_attention, [], "cross-attention"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_model_gets_one_line(shell, tmp_path, damage, words, message):
    folder = copied(tmp_path)
    damage(folder)
    status, out, err = shell("draw", PROMPT, "--model", folder, "--steps", "3", *words)
    assert status == 2 and out == [] and len(err) == 1, err
    check_message(err[0], message)
    assert not (tmp_path / "images").exists()


def test_unknown_models_get_one_line(shell, tmp_path):
    for name, message in {
        "minni": "did you mean 'mini'",
        "./nowhere": "unknown model",
        str(tmp_path): "no model_index.json",
        __file__: "is a file",
    }.items():
        status, out, err = shell("draw", PROMPT, "--model", name)
        assert status == 2 and out == [] and len(err) == 1
        check_message(err[0], message)
        assert os.listdir(tmp_path) == []


def test_an_unwritable_folder_is_seen_before_sampling(shell, tmp_path):
    (tmp_path / "file").touch()
    for verb in ("draw", "compare", "maps"):
        status, out, err = shell(verb, PROMPT, "--model", "nowhere", "--out", "file/below")
        assert status == 2 and out == [] and len(err) == 1
        check_message(err[0], "Nothing can be written to 'file/below'")


def test_whatever_an_error_says_is_one_line():
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(PermissionError(13, "Permission denied", "x")) == "'x': Permission denied"


def test_debug_shows_where(shell):
    status, _, err = shell("draw", PROMPT, "--model", saved(), "--subjects", "dog", "--debug")
    assert status == 2 and err[0].startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", (7,)), ("0-3", (0, 1, 2, 3)), ("5, 1-2,5", (5, 1, 2)), ("3-3", (3,))],
)
def test_seeds_are_numbers_and_ranges(text, expected):
    assert seeds(text) == expected


def test_an_interrupt_keeps_whole_images_and_no_half_ones(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "adhere", "draw", PROMPT, "--model", str(saved()), "--baseline"]
        + ["--steps", "4", "--seeds", "0-999", "--batch-size", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background may have been told to ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    first = process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("adhere: interrupted") and "Traceback" not in err
    told = [line.split("  ")[0] for line in [first, *out.splitlines()]]
    files = sorted(os.listdir(tmp_path / "images"))
    assert len(told) < 1000 and sorted(map(os.path.basename, told)) == files
    for name in files:
        with Image.open(tmp_path / "images" / name) as picture:
            picture.load()


def test_a_reader_that_has_enough_ends_us_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "adhere", "methods"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 120)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
