"""The bundled model's world: scenes of emoji animals and objects, drawn and captioned."""

from adhere.mini.world.backgrounds import background
from adhere.mini.world.captions import caption, groups, phrase
from adhere.mini.world.mix import (
    held_out_pairs,
    held_out_relations,
    random_relation,
    random_sample,
    random_scene,
)
from adhere.mini.world.relations import PAIRINGS, join
from adhere.mini.world.scene import RELATIONS, Relation, Scene, Thing, boxes, draw
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
    "ANIMALS", "BACKGROUNDS", "COLOURS", "OBJECTS", "PAIRINGS", "RELATIONS", "SCENES", "STYLES",
    "SUBJECTS", "Relation", "Scene", "Thing", "background", "boxes", "caption", "draw", "groups",
    "held_out_pairs", "held_out_relations", "join", "phrase", "plural", "random_relation",
    "random_sample", "random_scene", "sprite",
]  # fmt: skip
