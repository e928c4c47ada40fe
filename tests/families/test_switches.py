"""What a user may have switched on in a denoiser leaves the nursed image as it is."""

import pytest
import torch

import adhere

from . import FAMILIES
from .nursing import always, nursed, plain, state
from .outcomes import CLASSES

METHODS = (always(step_size=5.0), adhere.TokenReweighting())


def drawn(toy, pipe):
    """The latents of each method."""
    return [nursed(toy, pipe, method, guided=True, steps=2)[0] for method in METHODS]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", CLASSES)
def test_a_compiled_denoiser(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    expected = drawn(toy, pipe)
    pipe.transformer.compile(backend="eager")
    torch._dynamo.reset()
    without, before = plain(toy, pipe, guided=True, steps=2), state(pipe)
    graphs = dict(torch._dynamo.utils.counters["stats"])
    assert graphs["unique_graphs"] > 0
    torch.testing.assert_close(drawn(toy, pipe), expected, atol=1e-4, rtol=1e-4)
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe, guided=True, steps=2), without)
    assert dict(torch._dynamo.utils.counters["stats"]) == graphs
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", CLASSES)
def test_weights_that_are_offloaded_until_the_denoiser_is_called(kind):
    hooks = pytest.importorskip("accelerate.hooks")

    class Offloaded(hooks.ModelHook):
        """As accelerate's for a whole model: weights are elsewhere until it is called."""

        def init_hook(self, module):
            self.kept = [(weight, weight.data) for weight in module.parameters()]
            for weight, data in self.kept:
                weight.data = torch.full_like(data, torch.nan)
            return module

        def pre_forward(self, module, *args, **kwargs):
            for weight, data in self.kept:
                weight.data = data
            return args, kwargs

    toy = FAMILIES[kind]
    pipe = toy.build()
    expected = drawn(toy, pipe)
    for method, latents in zip(METHODS, expected, strict=True):
        hooks.add_hook_to_module(pipe.transformer, Offloaded())
        found, _ = nursed(toy, pipe, method, guided=True, steps=2)
        assert torch.equal(found, latents)
        hooks.remove_hook_from_module(pipe.transformer)
