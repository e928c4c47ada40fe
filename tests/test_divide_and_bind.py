import dataclasses

import pytest
import torch

from adhere.attention.maps import smooth
from adhere.methods import losses
from adhere.methods.divide_and_bind import DivideAndBind
from adhere.methods.schedule import Step
from method_maps import maps_of, read, subject

PAIRS = ((subject(3, 2), subject(7, 6)), (subject(2), subject(5, 4)))
BASELINE = ((subject(3), subject(7)), (subject(2), subject(5)))
FIRST = Step(0, 50, 981.0)


def of_token(maps, sample, token, layers=None):
    if layers is not None:
        maps = dataclasses.replace(maps, layers=layers, factors=dict.fromkeys(layers, maps.factor))
    return smooth(dataclasses.replace(maps, _kept={}).normalised()[sample, ..., token])


def test_the_loss_is_minus_the_weakest_variation():
    maps = maps_of(4)
    loss = DivideAndBind().loss(read(maps, BASELINE, FIRST))
    for sample, own in enumerate(BASELINE):
        values = [losses.total_variation(of_token(maps, sample, s.token_indices[0])) for s in own]
        torch.testing.assert_close(loss[sample], -min(values))
    torch.testing.assert_close(-loss, DivideAndBind().score(read(maps, BASELINE)))


def test_attributes_are_read_from_finer_levels_at_their_nearest_cells():
    maps = maps_of(4, levels=((8, 8), (16, 16), (32, 32)))
    small = {
        "layer 1": maps.layers["layer 1"][:, ::2, ::2],
        "layer 2": maps.layers["layer 2"][:, ::4, ::4],
    }
    values = []
    for noun, modifier in ((3, 2), (7, 6)):
        wanted = of_token(maps, 0, noun)
        divergence = losses.clipped_jensen_shannon(wanted, of_token(maps, 0, modifier, small))
        values.append(losses.total_variation(wanted) - divergence)
    torch.testing.assert_close(DivideAndBind().loss(read(maps, PAIRS, FIRST))[0], -min(values))


def test_a_model_without_finer_levels_binds_on_the_level_it_has():
    maps = maps_of(4, levels=((16, 16),))
    loss = DivideAndBind().loss(read(maps, PAIRS, FIRST))
    assert torch.isfinite(loss).all()
    assert (loss >= DivideAndBind(binding=False).loss(read(maps, PAIRS, FIRST))).all()


@pytest.mark.parametrize(("index", "weight"), [(0, 1), (9, 1), (10, 5), (19, 5), (20, 10)])
def test_binding_weighs_more_as_sampling_goes_on(index, weight):
    maps = maps_of(4)
    one = ((subject(3, 2),), (subject(5, 4),))
    step = Step(index, 50, 500.0)
    bare = DivideAndBind(binding=False).loss(read(maps, one, step))
    once = DivideAndBind(binding_weights=((0.0, 1.0),)).loss(read(maps, one, step))
    torch.testing.assert_close(
        DivideAndBind().loss(read(maps, one, step)), bare + weight * (once - bare)
    )


def test_schedules():
    method = DivideAndBind.official()
    for count in (50, 51):
        steps = [Step(i, count, 0.0) for i in range(count)]
        thresholds = {
            s.index: method.schedule.threshold_at(s)
            for s in steps
            if method.schedule.threshold_at(s)
        }
        assert thresholds == {0: 0.05, 10: 0.2, 20: 0.3}
        assert [s.index for s in steps if method.schedule.step_size_at(s)] == list(range(25))
        assert [method.schedule.max_refinements_at(s) for s in steps[:2]] == [100, 50]
    sizes = {0: 20.0, 1: 19.8997, 9: 19.0788, 10: 18.9737, 20: 17.8885, 24: 17.4356}
    for index, size in sizes.items():
        assert method.schedule.step_size_at(Step(index, 51, 0.0)) == pytest.approx(size, rel=1e-5)


def test_the_paper_variant_moves_about_as_far_as_the_default():
    maps = maps_of(4)
    for binding in (False, True):
        default, written = (
            DivideAndBind(binding=binding),
            DivideAndBind.as_written(binding=binding),
        )
        for sample in maps.layers.values():
            sample.requires_grad_()
        one, other = (
            method.step_size
            * torch.autograd.grad(
                method.loss(read(maps, PAIRS, FIRST)).sum(), maps.layers["layer 0"]
            )[0].norm()
            for method in (default, written)
        )
        assert 0.5 < other / one < 2
    assert DivideAndBind.as_written().loss(read(maps, PAIRS, FIRST)).shape == (2,)


def test_the_paper_variant_binds_every_subject():
    maps = maps_of(4)
    method = dataclasses.replace(DivideAndBind.as_written(), binding_weights=((0.0, 1.0),))
    fine = {"layer 1": maps.layers["layer 1"][:, ::2, ::2]}
    total = sum(
        losses.jensen_shannon(of_token(maps, 0, noun), of_token(maps, 0, modifier, fine))
        for noun, modifier in ((3, 2), (7, 6))
    )
    weakest = min(losses.total_variation(of_token(maps, 0, noun), "sum") for noun in (3, 7))
    torch.testing.assert_close(method.loss(read(maps, PAIRS, FIRST))[0], total - weakest)


@pytest.mark.parametrize(
    "method",
    [
        DivideAndBind(),
        DivideAndBind(binding=False),
        DivideAndBind.official(),
        DivideAndBind.as_written(),
    ],
)
@pytest.mark.parametrize("levels", [((16, 16), (32, 32)), ((5, 7), (9, 14)), ((3, 2),)])
def test_samples_do_not_mix(method, levels):
    both = maps_of(4, levels=levels)
    for sample in range(2):
        alone = both.take([sample])
        own = PAIRS[sample : sample + 1]
        torch.testing.assert_close(
            method.loss(read(alone, own, FIRST))[0], method.loss(read(both, PAIRS, FIRST))[sample]
        )
        torch.testing.assert_close(
            method.score(read(alone, own))[0], method.score(read(both, PAIRS))[sample]
        )
