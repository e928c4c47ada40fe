import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import toys
from adhere.drawing import draw, redraw
from adhere.drawing.drawing import _scheduler_of as scheduler_of
from adhere.drawing.loading import load
from adhere.drawing.recipe import from_json
from adhere.drawing.request import check_schedule
from adhere.drawing.schedulers import SCHEDULERS
from adhere.drawing.stated import method_named
from adhere.errors import NoAttentionRecorded, NonFiniteLoss, SubjectNotFound, UnsupportedPipeline
from adhere.methods import (
    METHODS,
    AttendAndExcite,
    AttentionRegulation,
    DivideAndBind,
    TokenReweighting,
)
from adhere.methods.objective import Objective
from adhere.methods.watch import Watch, watched
from adhere.subjects import Subject
from doors import PROMPT, copied, saved

# One refinement at the first step, and none where a toy can never attain the threshold.
SHORT = AttendAndExcite(max_refinements=1)
QUICK = {"steps": 3}
# The toy has no joint attention.
USABLE = [name for name, kind in METHODS.items() if not kind.needs_joint_attention]
BOXES = {"cat": (0, 0, 0.5, 1), "frog": (0.5, 0.25, 1, 1)}


def boxes_for(name):
    """Boxes where a method needs them."""
    return {"boxes": BOXES} if name is not None and METHODS[name].needs_boxes else {}


def pixels(drawing):
    return [np.asarray(picture).astype(int) for picture in drawing.images]


@pytest.fixture(scope="module")
def model():
    return load(saved())


def test_plain_is_the_pipelines_own_picture(model):
    drawing = draw(PROMPT, model=model, method=None, seeds=[5], **QUICK)
    own = model.pipe(
        PROMPT, num_inference_steps=3, generator=torch.Generator().manual_seed(5)
    ).images
    assert (pixels(drawing)[0] == np.asarray(own[0])).all()
    assert drawing.traces == () and drawing.recipes[0].methods == ()


@pytest.mark.parametrize("name", USABLE)
def test_every_method_draws_and_leaves_its_numbers(model, name):
    prompt = "a red cat and a blue frog"
    drawing = draw(prompt, model=model, method=name, **boxes_for(name), **QUICK)
    [recipe] = drawing.recipes
    assert [method.name for method in recipe.methods] == [name]
    assert [subject.text for subject in recipe.subjects] == ["cat", "frog"]
    assert from_json(recipe.to_json()) == recipe
    assert drawing.trace.methods == (METHODS[name](),)
    plain = draw(prompt, model=model, method=None, **QUICK)
    assert (pixels(drawing)[0] != pixels(plain)[0]).any()


def test_a_picture_depends_on_no_other(model):
    others = {"model": model, "method": SHORT, "scheduler": "euler-a", **QUICK}
    together = draw(PROMPT, seeds=[0, 1, 2], **others)
    for seed in (0, 1, 2):
        alone = draw(PROMPT, seeds=[seed], **others)
        assert abs(pixels(together)[seed] - pixels(alone)[0]).max() <= 1


def test_batches_are_told_as_they_come(model):
    told, steps = [], []
    drawing = draw(
        PROMPT,
        model=model,
        method=SHORT,
        seeds=range(5),
        batch_size=2,
        on_batch=told.append,
        on_step=lambda done, count: steps.append((done, count)),
        **QUICK,
    )
    assert [one.recipes[0].batch for one in told] == [(0, 1), (2, 3), (4,)]
    assert [recipe.seed for recipe in drawing.recipes] == [0, 1, 2, 3, 4]
    assert steps == [(done, 9) for done in range(1, 10)]
    assert len(drawing.traces) == 3
    with pytest.raises(ValueError, match="3 traces"):
        drawing.trace  # noqa: B018


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_picture_can_be_made_again_to_the_bit(model, scheduler):
    drawing = draw(PROMPT, model=model, method=SHORT, seeds=[3, 4], scheduler=scheduler, steps=4)
    recipe = from_json(drawing.recipes[1].to_json())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = redraw(recipe)
    assert (pixels(again)[0] == pixels(drawing)[1]).all()
    assert again.recipes == (recipe,)


