"""Attention made by hand, as a recorded pass would have it."""

from dataclasses import replace

import torch

from adhere.attention.columns import Columns
from adhere.methods.reading import Reading
from adhere.methods.schedule import Step
from adhere.subjects.subject import Attribute, Subject


def subject(index, *attributes):
    """A subject at one token, with attributes at one token each."""
    return Subject(f"word {index}", (index,), tuple(Attribute(f"a {i}", (i,)) for i in attributes))


def clip_columns(ends, tokens, padded=True):
    """The columns of CLIP's tokens: a start token, words, an end token, padding."""
    positions = torch.arange(tokens)
    words = torch.stack([(positions >= 1) & (positions < end) for end in ends])
    specials = torch.stack([(positions == 0) | (positions == end) for end in ends])
    competing = ((positions >= 1) & (positions < tokens - 1)).expand(len(ends), -1)
    return Columns(words, specials, competing if padded else words)


def maps_of(sharpness=1.0, levels=((16, 16), (32, 32)), samples=2, tokens=77, seed=0, end=9):
    """Smooth random attention; levels from the coarse one, which objectives read, to fine ones."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for number, size in enumerate(levels):
        noise = torch.randn((samples, tokens, 4, 4), generator=generator, dtype=torch.float64)
        field = torch.nn.functional.interpolate(noise, size, mode="bicubic").movedim(1, -1)
        layers[f"layer {number}"] = (sharpness * field).softmax(-1)
    finest = levels[-1]
    return Reading(
        layers=layers,
        heads=dict.fromkeys(layers, 2),
        factors={
            name: -(-finest[0] // size[0]) for name, size in zip(layers, levels, strict=True)
        },
        size=finest,
        factor=-(-finest[0] // levels[0][0]),
        columns=clip_columns((end,) * samples, tokens),
        subjects=[[]] * samples,
    )


def made(layers, factors, size, columns, heads=4):
    """A reading of layers by name, the coarsest of which objectives read."""
    return Reading(
        layers=layers,
        heads=dict.fromkeys(layers, heads),
        factors=factors,
        size=size,
        factor=max(factors.values()),
        columns=columns,
        subjects=[[]] * len(columns.words),
    )


def read(reading, subjects, step=None):
    """The same reading about other subjects, at a step."""
    return replace(reading, subjects=subjects, step=step or Step(0, 50, 981.0), _kept={})
