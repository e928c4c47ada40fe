"""One file for each paper's method, and the names that commands know them by.

A method is found by its file alone: every class in this folder that has a name, a constructor
`official` and a default for every parameter is registered.
"""

from adhere.methods.base import (
    AttentionMethod,
    LatentMethod,
    Method,
    ScheduledMethod,
    SubjectMethod,
)
from adhere.methods.reading import Reading
from adhere.methods.registry import METHODS, MethodRecipe, make, parameters_of, with_parameters
from adhere.methods.schedule import Schedule, Step

globals().update({kind.__name__: kind for kind in METHODS.values()})

__all__ = [
    "METHODS",
    "AttentionMethod",
    "LatentMethod",
    "Method",
    "MethodRecipe",
    "Reading",
    "Schedule",
    "ScheduledMethod",
    "Step",
    "SubjectMethod",
    "make",
    "parameters_of",
    "with_parameters",
]
