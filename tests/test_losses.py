import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adhere.attention.maps import renormalise, smooth, together
from adhere.methods import losses
from golden_maps import probabilities
from method_maps import clip_columns

ONE_MAP = [
    losses.excitation,
    losses.total_variation,
    lambda maps: losses.total_variation(maps, "sum"),
    losses.total_variation_to_last_row,
]
TWO_MAPS = [losses.jensen_shannon, losses.clipped_jensen_shannon]
GRIDS = [(16, 16), (5, 9), (9, 5), (1, 7), (7, 1), (1, 1), (2, 3)]


def golden(token, end=76, token_range="padded"):
    columns = clip_columns((end,), 77, padded=token_range == "padded")
    attention = renormalise(probabilities()[None], columns.competing)
    return smooth(attention[0, :, :, token])


def disc(row, column, radius, size=(16, 16)):
    rows = torch.arange(size[0], dtype=torch.float64)[:, None]
    columns = torch.arange(size[1], dtype=torch.float64)[None]
    return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).double()


def random_maps(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_golden(got, expected):
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


def test_golden_maps_are_the_documented_ones():
    assert_golden(probabilities()[3, 7, [2, 5]], [0.00040086833867, 0.02224223013416])


def test_golden_excitation():
    maps = torch.stack([golden(2), golden(5)])
    assert_golden(1 - losses.excitation(maps), [0.2749139909, 0.3311020153])
    assert_golden(losses.excitation(maps).amax(), 0.7250860091)


def test_golden_excitation_among_the_words_alone():
    maps = torch.stack([golden(2, 9, "words"), golden(5, 9, "words")])
    assert_golden(1 - losses.excitation(maps), [0.8082223770, 0.4750971236])
    assert_golden(losses.excitation(maps).amax(), 0.5249028764)


def test_golden_total_variation():
    maps = torch.stack([golden(2), golden(5)])
    assert_golden(losses.total_variation(maps), [0.0303825665, 0.0253776104])
    assert_golden(losses.total_variation(maps, "sum"), [7.2918159492, 6.0906264983])
    assert_golden(losses.total_variation_to_last_row(maps), [0.0295523209, 0.0269590204])


def test_golden_binding():
    subject, attribute = golden(5), golden(4)
    assert_golden(losses.clipped_jensen_shannon(subject, attribute), 7.8048296e-4)
    assert_golden(losses.jensen_shannon(subject, attribute), 4.8890074e-4)


def test_a_flat_map_has_no_variation():
    flat = torch.full((2, 6, 9), 0.3, dtype=torch.float64)
    assert_golden(losses.excitation(flat), [0.7, 0.7])
    for loss in ONE_MAP[1:]:
        assert loss(flat).tolist() == [0, 0]


def test_a_single_cell():
    delta = torch.zeros(16, 16, dtype=torch.float64)
    delta[5, 6] = 1
    assert losses.excitation(delta) == 0
    assert losses.total_variation(delta, "sum") == 4
    assert_golden(losses.total_variation(delta), 4 / 240)
    assert_golden(losses.total_variation_to_last_row(delta), 3 / 240)


def test_a_vertical_ramp_shows_the_slip_of_the_authors():
    ramp = torch.linspace(0, 1, 16, dtype=torch.float64)[:, None].expand(16, 16)
    assert_golden(losses.total_variation(ramp), 1 / 15)
    assert_golden(losses.total_variation_to_last_row(ramp), 7 / 15)


def test_two_discs_vary_more_than_one_of_their_area():
    two = disc(4, 4, 2) + disc(11, 11, 2)
    one = disc(8, 8, math.sqrt(two.sum().item() / math.pi))
    for loss in (losses.total_variation, lambda maps: losses.total_variation(maps, "sum")):
        assert loss(two) > loss(one)


@pytest.mark.parametrize("loss", TWO_MAPS)
def test_binding_falls_as_the_attribute_moves_onto_its_subject(loss):
    subject = smooth(disc(5, 5, 2))
    far, near = smooth(disc(11, 11, 2)), smooth(disc(6, 6, 2))
    assert loss(subject, far) > loss(subject, near) > loss(subject, subject)
    assert loss(subject, subject) == pytest.approx(0, abs=1e-15)
    assert loss(subject, 0.2 * subject) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("loss", TWO_MAPS)
def test_an_attribute_without_any_attention_gives_a_finite_loss_and_slope(loss):
    subject = random_maps(6, 6).float()
    attribute = torch.zeros(6, 6, requires_grad=True)
    value = loss(subject, attribute)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(attribute.grad).all()


@pytest.mark.parametrize("loss", TWO_MAPS)
def test_binding_wants_maps_of_one_size(loss):
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(8, 8\).*resize"):
        loss(torch.rand(4, 4), torch.rand(8, 8))


def test_an_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="'median'"):
        losses.total_variation(torch.rand(4, 4), "median")


