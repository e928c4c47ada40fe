"""InitNO: noise is searched before the first step, and latents move after it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import toys
from adhere.errors import UnsupportedPipeline
from adhere.methods import losses
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.initno import InitNO
from adhere.nursing import nurse
from adhere.nursing.updates import Evaluation, move
from method_maps import clip_columns, made, maps_of, read, subject

from .captured import CAT, FROG, PROMPT, check, overlap, smoothed, softmaxed
from .test_self_cross import looks

ALWAYS = InitNO(stop=1.0, refine_at=(), rounds=0)


def maps_by_hand(reading):
    soft = softmaxed(reading)
    return [smoothed(soft[..., token]) for token in (3, 7)]


def by_hand(reading):
    return 1 - min(grid.max() for grid in maps_by_hand(reading))


def overlap_by_hand(reading):
    own = looks(reading)
    seen = [smoothed(own[grid.argmax()].reshape(grid.shape)) for grid in maps_by_hand(reading)]
    return overlap(*seen)


def score(reading):
    return 1 - by_hand(reading) if overlap_by_hand(reading) <= 0.3 else 0.0


def test_a_run_has_the_loss_the_score_and_the_shift_of_the_formula(monkeypatch):
    check(ALWAYS, by_hand, monkeypatch, score=score)


def joint(reading):
    return by_hand(reading) + overlap_by_hand(reading)


def test_refinement_minimises_the_overlap_of_self_attention_too(monkeypatch):
    found = []

    class Noting(InitNO):
        def refining_loss(self, reading):
            loss = super().refining_loss(reading)
            found.append((float(loss[0].detach()), joint(reading.detach())))
            return loss

    pipe = toys.sd().to(torch.float64)
    method = Noting(rounds=0, refine_at=((0.0, 2.0),), max_refinements=3)
    with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]):
        toys.run(pipe, PROMPT)
    assert len(found) >= 3
    for ours, expected in found:
        assert ours == pytest.approx(expected, rel=1e-6)


def test_a_sample_moves_by_the_refining_loss_while_it_is_refined():
    def evaluate(latents, chosen):
        total = latents.flatten(1).sum(1)
        # The first sample has reached its threshold.
        return Evaluation(2 * total, torch.tensor([1.0, 0.0])[chosen], 10 * total)

    outcome = move(torch.zeros(2, 1), evaluate, 1.0, 0.5, max_refinements=3)
    assert outcome.latents.tolist() == [[-2.0], [-32.0]]
    assert outcome.refinements.tolist() == [0, 3]


def with_looks(own, first, second):
    layer = torch.zeros((1, 8, 8, 6), dtype=torch.float64)
    layer[:, first[0], first[1], 2] = layer[:, second[0], second[1], 4] = 1.0
    maps = made({"layer": layer}, {"layer": 1}, (8, 8), clip_columns((5,), 6))
    reading = read(maps, [(subject(2), subject(4))])
    return replace(reading, self_layers={"layer": own.double()[None]}, _kept={})


def test_the_overlap_of_what_two_peaks_look_at():
    apart = with_looks(torch.eye(64), (1, 1), (6, 6))
    one = with_looks(torch.eye(64), (3, 3), (3, 3))
    flat = with_looks(torch.full((64, 64), 1 / 64), (1, 1), (6, 6))
    found = [InitNO()._overlap(reading).item() for reading in (apart, one, flat)]
    assert found == pytest.approx([0.0, 0.5, 0.5])
    alone = read(apart, [(subject(2),)])
    assert InitNO()._overlap(alone).tolist() == [0.0]


def test_the_golden_toy_value_of_the_overlap():
    """Peaks at (6, 7) and (11, 12) of a grid of 16, cells that look at what is near."""
    cells = np.indices((16, 16)).reshape(2, -1)
    distances = ((cells[:, :, None] - cells[:, None]) ** 2).sum(0)
    own = torch.tensor(-distances / 18.0).softmax(-1)
    layer = torch.zeros((1, 16, 16, 6), dtype=torch.float64)
    layer[:, 6, 7, 2] = layer[:, 11, 12, 4] = 1.0
    maps = made({"layer": layer}, {"layer": 1}, (16, 16), clip_columns((5,), 6))
    reading = read(maps, [(subject(2), subject(4))])
    reading = replace(reading, self_layers={"layer": own[None]}, _kept={})
    assert InitNO()._overlap(reading).item() == pytest.approx(0.1366221682, rel=1e-5)


def test_what_stands_out_and_what_is_joined():
    grid = torch.zeros((5, 6))
    grid[0, 0], grid[1, :2], grid[4, 4:] = 0.9, 0.8, 0.7
    mask = losses.foreground(grid)
    assert mask.sum() == 5
    blob = losses.blob(mask, grid.flatten().argmax())
    assert blob.sum() == 3 and not blob[4].any()
    assert losses.foreground(torch.full((4, 4), 0.3)).all()


def test_the_search_finds_better_noise_that_is_still_noise():
    pipe, generator = toys.sd(), torch.Generator().manual_seed(0)
    noise, begun = torch.randn((1, 4, 8, 8), generator=generator), []
    for method in (
        InitNO(stop=0.01, refine_at=(), rounds=0),
        InitNO(
            stop=0.0, refine_at=(), rounds=2, iterations=3, last_iterations=12, most_overlap=0.0
        ),
    ):
        with nurse(pipe, method, prompt=PROMPT, subjects=[CAT, FROG]) as trace:
            toys.run(pipe, PROMPT, latents=noise)
        begun.append((trace.loss[0].item(), trace.truncated_forwards))
    assert begun[1][0] < begun[0][0]
    # Two rounds of three, the last search of twelve, and each step's own pass.
    assert begun[1][1] - begun[0][1] == 2 * 3 + 12


def test_new_noise_comes_from_the_sample_alone():
    method, seen = InitNO(rounds=3, iterations=1, last_iterations=1, most_overlap=0.0), []
    maps = maps_of(4, samples=1)

    def look(latents, samples):
        seen.append(latents.detach().clone())
        layer = {n: m + 0 * latents.sum() for n, m in maps.layers.items()}
        own = torch.full((1, 256, 256), 1 / 256, dtype=torch.float64) + 0 * latents.sum()
        reading = read(maps, [(subject(2), subject(5))])
        return replace(reading, layers=layer, self_layers={"layer 0": own}, _kept={})

    noise = torch.randn((2, 4, 8, 8), dtype=torch.float64)
    method.search(noise, look, None)
    alone = seen[4:7]
    method.search(noise[1:], look, None)
    for one, again in zip(alone, seen[8:11], strict=True):
        assert torch.equal(one, again)
    assert not torch.equal(seen[0], seen[1])


def test_runs_that_do_not_begin_from_noise_are_refused():
    make, others = toys.calls()["sd-img2img"]
    pipe = make()
    with (
        pytest.raises(UnsupportedPipeline, match="initno searches .* from a noised image"),
        nurse(pipe, InitNO(), prompt=PROMPT),
    ):
        toys.run(pipe, PROMPT, **others)


NOISE = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("latents", "said"),
    [
        (torch.zeros(1, 4, 8, 8), "standard deviation of 0.00"),
        (14 * NOISE, r"standard deviation of 1\d\."),
        (NOISE + 3, r"mean of [23]\."),
        # As smooth as an encoded image, and scaled as that would be.
        (torch.linspace(-1.5, 1.5, 8)[:, None].expand(1, 4, 8, 8), "correlation of 0"),
        (torch.cat([NOISE, 0 * NOISE]), "standard deviation of 0.00"),
    ],
)
@pytest.mark.parametrize("method", [InitNO(), AttendAndExcite() + InitNO()])
def test_own_latents_that_are_no_noise_are_refused(latents, said, method):
    pipe, prompt = toys.sd(), [PROMPT] * len(latents)
    with (
        pytest.raises(UnsupportedPipeline, match=f"^initno searches for initial noise, .*{said}"),
        nurse(pipe, method, prompt=prompt, subjects=[[CAT, FROG]] * len(latents)),
    ):
        toys.run(pipe, prompt, latents=latents)


def test_own_noise_is_taken():
    pipe = toys.sd()
    quick = InitNO(rounds=1, iterations=1, last_iterations=1, stop=0.0)
    with nurse(pipe, quick, prompt=PROMPT) as trace:
        toys.run(pipe, PROMPT, latents=NOISE, steps=1)
    assert trace.backwards > 0
