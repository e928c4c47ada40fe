"""A sum of any two methods that move latents runs beside any edit, on U-Nets and transformers.

Every pair once; families and edits take turns, so that each method meets each family.
"""

from dataclasses import fields
from itertools import combinations

import pytest

import toys
from adhere.methods import METHODS, AttentionMethod, LatentMethod
from adhere.nursing import nurse
from families import FAMILIES

from .captured import PROMPT

SHORT = {"stop": 1.0, "max_refinements": 1, "max_refinements_first": 1, "rounds": 1}
SHORT |= {"iterations": 2, "last_iterations": 1, "draws": 1}
MOVERS = sorted(name for name, kind in METHODS.items() if issubclass(kind, LatentMethod))
# What moves latents too is among the sums.
EDITS = sorted(
    name
    for name, kind in METHODS.items()
    if issubclass(kind, AttentionMethod) and not issubclass(kind, LatentMethod)
)
PAIRS = list(combinations(MOVERS, 2))
KINDS = ("sd", "flux", "sd3")
# Coprime turns, so that edits do not follow families.
TURNS = [(pair, EDITS[i % len(EDITS)], KINDS[i % len(KINDS)]) for i, pair in enumerate(PAIRS)]
# Where an edit has no meaning, its turn is the next family's.
CASES = [
    (pair, edit, "flux" if METHODS[edit].needs_joint_attention and kind == "sd" else kind)
    for pair, edit, kind in TURNS
]
BOXES = {"cat": (0.0, 0.0, 0.5, 1.0), "frog": (0.5, 0.0, 1.0, 1.0)}


def short(name):
    """A method with few passes."""
    has = {field.name for field in fields(METHODS[name])}
    return METHODS[name](**{key: value for key, value in SHORT.items() if key in has})


@pytest.mark.parametrize(
    ("pair", "edit", "kind"),
    CASES,
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_any_sum_runs_beside_any_edit(pair, edit, kind):
    pipe = toys.sd() if kind == "sd" else FAMILIES[kind].build()
    both = short(pair[0]) + 0.5 * short(pair[1])
    with nurse(pipe, [both, short(edit)], prompt=PROMPT, boxes=BOXES) as trace:
        if kind == "sd":
            latents = toys.run(pipe, PROMPT, steps=2)
        else:
            latents = FAMILIES[kind].run(pipe, PROMPT, steps=2)
    assert latents.isfinite().all()
    assert trace.backwards > 0
    assert trace.loss.isfinite().all()


def test_every_method_meets_every_family():
    met = {(name, kind) for pair, edit, kind in CASES for name in (*pair, edit)}
    assert met == {
        (name, kind)
        for name in (*MOVERS, *EDITS)
        for kind in KINDS
        if kind != "sd" or not METHODS[name].needs_joint_attention
    }
