"""`draw` takes a text-to-image pipeline of every family."""

import pytest

import adhere
from adhere.errors import UnsupportedPipeline
from families import FAMILIES


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


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [*(("sd3", s) for s in ("dpm++2m", "euler", "heun", "lcm", "unipc")), ("flux", "unipc")],
)
def test_flow_matching_has_schedulers_of_its_own(name, scheduler):
    toy = FAMILIES[name]
    height, width = toy.square
    common = {"model": toy.build(), "steps": 3, "size": (width, height)}
    own = adhere.draw("a cat and a frog", scheduler=scheduler, **common).recipes[0].scheduler
    assert "FlowMatch" in own.name or own.config["use_flow_sigmas"]


@pytest.mark.parametrize(("name", "scheduler"), [("sd3", "ddim"), ("flux", "heun")])
def test_a_scheduler_that_does_not_know_a_models_flow_is_refused(name, scheduler):
    with pytest.raises(ValueError, match=rf"{scheduler!r}.*flow matching. Give euler"):
        adhere.draw("a cat", model=FAMILIES[name].build(), scheduler=scheduler, steps=2)


@pytest.mark.parametrize("scheduler", ["heun", "lcm"])
def test_a_scheduler_of_flow_matching_is_found_again_by_its_recipe(scheduler):
    toy = FAMILIES["sd3"]
    height, width = toy.square
    pipe = toy.build()
    drawing = adhere.draw(
        "a cat and a frog", model=pipe, scheduler=scheduler, steps=3, size=(width, height)
    )
    with pytest.warns(UserWarning, match="it is not known whether"):
        again = adhere.redraw(drawing.recipes[0], model=pipe)
    assert again.recipes[0].scheduler == drawing.recipes[0].scheduler
    assert again.images[0].tobytes() == drawing.images[0].tobytes()


def test_guidance_of_qwen_image_is_the_one_that_it_follows():
    toy = FAMILIES["qwen-image"]
    height, width = toy.square
    pipe = toy.build()
    common = {"model": pipe, "method": None, "steps": 2, "size": (width, height)}
    drawings = [
        adhere.draw("a cat", negative_prompt="blurry", guidance_scale=scale, **common)
        for scale in (None, 4.0, 1.5)
    ]
    assert [one.recipes[0].guidance_scale for one in drawings] == [4.0, 4.0, 1.5]
    usual, same, less = (one.images[0].tobytes() for one in drawings)
    assert usual == same != less
