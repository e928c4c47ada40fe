"""Attention made by hand, as a recorded pass would have it."""

import torch

from adhere.attention.maps import AttentionMaps
from adhere.subjects.subject import Attribute, Subject


def subject(index, *attributes):
    """A subject at one token, with attributes at one token each."""
    return Subject(f"word {index}", (index,), tuple(Attribute(f"a {i}", (i,)) for i in attributes))


def maps_of(sharpness=1.0, levels=((16, 16), (32, 32)), samples=2, tokens=77, seed=0, end=9):
    """Smooth random attention; levels from the coarse one, which objectives read, to fine ones."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for number, size in enumerate(levels):
        noise = torch.randn((samples, tokens, 4, 4), generator=generator, dtype=torch.float64)
        field = torch.nn.functional.interpolate(noise, size, mode="bicubic").movedim(1, -1)
        layers[f"layer {number}"] = (sharpness * field).softmax(-1)
    latent_size = levels[-1]
    return AttentionMaps(
        layers=layers,
        heads=dict.fromkeys(layers, 2),
        latent_size=latent_size,
        ends=(end,) * samples,
        token_range="padded",
        factor=latent_size[0] // levels[0][0],
    )
