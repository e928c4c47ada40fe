"""Real nursed runs with every pass caught, and the field's maps once more, in loops of numpy."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

import toys
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.nursing import nurse, passes, run
from adhere.subjects import Attribute, Subject

PROMPT = "a red cat and a blue frog"
CAT = Subject("cat", (3,), (Attribute("red", (2,)),))
FROG = Subject("frog", (7,), (Attribute("blue", (6,)),))
# For methods that need them.
BOXES = {"cat": (0.0, 0.1, 0.4, 0.9), "frog": (0.5, 0.2, 1.0, 1.0)}
# What the method moves by is compared with differences of the hand-computed loss over this.
STRIDE = 1e-5
EXACT = {"rel_tol": 1e-6, "abs_tol": 1e-6}


@dataclass
class Caught:
    """One nursed step of a run."""

    step: Step
    reading: Reading
    loss: float
    score: float
    shift: torch.Tensor
    latents: torch.Tensor
    read: object


def caught(method, monkeypatch, family=None, steps=4):
    """Every nursed step of a run in double precision, of the U-Net or of a family's toy."""
    found, original = [], passes.nurse_latents

    def spy(context, reader, method, opened, step, previous, **others):
        def read(latents):
            there = replace(opened, latents=latents)
            own = replace(method, **{"rounds": 0} if hasattr(method, "rounds") else {})
            unsearched = {**others, "searches": False}
            seen = original(context, reader, own, there, step, previous, **unsearched)[2]
            return replace(seen, previous=previous)

        shift, record, last = original(context, reader, method, opened, step, previous, **others)
        reading = replace(last, previous=previous)
        found.append(
            Caught(
                step=step,
                reading=reading,
                loss=float(record.loss[0]),
                score=float(method.score(reading)[0]),
                shift=shift,
                latents=opened.latents.detach().clone(),
                read=read,
            )
        )
        return shift, record, last

    monkeypatch.setattr(run, "nurse_latents", spy)
    make, go = (toys.sd, toys.run) if family is None else (family.build, family.run)
    pipe = make().to(torch.float64)
    subjects = [CAT, FROG] if family is None else None
    boxes = BOXES if method.needs_boxes else None
    with nurse(pipe, method, prompt=PROMPT, subjects=subjects, boxes=boxes):
        go(pipe, PROMPT, steps=steps)
    return found


def field_size(step):
    """The step size of the field: 20 times the root of a ramp from 1 to a half."""
    return 20 * math.sqrt(1 - 0.5 * step.index / (step.count - 1))


def check(method, by_hand, monkeypatch, *, score=None, size=field_size, family=None):
    """Loss, score and shift of every step of a run are those computed by hand.

    Args:
        method: nurses every step, without refinement.
        by_hand: from a reading to the loss of its first sample.
        monkeypatch: pytest's.
        score: as `by_hand`, to the score; None for minus the loss.
        size: from a step to its factor of the gradient, by hand.
        family: whose toy is run; None for the U-Net.
    """
    steps = caught(method, monkeypatch, family)
    assert len(steps) >= 3
    generator = torch.Generator().manual_seed(0)
    for one in steps:
        loss = by_hand(one.reading)
        assert math.isclose(one.loss, loss, **EXACT)
        assert math.isclose(one.score, score(one.reading) if score else -loss, **EXACT)
        way = torch.randn(one.latents.shape, generator=generator, dtype=torch.float64)
        expected = -size(one.step) * slope(lambda z, one=one: by_hand(one.read(z)), one, way)
        assert math.isclose(float((one.shift * way).sum()), expected, **EXACT)


def slope(by_hand, one, way):
    """How a loss grows from a step's latents along a way, by differences of fourth order."""
    near, far = (
        by_hand(one.latents + k * STRIDE * way) - by_hand(one.latents - k * STRIDE * way)
        for k in (1, 2)
    )
    return (8 * near - far) / (12 * STRIDE)


def aggregate(reading):
    """The mean over all heads of the layers that objectives read, (H, W, T)."""
    total, heads = 0.0, 0
    for name, layer in reading.layers.items():
        if reading.factors[name] == reading.factor:
            total = total + reading.heads[name] * layer[0].double().numpy()
            heads += reading.heads[name]
    return total / heads


def softmaxed(reading, temperature=0.01):
    """Each pixel's softmax over the columns that compete, after the field's factor of 100."""
    raw, kept = aggregate(reading), reading.columns.competing[0].numpy()
    out = np.zeros_like(raw)
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            exponents = np.exp(raw[row, column] / temperature)
            values = [e if k else 0.0 for e, k in zip(exponents, kept, strict=True)]
            out[row, column] = np.array(values) / sum(values)
    return out


def smoothed(grid, exponent=1.0):
    """A map after the 3 x 3 kernel with `exp(-exponent * distance**2)`, edges reflected."""
    weights = [math.exp(-exponent), 1.0, math.exp(-exponent)]
    height, width = grid.shape
    out = np.zeros_like(grid)
    for row in range(height):
        for column in range(width):
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    y, x = row + i, column + j
                    y = -y if y < 0 else 2 * (height - 1) - y if y >= height else y
                    x = -x if x < 0 else 2 * (width - 1) - x if x >= width else x
                    out[row, column] += weights[i + 1] * weights[j + 1] * grid[y, x]
    return out / sum(weights) ** 2


def otsu(grid):
    """The cells above the split of the sorted values that parts their variance best."""
    values = sorted(grid.ravel())
    best, threshold = -1.0, values[0]
    for count in range(1, len(values)):
        low, high = values[:count], values[count:]
        between = len(low) * len(high) * (sum(high) / len(high) - sum(low) / len(low)) ** 2
        if between > best:
            best, threshold = between, values[count]
    return grid >= threshold


def overlap(first, second):
    """The sum of the smaller cells over the sum of all cells."""
    smaller = sum(min(a, b) for a, b in zip(first.ravel(), second.ravel(), strict=True))
    return smaller / (first.sum() + second.sum())