def brief(method):
    """The method with few rounds of whatever it repeats."""
    repeats = ("rounds", "iterations", "last_iterations", "draws", "max_refinements")
    given = {name: getattr(method, name) for name in repeats if hasattr(method, name)}
    return replace(method, **{name: min(value, 2) for name, value in given.items()})


@pytest.mark.parametrize("method", [None, *USABLE])
def test_every_method_can_be_made_again_to_the_bit(model, method):
    kind = brief(METHODS[method].official()) if method else None
    drawing = draw(
        "a red cat and a frog",
        model=model,
        method=kind,
        guidance_scale=3,
        negative_prompt="dark",
        size=(48, 40),
        **boxes_for(method),
        **QUICK,
    )
    again = redraw(from_json(drawing.recipes[0].to_json()), model=model)
    assert drawing.images[0].size == (48, 40)
    assert (pixels(again)[0] == pixels(drawing)[0]).all()


def test_two_methods_together_again(model):
    methods = [AttendAndExcite(step_size=5.0), AttentionRegulation(iterations=3)]
    drawing = draw(PROMPT, model=model, method=methods, **QUICK)
    again = redraw(from_json(drawing.recipes[0].to_json()))
    assert (pixels(again)[0] == pixels(drawing)[0]).all()


SUMS = {
    "two": AttendAndExcite(max_refinements=1) + 0.5 * DivideAndBind(refine_at=()),
    "half": 0.5 * SHORT,
    "watched": SHORT + Watch(),
    "beside an edit": [TokenReweighting(), 2 * SHORT + Watch(stop=0.5)],
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_methods_can_be_made_again(model, name):
    drawing = draw(PROMPT, model=model, method=SUMS[name], **QUICK)
    recipe = from_json(drawing.recipes[0].to_json())
    again = redraw(recipe)
    assert again.trace.methods == drawing.trace.methods
    assert again.recipes == (recipe,)
    assert (pixels(again)[0] == pixels(drawing)[0]).all()


def test_a_baseline_watched_like_a_method_has_the_curve_of_the_method_that_moves_nothing(model):
    idle = AttendAndExcite(step_size=0.0, temperature=0.1, refine_at=())
    found = [
        draw(PROMPT, model=model, method=method, **QUICK)
        for method in (watched([idle]), Watch.like(idle), Watch())
    ]
    curves = [drawing.trace.curve() for drawing in found]
    assert len(curves[0]) == 3
    assert curves[0] == curves[1] != curves[2]
    assert (pixels(found[0])[0] == pixels(found[1])[0]).all()
    edit = TokenReweighting()
    assert Watch.like(edit) == Watch() and watched([edit]) == [Watch(), edit]


def test_a_function_of_the_users_cannot_be_made_again(model):
    own = SHORT + Objective(SHORT.loss)
    recipe = from_json(draw(PROMPT, model=model, method=own, **QUICK).recipes[0].to_json())
    with pytest.raises(ValueError, match="'objective', which is none of .*from the Python"):
        redraw(recipe)


@pytest.mark.filterwarnings("ignore:it is not known whether")
def test_a_models_folder_may_state_numbers(tmp_path):
    folder = copied(tmp_path)
    stated = {"attend-and-excite": {"temperature": 0.2, "max_refinements": 1}}
    (folder / "methods.json").write_text(json.dumps(stated))
    expected = AttendAndExcite(temperature=0.2, max_refinements=1)
    for given in (folder, str(folder), load(folder), load(folder).pipe):
        assert draw(PROMPT, model=given, method="attend-and-excite", steps=2).trace.methods == (
            expected,
        )
    assert draw(PROMPT, model=folder, method=SHORT, steps=2).trace.methods == (SHORT,)
    assert method_named("divide-and-bind", model=str(folder)) == DivideAndBind()


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("[", "cannot be used"),
        ("[]", "expected a table"),
        ('{"attend-and-excite": 3}', "expected a table"),
        ('{"attend-excite": {}}', "did you mean 'attend-and-excite'"),
        ('{"attend-and-excite": {"stepsize": 3}}', "did you mean 'step_size'"),
        ('{"attend-and-excite": {"step_size": -3}}', ">= 0"),
        ("[" * 100_000, "cannot be used"),
    ],
)
def test_a_folder_that_states_what_cannot_be_is_named(tmp_path, stated, message):
    folder = copied(tmp_path)
    (folder / "methods.json").write_text(stated)
    with pytest.raises(ValueError, match=rf"methods\.json' cannot be used: .*{message}|{message}"):
        draw(PROMPT, model=folder, steps=2)


