"""The bundled model's world: scenes of emoji animals and objects, drawn and captioned."""

from adhere.mini.vocabulary import ANIMALS, COLOURS, OBJECTS, PAIRINGS, RELATIONS, SUBJECTS
from training.world.backgrounds import background
from training.world.captions import caption, groups, phrase
from training.world.mix import (
    held_out_pairs,
    held_out_relations,
    random_relation,
    random_sample,
    random_scene,
)
from training.world.relations import join
from training.world.scene import Relation, Scene, Thing, boxes, draw
from training.world.sprites import STYLES, sprite
from training.world.vocabulary import BACKGROUNDS, SCENES, plural

__all__ = [
    "ANIMALS", "BACKGROUNDS", "COLOURS", "OBJECTS", "PAIRINGS", "RELATIONS", "SCENES", "STYLES",
    "SUBJECTS", "Relation", "Scene", "Thing", "background", "boxes", "caption", "draw", "groups",
    "held_out_pairs", "held_out_relations", "join", "phrase", "plural", "random_relation",
    "random_sample", "random_scene", "sprite",
]  # fmt: skip