@pytest.mark.parametrize("loss", ONE_MAP)
@pytest.mark.parametrize("grid", GRIDS)
def test_slopes_of_one_map(loss, grid):
    maps = random_maps(2, *grid).requires_grad_()
    assert torch.autograd.gradcheck(loss, (maps,))


@pytest.mark.parametrize("loss", TWO_MAPS)
@pytest.mark.parametrize("grid", GRIDS)
def test_slopes_of_two_maps(loss, grid):
    maps = random_maps(2, *grid).requires_grad_(), random_maps(2, *grid, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, maps)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(4)), grid=st.sampled_from(GRIDS), seed=st.integers(0, 99))
def test_samples_do_not_mix(order, grid, seed):
    maps, others = random_maps(4, *grid, seed=seed), random_maps(4, *grid, seed=seed + 100)
    for loss in ONE_MAP:
        torch.testing.assert_close(loss(maps[order]), loss(maps)[order], rtol=0, atol=0)
        torch.testing.assert_close(loss(maps[1]), loss(maps)[1], rtol=1e-12, atol=1e-14)
    for loss in TWO_MAPS:
        value = loss(maps, others)
        torch.testing.assert_close(loss(maps[order], others[order]), value[order])
        torch.testing.assert_close(loss(maps[1], others[1]), value[1], rtol=1e-12, atol=1e-14)


@settings(max_examples=30, deadline=None)
@given(down=st.integers(0, 7), right=st.integers(0, 7), seed=st.integers(0, 99))
def test_a_map_inside_a_margin_may_move(down, right, seed):
    def placed(patch, row, column):
        whole = torch.zeros(16, 16, dtype=torch.float64)
        whole[1 + row : 8 + row, 1 + column : 8 + column] = patch
        return whole

    patch, other = random_maps(7, 7, seed=seed), random_maps(7, 7, seed=seed + 100)
    here, there = placed(patch, 0, 0), placed(patch, down, right)
    # The last row stays empty, so even the distance to it does not see the move.
    for loss in ONE_MAP:
        torch.testing.assert_close(loss(here), loss(there))
    for loss in TWO_MAPS:
        moved = loss(there, placed(other, down, right))
        torch.testing.assert_close(loss(here, placed(other, 0, 0)), moved)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), grid=st.sampled_from(GRIDS))
def test_mirrors_and_ranges(seed, grid):
    maps, others = random_maps(3, *grid, seed=seed), random_maps(3, *grid, seed=seed + 1000)
    torch.testing.assert_close(
        losses.total_variation(maps), losses.total_variation(maps.flip(-1, -2))
    )
    torch.testing.assert_close(losses.total_variation(maps), losses.total_variation(maps.mT))
    divergence = losses.jensen_shannon(maps, others)
    assert ((divergence >= -1e-12) & (divergence <= math.log(2))).all()
    assert (losses.clipped_jensen_shannon(maps, others) >= -1e-12).all()


@given(st.integers(1, 4), st.sampled_from(GRIDS), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_words_together_are_no_more_than_their_sum(count, grid, seed):
    maps = random_maps(count, *grid, seed=seed)
    found = together(maps)
    assert (found <= maps.sum(0) + 1e-9).all() and (found >= count * maps.amin(0) - 1e-9).all()
    alike = maps[:1].expand(count, *grid)
    torch.testing.assert_close(together(alike), count * maps[0])
    torch.testing.assert_close(together(maps.flip(0)), found)
    assert torch.equal(together(maps[:1]), maps[0])


def test_a_word_that_is_missing_leaves_next_to_nothing_and_a_finite_slope():
    maps = torch.stack([disc(4, 4, 2), disc(11, 11, 2)]).requires_grad_()
    found = together(maps)
    assert found.max() < 1e-5
    [slope] = torch.autograd.grad(found.sum(), maps)
    assert slope.isfinite().all()