def test_sdxl_draws_and_draws_again():
    drawing = draw(PROMPT, model=saved("sdxl"), method=SHORT, seeds=[1], **QUICK)
    assert drawing.recipes[0].guidance_scale == 5.0
    again = redraw(drawing.recipes[0])
    assert (pixels(again)[0] == pixels(drawing)[0]).all()


def test_a_pipeline_object_is_left_as_it_was():
    pipe = toys.sd()
    before, config = pipe.scheduler, dict(pipe._progress_bar_config)
    drawing = draw(PROMPT, model=pipe, method=SHORT, scheduler="heun", **QUICK)
    assert pipe.scheduler is before and pipe._progress_bar_config == config
    assert drawing.recipes[0].model.weights is None
    assert drawing.recipes[0].scheduler.name == "HeunDiscreteScheduler"
    with pytest.raises(ValueError, match="loaded already"):
        draw(PROMPT, model=pipe, dtype="float16")


def test_what_differs_is_said(model):
    recipe = draw(PROMPT, model=model, method=None, **QUICK).recipes[0]
    with pytest.warns(UserWarning, match=r"drawn with torch 1\.0, now"):
        redraw(replace(recipe, environment={**recipe.environment, "torch": "1.0"}))
    with pytest.warns(UserWarning, match="weights of .* are not those"):
        redraw(replace(recipe, model=replace(recipe.model, weights="0" * 64)))
    with pytest.warns(UserWarning, match="not known whether"):
        redraw(recipe, model=model.pipe)


def test_a_picture_decides_on_no_model_by_itself(model):
    recipe = draw(PROMPT, model=model, method=None, **QUICK).recipes[0]
    for name in ("owner/name", "", "/nowhere"):
        with pytest.raises(ValueError, match="say which model to load"):
            redraw(replace(recipe, model=replace(recipe.model, name=name)))


def test_subjects_beyond_the_prompt_are_refused(model):
    recipe = draw(PROMPT, model=model, method=SHORT, **QUICK).recipes[0]
    for index in (0, 6, 76, 500):
        with pytest.raises(SubjectNotFound, match="no words of .* 1 to 5"):
            redraw(replace(recipe, subjects=(Subject("cat", (index,)),)), model=model)


def test_a_loss_of_ones_own_is_named_but_not_drawn_again(model):
    def spread(reading):
        return reading.aggregate().flatten(1).sum(1)

    drawing = draw(PROMPT, model=model, method=Objective(spread, step_size=0.1), **QUICK)
    recipe = from_json(drawing.recipes[0].to_json())
    assert "spread" in recipe.methods[0].parameters["function"]
    with pytest.raises(ValueError, match="'objective', which is none of"):
        redraw(recipe)


