"""The trace: numbers, heat maps, figures, a folder."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import toys
from adhere.figures.sheet import heat
from adhere.figures.trace import COLOURS, label, word_maps
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.divide_and_bind import DivideAndBind
from adhere.methods.token_reweighting import TokenReweighting
from adhere.methods.watch import Watch
from adhere.nursing import nurse
from adhere.nursing.trace import Trace
from adhere.subjects import Attribute, Subject
from engine import CAT, FROG, PROMPT, always


@pytest.fixture(scope="module")
def trace():
    """Two samples, three steps, the second refined; and an edit beside."""
    pipe, methods = (
        toys.sd(),
        [
            always(refine_at=((0.34, 2.0),), max_refinements=2),
            TokenReweighting(),
        ],
    )
    with nurse(pipe, methods, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
        toys.run(pipe, seeds=[0, 1], num_images_per_prompt=2)
    return trace


def test_numbers(trace):
    assert trace.loss.shape == trace.refinements.shape == (3, 2)
    assert trace.refinements.tolist() == [[0, 0], [2, 2], [0, 0]]
    assert trace.full_forwards == 3
    assert trace.truncated_forwards == trace.backwards == 5
    assert trace.edited_layers == 3 * 7
    assert trace.seconds > 0
    assert trace.peaks(1).shape == (3, 2)
    assert trace.weakest(1) == pytest.approx(trace.peaks(1).amin(1).tolist())


def test_the_first_loss_is_what_the_weakest_peak_lacks(trace):
    for sample in range(2):
        expected = 1 - trace.weakest(sample)[0]
        assert float(trace.loss[0, sample]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "method",
    [
        AttendAndExcite(temperature=0.1),
        AttendAndExcite(smoothed=False, pieces="max"),
        AttendAndExcite(temperature=0.1) + DivideAndBind(),
        Watch() + AttendAndExcite(temperature=0.1),
    ],
    ids=["temperature", "rough", "sum", "watched sum"],
)
def test_peaks_are_those_that_thresholds_compare(method, monkeypatch):
    compared, attained = [], type(method).score

    def noted(*given):
        compared.append(attained(*given))
        return compared[-1]

    monkeypatch.setattr(type(method), "score", noted)
    pipe, both = toys.sd(), Subject("cat and a frog", (2, 5))
    with nurse(pipe, method, prompt=PROMPT, subjects=[both, FROG]) as trace:
        toys.run(pipe)
    assert trace.weakest()[0] == pytest.approx(float(compared[0].detach()), abs=1e-6)


@pytest.mark.parametrize("kind", [AttendAndExcite, DivideAndBind])
def test_heat_maps_have_the_softmax_of_their_method(kind):
    pipe = toys.sd()
    flattest = []
    for temperature in (0.01, 10.0):
        method = kind(temperature=temperature, refine_at=())
        with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
            toys.run(pipe)
        assert float(trace.heat_map("cat", step=0).max()) == pytest.approx(
            trace.steps[0].peaks[0][0], abs=1e-3
        )
        flattest.append(trace.weakest()[0])
    # A wide softmax leaves each of 75 tokens the same share.
    assert flattest[1] == pytest.approx(1 / 75, abs=1e-3) and flattest[0] > 2 / 75


def test_saving_takes_away_the_trace_that_was_there(trace, tmp_path):
    trace.save(tmp_path)
    (tmp_path / "sample-notes.png").touch()
    former = sorted(file.name for file in tmp_path.iterdir())
    assert {"trace.json", "maps.safetensors", "sample-1.png"} <= set(former)
    Trace().save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sample-notes.png", "trace.json"]


def test_saving_writes_no_half_file(trace, tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    # By then all is written but what the disk has no room for.
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        trace.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_heat_maps(trace):
    over_time = torch.stack([trace.heat_map("cat", 1, step) for step in range(3)])
    assert over_time.shape == (3, 8, 8)
    torch.testing.assert_close(trace.heat_map("cat", 1), over_time.mean(0))
    torch.testing.assert_close(trace.heat_map("and")[0].shape, torch.Size([8]))
    assert float(trace.heat_map("frog", 0, 0).max()) == pytest.approx(
        trace.steps[0].peaks[0][1], abs=1e-3
    )
    with pytest.raises(ValueError, match="'dog' is no word of .*'cat'"):
        trace.heat_map("dog")


def test_heat_maps_of_attributes_and_of_words_of_several_tokens():
    pipe, subject = toys.sd(), Subject("zebra", (3, 4, 5, 6), (Attribute("red", (2,)),))
    with nurse(pipe, Watch(), prompt="a red zebra", subjects=[subject]) as trace:
        toys.run(pipe, "a red zebra")
    maps = trace.steps[0].maps[0].float()
    torch.testing.assert_close(trace.heat_map("zebra", step=0), maps[..., 3:7].mean(-1))
    torch.testing.assert_close(trace.heat_map("red", step=0), maps[..., 2])


def test_heat_maps_of_a_word_that_the_prompt_has_twice():
    pipe, prompt = toys.sd(), "a red cat and a red frog"
    with nurse(pipe, Watch(), prompt=prompt) as trace:
        toys.run(pipe, prompt)
    cat, frog = trace.subjects[0]
    maps = trace.steps[0].maps[0].float()
    for word, index in (("red", 2), (cat.attributes[0], 2), (frog.attributes[0], 6), (6, 6)):
        torch.testing.assert_close(trace.heat_map(word, step=0), maps[..., index])
    torch.testing.assert_close(trace.heat_map(frog), trace.heat_map("frog"))
    for beyond in (-1, 9, Subject("dog", (20,)), Attribute("dark", ())):
        with pytest.raises(ValueError, match="indices 0 to 8"):
            trace.heat_map(beyond)


def test_sheets_of_subjects_that_have_one_name():
    pipe, prompt = toys.sd(), "a cat and a cat"
    with nurse(pipe, Watch(), prompt=prompt, subjects=["cat", "cat"]) as trace:
        toys.run(pipe, prompt)
    first, second = trace.subjects[0]
    assert [label(trace, one)[0] for one in (first, second)] == ["cat (token 2)", "cat (token 5)"]
    assert label(trace, second)[1] == "subject" and label(trace, second)[2].startswith("peak 0.")
    assert [label(trace, one) for one in (5, 3, "and")] == [("cat (token 5)",), ("and",), ("and",)]
    mean = trace.heat_map(second)
    shown = np.asarray(trace.sheet(words=[second]))
    cell = np.asarray(heat(mean.numpy(), float(mean.max())).resize((192, 192), 0))
    found = [
        x for x in range(shown.shape[1] - 191) if (shown[-216:-24, x : x + 192] == cell).all()
    ]
    assert len(found) == 1


def test_a_trace_is_shown_in_a_line(trace):
    assert repr(trace) == (
        "Trace(attend-and-excite + token-reweighting, 2 samples, 3 recorded steps, "
        "3 + 5 forwards, 5 backwards)"
    )
    assert repr(Trace()).startswith("Trace(no method, 0 samples, 0 recorded steps, 0 + 0 ")
    assert "\n" not in repr(trace.steps[0]) and len(repr(trace.steps[0])) < 400


def test_an_empty_trace_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="Watch"):
        Trace().heat_map("cat")
    with pytest.raises(ValueError, match="Watch"):
        Trace().sheet()
    assert [path.name for path in Trace().save(tmp_path).iterdir()] == ["trace.json"]


def test_sheets(trace):
    plain = trace.sheet(1)
    picture = Image.new("RGB", (32, 32), (255, 0, 0))
    with_image = trace.sheet(1, image=picture)
    assert plain.height == with_image.height and with_image.width == plain.width + 200
    assert trace.sheet(1, words=["frog"]).height == plain.height - 200
    with pytest.raises(ValueError, match="no word"):
        trace.sheet(words=["dog"])


def test_the_curve_is_that_of_the_subject_with_the_least_attention(trace):
    highest = [
        min(float(trace.heat_map(subject, 1, step).max()) for subject in trace.subjects[1])
        for step in range(3)
    ]
    assert trace.curve(1) == [(1, highest[0]), (2, highest[1]), (3, highest[2])]
    assert trace.curve(1) != trace.curve(0)
    assert Trace().curve() == []


def test_maps_of_words_show_their_colour_where_the_attention_is(trace):
    image = Image.new("RGB", (384, 192), (0, 0, 255))
    found = list(word_maps(trace, image))
    words = [subject.text for subject in trace.subjects[0]]
    assert [(word, colour) for word, colour, _ in found[: len(words)]] == [
        *zip(words, COLOURS, strict=False)
    ]
    assert {colour for _, colour, _ in found[len(words) :]} == {None}
    assert len(found) == len(trace.tokens[0]) - 2
    shown = np.asarray(found[0][2]).astype(int)
    assert shown.shape == (96, 192, 3)
    heat_map = trace.heat_map(words[0])
    at = divmod(int(heat_map.argmax()), heat_map.shape[1])
    cells = shown.reshape(8, 12, 8, 24, 3).mean((1, 3))
    redness = cells[..., 0] - cells[..., 1]
    assert redness[at] == pytest.approx(redness.max(), abs=8)
    assert redness.max() > redness.min() >= 0


def test_a_folder_holds_it_all(trace, tmp_path):
    folder = trace.save(tmp_path / "a" / "trace")
    told = json.loads((folder / "trace.json").read_text())
    assert told["prompts"] == [PROMPT] * 2
    assert told["subjects"][0][1] == {
        "text": "frog", "token_indices": [5], "attributes": [], "count": 1, "box": None
    }  # fmt: skip
    assert told["steps"][1]["refinements"] == [2, 2]
    assert told["steps"][0]["loss"] == pytest.approx(trace.loss[0].tolist())
    assert load_file(folder / "maps.safetensors")["maps"].shape == (3, 2, 8, 8, 77)
    for sample in range(2):
        with Image.open(folder / f"sample-{sample}.png") as figure:
            assert figure.width > 400 and figure.height > 400


def test_a_watched_trace_is_saved_without_a_loss(tmp_path):
    pipe = toys.sd()
    with nurse(pipe, Watch(), prompt=PROMPT, subjects=[CAT, FROG]) as trace:
        toys.run(pipe)
    told = json.loads((trace.save(tmp_path) / "trace.json").read_text())
    assert told["steps"][0]["loss"] == [None]
    assert [label(trace, one)[0] for one in trace.subjects[0]] == ["cat", "frog"]
