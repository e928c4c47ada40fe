"""Calibration: known answers on hand-made measurements, and the real thing at toy size."""

import json

import numpy as np
import pytest

import adhere
from adhere import cli
from adhere.drawing.loading import load
from adhere.methods import make
from adhere.methods.schedule import Step, step_index
from adhere.tuning import calibration
from adhere.tuning.probe import Probe, Seen, latent_methods


@pytest.fixture(scope="module")
def mini():
    return load("mini")


def seen(sharp, slope, score, text_mass=1.0):
    """An image whose peak depends most on the latents at the temperature `sharp`."""
    temperatures = (*calibration.TEMPERATURES, None)
    methods = latent_methods()
    return Seen(
        {
            (name, t): {at: score for at, _ in method.refine_at}
            for name, method in methods.items()
            for t in temperatures
        },
        {(name, t): slope for name in methods for t in temperatures},
        {t: 1.0 if t == sharp else 0.5 for t in temperatures},
        text_mass,
    )


def test_every_method_with_these_parameters_is_found_by_its_schema():
    assert {"attend-and-excite", "divide-and-bind"} <= {*latent_methods()}
    assert "emergent-layout" not in latent_methods()


def test_the_numbers_follow_from_what_was_seen():
    samples = [seen(0.07, slope, score) for slope, score in zip((1, 2, 3), (0.1, 0.2, 0.3))]  # noqa: B905
    found = calibration.numbers_from(samples, latent_methods())["attend-and-excite"]
    assert found["temperature"] == 0.07
    assert found["step_size"] == calibration.SHIFT / 2
    assert [at for at, _ in found["refine_at"]] == [0.0, 0.2, 0.4]
    assert all(level == 0.1 for _, level in found["refine_at"])


def test_joint_attention_is_read_raw():
    samples = [seen(0.07, 1, 0.1, text_mass=0.2)] * 3
    assert calibration.temperature_from(samples) is None


def test_a_loss_without_a_gradient_is_refused():
    with pytest.raises(ValueError, match="have no gradient on this model"):
        calibration.numbers_from([seen(0.07, 0.0, 0.1)] * 3, latent_methods())


@pytest.mark.parametrize("count", [2, 7, 13, 25, 50])
def test_scores_are_read_at_the_steps_that_have_thresholds(count):
    probe, method = Probe(latent_methods(), (0.1,)), adhere.AttendAndExcite()
    read = {i for i in range(count) if probe.watches(Step(i, count, 0.0))}
    assert read == {step_index(at, count) for at, _ in method.refine_at}


def test_the_probe_changes_no_image(mini):
    probe = Probe(latent_methods(), (0.1,))
    alone = adhere.draw("a cat", model=mini, method=None, seeds=[3], steps=5)
    probed = adhere.draw("a cat", model=mini, method=probe, seeds=[3], steps=5)
    assert np.array_equal(*(np.asarray(one.images[0]) for one in (alone, probed)))
    for name, method in latent_methods().items():
        assert {*probe.seen.scores.get((name, 0.1), {})} == {at for at, _ in method.refine_at}
    assert probe.seen.slopes["attend-and-excite", 0.1] > 0
    assert probe.seen.slopes["divide-and-bind", 0.1] > 0


@pytest.mark.slow
def test_calibrated_numbers_are_kept_and_used_when_asked_for(mini, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    words = ["draw", "a cat and a frog", "--method", "attend-and-excite", "--calibrated"]
    assert cli.main(words) == 2
    with pytest.raises(ValueError, match="no calibration of 'mini'; run `adhere calibrate`"):
        adhere.calibrated("attend-and-excite", mini)
    found = adhere.calibrate(mini, subjects=calibration.SUBJECTS[:8], steps=12)
    path = calibration.calibration_file(found.model, found.weights)
    found.save(path)
    method = adhere.calibrated("attend-and-excite", mini)
    assert method == make("attend-and-excite", found.numbers["attend-and-excite"])
    assert method != adhere.AttendAndExcite()
    drawn = adhere.draw("a cat and a frog", model=mini, method=method, steps=2)
    said = drawn.recipes[0].methods[0].parameters
    assert said["step_size"] == found.numbers["attend-and-excite"]["step_size"]
    assert cli.main([*words, "--steps", "2", "--out", str(tmp_path / "images")]) == 0
    [image] = (tmp_path / "images").iterdir()
    assert adhere.read_recipe(image).methods[0].parameters == said
    with pytest.raises(ValueError, match="'emergent-layout' is not calibrated"):
        adhere.calibrated("emergent-layout", mini)
    with pytest.raises(ValueError, match="made with other weights"):
        calibration.read_calibration(path, "0" * 64)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"numbers": {"nothing": {}}}))
    with pytest.raises(ValueError, match="is no calibration"):
        adhere.calibrated("attend-and-excite", mini)


@pytest.mark.slow
def test_a_model_that_draws_no_single_subject_is_refused(mini):
    with pytest.raises(ValueError, match="drew 0 of 6 single subjects"):
        adhere.calibrate(mini, subjects=calibration.SUBJECTS[:6], steps=1)
    with pytest.raises(ValueError, match="Got 1 subjects"):
        adhere.calibrate(mini, subjects=["cat"])
