"""From a prompt to the tokens of its subjects and of their attributes."""

from adhere.subjects.finding import find_subjects, parse
from adhere.subjects.relations import Relation, find_relations
from adhere.subjects.subject import Attribute, Subject

__all__ = [
    "Attribute",
    "Relation",
    "Subject",
    "find_relations",
    "find_subjects",
    "parse",
]
