"""`draw` takes a text-to-image pipeline of every family."""

import pytest
from families import FAMILIES

import adhere
from adhere.errors import UnsupportedPipeline


@pytest.mark.parametrize("name", FAMILIES)
def test_draw_nurses_each_text_to_image_pipeline(name):
    toy = FAMILIES[name]
    pipe = toy.build()
    height, width = toy.square
    try:
        drawing = adhere.draw(
            "a cat and a frog", model=pipe, steps=2, size=(width, height), batch_size=1
        )
    except UnsupportedPipeline as error:
        # It begins from an image, or is modular: nurse it in a block.
        assert "text-to-image pipeline" in str(error)
        return
    assert len(drawing.images) == 1
    assert [subject.text for subject in drawing.trace.subjects[0]] == ["cat", "frog"]
