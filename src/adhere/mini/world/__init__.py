"""The bundled model's world: scenes of emoji animals and objects, drawn and captioned."""

from adhere.mini.world.backgrounds import background
from adhere.mini.world.captions import caption, groups, phrase
from adhere.mini.world.mix import held_out_pairs, random_sample, random_scene
from adhere.mini.world.scene import Scene, Thing, boxes, draw
from adhere.mini.world.sprites import STYLES, sprite
from adhere.mini.world.vocabulary import (
    ANIMALS,
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    SCENES,
    SUBJECTS,
    plural,
)

__all__ = [
    "ANIMALS", "BACKGROUNDS", "COLOURS", "OBJECTS", "SCENES", "STYLES", "SUBJECTS", "Scene",
    "Thing", "background", "boxes", "caption", "draw", "groups", "held_out_pairs", "phrase",
    "plural", "random_sample", "random_scene", "sprite",
]  # fmt: skip