def test_subjects_may_be_named(model):
    drawing = draw(PROMPT, model=model, subjects=["frog", 2], **QUICK)
    assert [s.text for s in drawing.recipes[0].subjects] == ["frog", "cat"]
    with pytest.raises(SubjectNotFound, match="2 cat"):
        draw(PROMPT, model=model, subjects=["dog"], **QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "`seeds` must be at least 1"),
        ({"seeds": [-1]}, r"`seeds\[0\]` must be >= 0, got -1"),
        ({"seeds": [1.5]}, r"`seeds\[0\]` must be a whole number, got 1.5"),
        ({"seeds": [2**63]}, "got 9223372036854775808"),
        ({"seeds": [1, 1]}, "twice"),
        ({"steps": 0}, "`steps` must be >= 1, got 0"),
        ({"steps": 2.0}, "`steps` must be a whole number, got 2.0"),
        ({"steps": 5000}, "1000 timesteps"),
        ({"guidance_scale": -1}, "`guidance_scale` must be >= 0, got -1"),
        ({"guidance_scale": float("nan")}, "`guidance_scale` must be a finite number, got nan"),
        ({"batch_size": 0}, "`batch_size` must be >= 1, got 0"),
        ({"size": (33, 32)}, "multiples of 8"),
        ({"size": (0, 32)}, "multiples of 8"),
        ({"size": (100_000, 32)}, "at most 256"),
        ({"scheduler": "dimm"}, "did you mean 'ddim'"),
        ({"method": "attend"}, "Unknown method 'attend'"),
        ({"method": AttendAndExcite}, "AttendAndExcite'> as a method; give an instance"),
        ({"method": [AttendAndExcite()] * 2 + [AttendAndExcite]}, "'> as a method"),
        ({"method": ["attend"]}, "Unknown method 'attend'"),
        ({"method": []}, "Got no method"),
        ({"negative_prompt": "x" * 20_000}, "`negative_prompt` must be at most 10000"),
    ],
)
def test_arguments_out_of_range_are_named(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(PROMPT, model=model, **(QUICK | arguments))


def test_an_image_to_image_pipeline_is_sent_elsewhere():
    factory, _ = toys.calls()["sd-img2img"]
    with pytest.raises(UnsupportedPipeline, match=r"inside adhere\.nurse"):
        draw(PROMPT, model=factory())


def test_attention_that_cannot_be_read_is_named():
    pipe = toys.sd()
    pipe.enable_attention_slicing()
    with pytest.raises(NoAttentionRecorded, match="disable_attention_slicing"):
        draw(PROMPT, model=pipe, **QUICK)


@pytest.mark.parametrize(
    ("method", "steps"), [(None, 3), ("attend-and-excite", 3), ("emergent-layout", 8)]
)
def test_a_picture_of_nan_is_none(method, steps):
    pipe = toys.sd()
    with torch.no_grad():
        pipe.unet.conv_out.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match="NaN"):
        draw(PROMPT, model=pipe, method=method, steps=steps)


def test_boxes_that_no_method_reads_are_refused(model):
    for method in ("emergent-layout", None, ["token-reweighting", "attend-and-excite"]):
        with pytest.raises(ValueError, match="Got boxes, which .* does not read; give .*regions"):
            draw(PROMPT, model=model, method=method, boxes=BOXES, **QUICK)
    own = Objective(lambda reading: sum(maps.sum((-2, -1)) for maps in reading.maps(0)))
    with pytest.raises(SubjectNotFound, match="zebra"):
        draw(PROMPT, model=model, method=own, boxes={"zebra": (0, 0, 1, 1)}, **QUICK)


def test_more_things_than_there_is_room_for_are_refused(model):
    with pytest.raises(ValueError, match="at most 36 things; the prompt asks for 120"):
        draw("60 cats and 60 frogs", model=model, **QUICK)


def test_a_part_of_a_pipeline_is_no_model(model):
    with pytest.raises((ValueError, UnsupportedPipeline), match="CLIPTextModel"):
        draw(PROMPT, model=model.pipe.text_encoder)


def test_a_pipeline_object_is_drawn_where_it_is(model):
    recipe = draw(PROMPT, model=model, method=None, **QUICK).recipes[0]
    with pytest.raises(ValueError, match="loaded already"):
        redraw(recipe, model=model, device="cpu")


def test_saving_gives_one_file_for_each_picture(model, tmp_path):
    drawing = draw(PROMPT, model=model, seeds=range(3), **QUICK)
    paths = drawing.save(tmp_path / "images")
    assert len(set(paths)) == 3 and all(path.is_file() for path in paths)
    assert drawing.save(tmp_path / "images") == paths


def test_the_global_generator_is_left_alone(model):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw(PROMPT, model=model, method=AttentionRegulation.official(), **QUICK)
    assert (torch.get_rng_state() == before).all()


