"""What a prompt asks for: subjects, and the attributes that belong to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """A modifier of a subject, such as "red" or "dark blue".

    Attributes:
        text: the words, as the prompt has them.
        token_indices: positions in the padded sequence, start token included.
    """

    text: str
    token_indices: tuple[int, ...]


@dataclass(frozen=True)
class Subject:
    """Something that the image must hold.

    Attributes:
        text: the noun, as the prompt has it; a compound noun such as "fire truck" is one subject.
        token_indices: positions in the padded sequence, start token included; a word of several
            pieces has several.
        attributes: the modifiers that belong to this noun and to no other.
        count: how many the prompt asks for; 1 also where it says no number ("several geese").
        box: where it is to be, (left, top, right, bottom) in fractions of the image, or None.
    """

    text: str
    token_indices: tuple[int, ...]
    attributes: tuple[Attribute, ...] = ()
    count: int = 1
    box: tuple[float, float, float, float] | None = None

    @property
    def words(self) -> tuple[Subject | Attribute, ...]:
        """The noun, then its attributes."""
        return self, *self.attributes

    def columns(self, with_attributes: bool) -> tuple[int, ...]:
        """The positions of the noun's tokens, and of its attributes' where they are wanted."""
        words = self.words if with_attributes else (self,)
        return tuple(index for word in words for index in word.token_indices)
