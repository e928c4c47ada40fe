"""What a block leaves and costs: after an exception, outside its window, with checkpointing."""

import re
from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from adhere.methods.attend_and_excite import AttendAndExcite

from . import FAMILIES
from .nursing import KINDS, always, nursed, plain, state

# One way of calling each denoiser: that others restore everything too is a law of `test_identity`.
_OTHER_CALLS = re.compile("img2img|inpaint|fill|edit|kontext|controlnet|modular")
TEXT_TO_IMAGE = [kind for kind in KINDS if not _OTHER_CALLS.search(kind)]


@dataclass(frozen=True)
class Broken(AttendAndExcite):
    """A method whose loss fails."""

    def loss(self, reading):
        """Fails, in the middle of a pass."""
        raise RuntimeError("broken on purpose")


class Operations(TorchDispatchMode):
    """Counts the operations inside the block by name, reads of single numbers included."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run it and count it."""
        self.counts[func.name()] += 1
        return func(*args, **(kwargs or {}))


def more_by_more_steps(run):
    """The operations that six steps have and three have not."""
    counts = []
    for steps in (3, 6):
        with Operations() as operations:
            run(steps)
        counts.append(operations.counts)
    few, many = counts
    many.subtract(few)
    return {name: number for name, number in many.items() if number}


@pytest.mark.parametrize("kind", TEXT_TO_IMAGE)
def test_an_exception_leaves_nothing(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    expected, before = plain(toy, pipe, steps=2), state(pipe)
    with pytest.raises(RuntimeError, match="on purpose"):
        nursed(toy, pipe, always(Broken), steps=2)
    assert state(pipe) == before
    assert torch.equal(plain(toy, pipe, steps=2), expected)


@pytest.mark.parametrize("kind", ["sd3", "flux", "pixart-sigma"])
@pytest.mark.parametrize("stop", [0, 1])
def test_a_step_outside_the_window_has_no_operation_of_ours(kind, stop):
    toy = FAMILIES[kind]
    pipe = toy.build()
    method = always(stop=stop, in_steps=True)
    theirs = more_by_more_steps(lambda steps: plain(toy, pipe, steps=steps))
    ours = more_by_more_steps(lambda steps: nursed(toy, pipe, method, steps=steps))
    assert theirs and ours == theirs


@pytest.mark.parametrize("kind", TEXT_TO_IMAGE)
def test_checkpointing_leaves_the_gradient(kind):
    toy = FAMILIES[kind]
    pipe = toy.build()
    if kind.startswith("hunyuan-image"):
        pytest.skip("The checkpointing of this denoiser raises in diffusers itself.")
    expected, _ = nursed(toy, pipe, always(step_size=5.0), steps=2)
    pipe.transformer.enable_gradient_checkpointing()
    found, _ = nursed(toy, pipe, always(step_size=5.0), steps=2)
    torch.testing.assert_close(found, expected)