MISUSES = {
    "negative prompt": ({"negative_prompt": 3}, "`negative_prompt` must be text, got 3"),
    "a prompt in a list": ({"prompt": ["a cat"]}, "The prompt is list; expected one text"),
    "half a character": ({"prompt": "a caf\udcc3"}, r"holds '\\udcc3' at its character 6"),
    "half a negative one": (
        {"negative_prompt": "\udcc3"},
        "`negative_prompt` must be text in UTF-8",
    ),
    "one side": ({"size": 128}, "Got size 128; give a width and a height"),
    "a pair of one": ({"size": (128,)}, r"Got size \(128,\); give a width and a height"),
    "size in words": ({"size": "32x32"}, "Got size '32x32'; give a width and a height"),
    "size in fractions": ({"size": (32.0, 32.0)}, r"Got size 32.0x32.0; give"),
    "batch in words": ({"batch_size": "4"}, "`batch_size` must be a whole number, got '4'"),
    "half a batch": ({"batch_size": 2.5}, "`batch_size` must be a whole number, got 2.5"),
    "no batch": ({"batch_size": None}, "`batch_size` must be a whole number, got None"),
    "guidance in words": ({"guidance_scale": "7"}, "`guidance_scale` must be a number, got '7'"),
    "guidance as truth": ({"guidance_scale": True}, "`guidance_scale` must be a number, got True"),
    "steps in words": ({"steps": "3"}, "`steps` must be a whole number, got '3'"),
    "seeds in words": ({"seeds": "12"}, r"`seeds\[0\]` must be a whole number, got '12'"),
    "no seeds": ({"seeds": None}, r"`seeds\[0\]` must be a whole number, got None"),
    "a scheduler's number": ({"scheduler": 5}, "Got 5 as the scheduler"),
    "no model": ({"model": None}, "Got None as the model"),
    "a method's number": ({"method": 3}, "Got 3 as a method"),
    "none and another": ({"method": ["none", "attend-and-excite"]}, "the method none beside"),
    "bytes": ({"subjects": [b"cat"]}, "b'cat' names no subject"),
    "half a pair": ({"subjects": [("cat", None)]}, r"\('cat', None\) names no subject"),
    "half a name": ({"subjects": ["caf\udcc3"]}, "The name of a subject holds"),
    "a subject's number": ({"subjects": 3}, "The subjects are 3; expected a list"),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_misuse_is_named_before_anything_is_sampled(model, misuse):
    given, message = MISUSES[misuse]
    with pytest.raises(ValueError, match=message):
        draw(**{"model": model, "prompt": PROMPT, "steps": 3, "on_step": pytest.fail} | given)


def test_a_plain_picture_is_not_given_subjects_it_has_not(model):
    for method in (None, "none", ["none"]):
        with pytest.raises(SubjectNotFound, match="'dog' is not in the prompt"):
            draw(PROMPT, model=model, method=method, subjects=["dog"], steps=3)


def test_numbers_of_other_kinds_leave_a_recipe_that_is_read(model):
    method = AttendAndExcite(step_size=np.float32(5), max_refinements=np.int64(1))
    drawing = draw(
        PROMPT,
        model=model,
        method=method,
        seeds=np.int64(3),
        guidance_scale=np.float32(7.5),
        size=[np.int64(32), 32],
        batch_size=np.int64(2),
        steps=np.int64(3),
        negative_prompt=None,
    )
    [recipe] = drawing.recipes
    assert from_json(recipe.to_json()) == recipe
    assert (recipe.seed, recipe.guidance_scale, recipe.width) == (3, 7.5, 32)
    assert recipe.methods[0].parameters["step_size"] == 5.0


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [("dpm++2m", 1000), ("dpm++2m-sde", 1000), ("unipc", 999), ("ddim", 1000), ("lcm", 51)],
)
def test_steps_that_a_scheduler_cannot_take_are_named(model, scheduler, steps):
    with pytest.raises(ValueError, match=f"Got {steps} steps, which .*Scheduler cannot take"):
        draw(PROMPT, model=model, scheduler=scheduler, steps=steps, on_step=pytest.fail)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_steps_that_a_scheduler_can_take_are_taken(model, scheduler):
    for steps in (1, 2, 50):
        with scheduler_of(model.pipe, scheduler):
            before = vars(model.pipe.scheduler).copy()
            check_schedule(model.pipe.scheduler, steps)
            assert vars(model.pipe.scheduler).keys() == before.keys()


def test_the_first_line_draws_on_the_bundled_model():
    image = draw("a cat and a frog", steps=2).images[0]
    assert image.size == (128, 128)
