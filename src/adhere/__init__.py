"""Make text-to-image diffusion models adhere to the prompt, while they sample, untrained.

    with adhere.nurse(pipe, adhere.AttendAndExcite(), prompt=prompt) as trace:
        image = pipe(prompt).images[0]

Names are imported when they are first used, so that `import adhere` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adhere import mini as mini
    from adhere.citation import cite as cite
    from adhere.drawing import Drawing as Drawing
    from adhere.drawing import draw as draw
    from adhere.drawing import redraw as redraw
    from adhere.errors import AdhereError as AdhereError
    from adhere.errors import AlreadyNursed as AlreadyNursed
    from adhere.errors import NoAttentionRecorded as NoAttentionRecorded
    from adhere.errors import NonFiniteLoss as NonFiniteLoss
    from adhere.errors import SubjectNotFound as SubjectNotFound
    from adhere.errors import UnsupportedPipeline as UnsupportedPipeline
    from adhere.methods import METHODS as METHODS
    from adhere.methods.attend_and_excite import AttendAndExcite as AttendAndExcite
    from adhere.methods.attention_regulation import AttentionRegulation as AttentionRegulation
    from adhere.methods.base import AttentionMethod as AttentionMethod
    from adhere.methods.base import LatentMethod as LatentMethod
    from adhere.methods.base import LayerContext as LayerContext
    from adhere.methods.base import ScheduledMethod as ScheduledMethod
    from adhere.methods.divide_and_bind import DivideAndBind as DivideAndBind
    from adhere.methods.emergent_layout import EmergentLayout as EmergentLayout
    from adhere.methods.objective import Objective as Objective
    from adhere.methods.reading import Reading as Reading
    from adhere.methods.schedule import Schedule as Schedule
    from adhere.methods.schedule import Step as Step
    from adhere.methods.token_reweighting import TokenReweighting as TokenReweighting
    from adhere.methods.watch import Watch as Watch
    from adhere.nursing import nurse as nurse
    from adhere.nursing.trace import Trace as Trace
    from adhere.picture import read_recipe as read_recipe
    from adhere.recipe import Recipe as Recipe
    from adhere.subjects import Attribute as Attribute
    from adhere.subjects import Subject as Subject
    from adhere.subjects import find_subjects as find_subjects
    from adhere.subjects import tokens as tokens

__version__ = "0.1.0"

_HOMES = {
    "AdhereError": "errors",
    "AlreadyNursed": "errors",
    "AttendAndExcite": "methods.attend_and_excite",
    "AttentionMethod": "methods.base",
    "AttentionRegulation": "methods.attention_regulation",
    "Attribute": "subjects",
    "DivideAndBind": "methods.divide_and_bind",
    "Drawing": "drawing",
    "EmergentLayout": "methods.emergent_layout",
    "LatentMethod": "methods.base",
    "LayerContext": "methods.base",
    "METHODS": "methods",
    "NoAttentionRecorded": "errors",
    "NonFiniteLoss": "errors",
    "Objective": "methods.objective",
    "Reading": "methods.reading",
    "Recipe": "recipe",
    "Schedule": "methods.schedule",
    "ScheduledMethod": "methods.base",
    "Step": "methods.schedule",
    "Subject": "subjects",
    "SubjectNotFound": "errors",
    "TokenReweighting": "methods.token_reweighting",
    "Trace": "nursing.trace",
    "UnsupportedPipeline": "errors",
    "Watch": "methods.watch",
    "cite": "citation",
    "draw": "drawing",
    "find_subjects": "subjects",
    "nurse": "nursing",
    "read_recipe": "picture",
    "redraw": "drawing",
    "tokens": "subjects",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name == "mini":
        return import_module("adhere.mini")
    if name not in _HOMES:
        raise AttributeError(f"module 'adhere' has no attribute {name!r}")
    return getattr(import_module(f"adhere.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
