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
KINDS = ("sd", "flux", "sd3")


def cases():
    """Each pair with an edit and a family; within a family, edits take turns."""
    turns = {kind: 0 for kind in KINDS}
    for (i, first), (j, second) in combinations(enumerate(MOVERS), 2):
        kind = KINDS[(i + j) % len(KINDS)]
        own = [e for e in EDITS if kind != "sd" or not METHODS[e].needs_joint_attention]
        yield (first, second), own[turns[kind] % len(own)], kind
        turns[kind] += 1


CASES = list(cases())
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
    boxes = BOXES if any(METHODS[name].needs_boxes for name in (*pair, edit)) else None
    with nurse(pipe, [both, short(edit)], prompt=PROMPT, boxes=boxes) as trace:
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
