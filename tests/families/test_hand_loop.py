"""In every family, nursing is what the pipeline's own loop is with its latents moved by hand."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import adhere
from adhere.attention.call import AttentionCall
from adhere.families import family_of

from . import FAMILIES
from .nursing import PROMPT, always, nursed, plain
from .outcomes import CLASSES
from .probe import watching, within

STEP_SIZE = 5.0
# One of each transformer class, and those whose latents come with something beside them.
OTHERS = """
sd3.5-medium sd3-inpaint-33 flux-fill flux-kontext flux-controlnet qwen-image-edit z-image-inpaint
modular-sd3
""".split()
KINDS = [*CLASSES, *OTHERS]


def probabilities(call, row):
    """Attention of one row of a call, written out, (queries, keys), mean over heads."""
    query, key = call.query[row], call.key[row]
    key = key.repeat_interleave(len(query) // len(key), 0)
    scores = query @ key.mT * (call.scale or 1 / math.sqrt(query.shape[-1]))
    if call.mask is not None:
        mask = call.mask.expand(*call.query.shape[:3], call.key.shape[2])[row]
        is_kept = mask.dtype is torch.bool
        scores = scores.where(mask, -math.inf) if is_kept else scores + mask
    return scores.softmax(-1).mean(0)


def loss_of(seen, family, opened, words):
    """One minus the weaker peak of two words, by their columns, of all layers together."""
    own = within(seen, family)
    region = family.region(opened, AttentionCall(own[0].query, own[0].key, own[0].key))
    maps = torch.stack([probabilities(each, opened.first) for each in own]).mean(0)
    maps = maps[region.queries[0]].unflatten(0, opened.size)
    text = region.keys[0].start
    side = torch.tensor([math.exp(-1), 1, math.exp(-1)], dtype=maps.dtype)
    kernel = torch.outer(side, side) / side.sum() ** 2
    total = family.columns_of(opened.call)
    peaks = []
    for own in words:
        one = maps[..., [text + column % total for column in own]].mean(-1)
        padded = F.pad(one[None, None], (1, 1, 1, 1), mode="reflect")
        peaks.append(F.conv2d(padded, kernel[None, None]).max())
    return 1 - torch.stack(peaks).min()


def columns(pipe, word):
    """A word's columns in all text encoders."""
    (token,) = [token for token in adhere.tokens(pipe, PROMPT) if token.text == word]
    return [column for own in token.columns.values() for column in own]


def steps_of(pipe, run, monkeypatch):
    """The latents' shape in each step of the scheduler."""
    shapes, own = [], pipe.scheduler.step

    def step(*positional, **named):
        shapes.append(positional[2].shape)
        return own(*positional, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pipe.scheduler, "step", functools.wraps(own)(step))
        run()
    return shapes


def move_by_hand(pipe, shapes, monkeypatch):
    """Have a pipeline's own loop move its latents before each step."""
    model, family = pipe.transformer, family_of(pipe)
    words = [columns(pipe, word) for word in ("car", "bowl")]
    denoise, step, shifts, calls = model.forward, pipe.scheduler.step, [], []
    is_list = family.sample in family.listed
    place = (...,) if is_list else tuple(slice(size) for size in shapes[0][1:])

    def forward(*positional, **named):
        opened = family.open(positional, named, 1, 1)
        rows, row = family.samples_of(opened.call), opened.first
        if len(shifts) == len(calls):
            latents = rows[row][place].detach().requires_grad_()
            with torch.enable_grad(), watching(model) as seen:
                moving = rows.clone()
                moving[row][place] = latents
                given = family.with_samples(opened.call, moving)
                denoise(*given.args, **given.keywords)
                loss = loss_of(seen, family, opened, words)
                (slope,) = torch.autograd.grad(loss, latents)
            decay = math.sqrt(1 - 0.5 * len(calls) / (len(shapes) - 1))
            shifts.append(-STEP_SIZE * decay * slope)
        rows = rows.clone()
        rows[(slice(None), *place)] += shifts[-1]
        given = family.with_samples(opened.call, rows)
        return denoise(*given.args, **given.keywords)

    def stepped(output, timestep, sample, *positional, **named):
        calls.append(timestep)
        moved = sample + shifts[-1].reshape(sample.shape)
        return step(output, timestep, moved, *positional, **named)

    monkeypatch.setattr(model, "forward", functools.wraps(denoise)(forward))
    monkeypatch.setattr(pipe.scheduler, "step", functools.wraps(step)(stepped))


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_nursed_equals_the_pipelines_own_loop_moved_by_hand(kind, monkeypatch):
    toy = FAMILIES[kind]
    pipe = toy.build()
    pipe.to(torch.float64)
    run = functools.partial(plain, toy, pipe, guided=True, wide=True)
    before, shapes = run(), steps_of(pipe, run, monkeypatch)
    method = always(step_size=STEP_SIZE, layers="all")
    latents, _ = nursed(toy, pipe, method, guided=True, wide=True)
    move_by_hand(pipe, shapes, monkeypatch)
    expected = run()
    assert not torch.allclose(before.double(), expected.double(), atol=1e-4)
    torch.testing.assert_close(latents.double(), expected.double(), atol=1e-5, rtol=1e-5)
