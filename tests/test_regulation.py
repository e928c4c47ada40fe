import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adhere.methods.regulation import Goal, fold, make_bumps, regulate
from golden_maps import scores


def start(samples, heads, targets, bumps, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, heads, targets, len(bumps))
    return torch.rand(shape, generator=generator, dtype=dtype)


def by_autograd(scores, weights, bumps, targets, iterations=20):
    """The same descent for one sample, on all tokens, with gradients from autograd."""
    heads = len(scores)
    best, smallest = None, float("inf")
    for _ in range(iterations):
        weights = weights.detach().requires_grad_()
        edit = weights @ bumps
        spread = torch.zeros_like(scores)
        for number, tokens in enumerate(targets):
            for token in tokens:
                spread[..., token] = spread[..., token] + edit[:, number]
        attention = (scores + spread).softmax(-1)
        attention = torch.stack([attention[..., list(t)].sum(-1) for t in targets], -2)
        penalty = (
            (attention.quantile(0.9, dim=-1) - 0.9).square().mean()
            + 80 * (attention.mean(-1) - min(0.2, 1 / len(targets))).square().mean()
            + 0.09 * weights.square().mean()
        )
        if penalty < smallest:
            best, smallest = edit.detach(), penalty.detach()
        (slope,) = torch.autograd.grad(penalty, weights)
        weights = weights - 100 * heads * slope
    return best, smallest


def test_golden_penalty_without_an_edit():
    # Token 2 and 5 of the closed-form maps: quantile term 0.7335271104, share term 0.0350988401.
    flat = scores().reshape(1, 1, 256, 77)
    folded = fold(flat, [[2], [5]])
    quantiles = folded.softmax(-2)[0, 0, :2].quantile(0.9, dim=-1)
    torch.testing.assert_close(
        quantiles, torch.tensor([0.05295093, 0.03422745], dtype=torch.float64), rtol=1e-6, atol=0
    )
    bumps = make_bumps(16, 16).double()
    nothing = torch.zeros(1, 1, 2, len(bumps), dtype=torch.float64)
    for goal, expected in (
        (Goal(share_weight=0), 0.7335271104),
        (Goal(peak_weight=0, share_weight=1), 0.0350988401),
        (Goal(), 3.5414343203),
    ):
        edit, penalty = regulate(folded, nothing, bumps, goal, iterations=1)
        assert penalty.item() == pytest.approx(expected, rel=1e-6)
        assert not edit.any()


@pytest.mark.parametrize(
    "targets", [[[2], [5]], [[3]], [[2], [5, 6], [9]], [[i] for i in range(7)]]
)
@pytest.mark.parametrize("size", [(16, 16), (9, 13), (4, 4)])
def test_the_written_gradient_is_the_true_one(targets, size):
    generator = torch.Generator().manual_seed(1)
    cells = size[0] * size[1]
    raw = torch.randn((3, cells, 20), generator=generator, dtype=torch.float64)
    bumps = make_bumps(*size).double()
    weights = start(1, 3, len(targets), bumps)
    edit, penalty = regulate(fold(raw, targets)[None], weights, bumps, Goal())
    expected, smallest = by_autograd(raw, weights[0], bumps, targets)
    torch.testing.assert_close(penalty[0], smallest, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(edit[0], expected, rtol=1e-7, atol=1e-9)


def test_the_edit_raises_targets_and_evens_their_shares():
    generator = torch.Generator().manual_seed(2)
    raw = torch.randn((2, 4, 256, 77), generator=generator)
    raw[..., 0] += 4
    raw[..., 2] += 2
    bumps = make_bumps(16, 16)
    weights = start(2, 4, 2, bumps, dtype=torch.float32)
    folded = fold(raw, [[2], [5]])
    edit, _ = regulate(folded, weights, bumps, Goal())
    before = folded.softmax(-2)[..., :2, :].mean(-1)
    edited = torch.cat([folded[..., :2, :] + edit, folded[..., 2:, :]], -2)
    after = edited.softmax(-2)[..., :2, :].mean(-1)
    assert (after[..., 1] > before[..., 1]).all()
    assert ((after - 0.2).abs() < 0.1).all()


def test_a_batch_is_its_samples_one_by_one():
    generator = torch.Generator().manual_seed(3)
    raw = torch.randn((3, 2, 64, 12), generator=generator, dtype=torch.float64)
    bumps = make_bumps(8, 8).double()
    weights = start(3, 2, 2, bumps)
    folded = fold(raw, [[2], [5]])
    together, penalties = regulate(folded, weights, bumps, Goal())
    for sample in range(3):
        one = slice(sample, sample + 1)
        alone, penalty = regulate(folded[one], weights[one], bumps, Goal())
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(penalties[one], penalty, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "count"),
    [((16, 16), 49), ((24, 24), 121), ((32, 32), 49), ((64, 64), 49), ((8, 8), 9)],
)
def test_bumps_lie_on_the_lattice_of_the_authors(size, count):
    bumps = make_bumps(*size)
    assert bumps.shape == (count, size[0] * size[1])
    spread = max(1, size[0] // 16)
    first = bumps[0].reshape(size)
    assert first[2 * spread, 2 * spread] == 1
    second = bumps[1].reshape(size)
    assert second[4 * spread, 2 * spread] == 1


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), targets=st.integers(1, 3))
def test_any_grid_gives_a_finite_edit(height, width, targets):
    generator = torch.Generator().manual_seed(height * 21 + width)
    raw = torch.randn((1, 2, height * width, 9), generator=generator)
    bumps = make_bumps(height, width)
    assert torch.isfinite(bumps).all() and bumps.shape[1] == height * width and len(bumps)
    weights = start(1, 2, targets, bumps, dtype=torch.float32)
    edit, penalty = regulate(fold(raw, [[i + 1] for i in range(targets)]), weights, bumps, Goal())
    assert edit.shape == (1, 2, targets, height * width)
    assert torch.isfinite(edit).all() and torch.isfinite(penalty).all()


def test_folding_keeps_probabilities():
    raw = torch.randn((2, 5, 9), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    folded = fold(raw, [[1, 2], [7]]).softmax(-2)
    whole = raw.softmax(-1)
    torch.testing.assert_close(folded[:, 0], whole[..., 1] + whole[..., 2])
    torch.testing.assert_close(folded[:, 1], whole[..., 7])
    torch.testing.assert_close(folded.sum(-2), torch.ones(2, 5, dtype=torch.float64))
