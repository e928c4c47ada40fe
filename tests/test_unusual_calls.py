"""Few steps, other embeddings, shared parts: nursed right, or told in one line."""

from collections import namedtuple

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline

import toys
from adhere.attention.columns import Columns
from adhere.errors import AdhereWarning, SubjectNotFound, UnsupportedPipeline
from adhere.families import family_of, place
from adhere.families.call import DenoiserCall
from adhere.methods.attend_and_excite import AttendAndExcite
from adhere.methods.emergent_layout import EmergentLayout
from adhere.methods.objective import Objective
from adhere.methods.reading import Reading
from adhere.methods.registry import make
from adhere.nursing import nurse
from adhere.nursing.hooks import eager
from adhere.subjects import Subject
from engine import CAT, FROG, PROMPT, always, scheduled


@pytest.mark.parametrize("scheduler", ["ddim", "lcm"])
@pytest.mark.parametrize("steps", [1, 2])
def test_loops_of_one_and_two_steps_are_nursed(scheduler, steps):
    pipe = scheduled(scheduler)
    expected = toys.run(pipe, steps=steps)
    with nurse(pipe, AttendAndExcite()) as trace:
        latents = toys.run(pipe, steps=steps)
    assert [record.step.index for record in trace.steps] == [0]
    assert not torch.equal(latents, expected)


def test_image_to_image_of_one_step_is_nursed():
    make, others = toys.calls()["sd-img2img"]
    pipe = make()
    with nurse(pipe, AttendAndExcite()) as trace:
        toys.run(pipe, **others | {"strength": 0.34})
    assert trace.full_forwards == len(trace.steps) == 1


def test_a_block_that_did_nothing_says_so():
    pipe = toys.sd()
    with (
        pytest.warns(UserWarning, match="nursed nothing: the pipeline did not sample inside"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        pass
    with (
        pytest.warns(UserWarning, match="nursed nothing: none of the .*3 calls .* Use more steps"),
        nurse(pipe, always(start=5, stop=9, in_steps=True), prompt=PROMPT),
    ):
        toys.run(pipe)


@pytest.mark.parametrize(
    "method, prompt",
    [
        ("conform", "a cat and a frog"),
        ("a-star", "a cat"),
        ("emergent-layout", "a red cat"),
    ],
)
def test_a_method_that_finds_nothing_to_do_says_so(method, prompt):
    pipe = toys.sd()
    expected = toys.run(pipe, prompt)
    with pytest.warns(AdhereWarning, match=f"{method} nursed nothing: with these subjects"):
        with nurse(pipe, make(method)):
            assert torch.equal(toys.run(pipe, prompt), expected)


def test_attributes_that_are_missing_are_told_once():
    pipe = toys.sd()
    with pytest.warns(AdhereWarning) as told, nurse(pipe, make("syngen")):
        toys.run(pipe, "a cat and a frog")
    [warning] = told
    assert "has no attributes" in str(warning.message)


def test_warnings_of_a_block_point_to_its_line():
    pipe = toys.sd()
    late = always(stop=0.2, refine_at=((0.5, 0.9),))
    with pytest.warns(AdhereWarning) as told, nurse(pipe, [late], prompt=PROMPT):
        pass
    assert len(told) == 2 and {warning.filename for warning in told} == {__file__}


def test_a_threshold_after_the_end_of_nursing_is_named():
    method = AttendAndExcite(stop=0.3, refine_at=((0.0, 0.05), (0.3, 0.5)))
    pipe = toys.sd()
    with (
        pytest.warns(UserWarning, match="threshold at 0.3, but nursing stops at 0.3.* Raise stop"),
        nurse(pipe, method),
    ):
        toys.run(pipe)


def test_image_to_image_of_the_nursed_components_is_nursed_too():
    pipe = toys.sd()
    again = toys.quiet(
        StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    )
    image = {"image": toys.picture(), "strength": 0.75, "steps": 4}
    with nurse(again, always()):
        expected = toys.run(again, **image)
    with nurse(pipe, always()) as trace:
        toys.run(pipe)
        found = toys.run(again, **image)
    assert torch.equal(found, expected)
    assert [len(run.steps) for run in trace.runs] == [3, 3]
    with (
        pytest.raises(UnsupportedPipeline, match="could not be overheard.* Give the prompt"),
        nurse(pipe, always()),
    ):
        toys.run(pipe)
        toys.run(again, "a red dog", **image)


# Its 91st and 92nd words are the last two: the 17th is the frog in the second chunk of 75.
LONG = "a cat and " * 30 + "a frog"


@pytest.mark.parametrize("columns", [154, 231])
def test_words_are_in_their_chunk_of_longer_embeddings(columns):
    encoders = family_of(toys.sd()).encoders()
    placed = place(encoders, {"prompt": LONG}, [CAT, Subject("frog", (92,))], columns)
    assert [subject.token_indices for subject in placed.placed] == [(2,), (77 + 17,)]
    # Neither the start token of a chunk nor its last column competes.
    ends = {*range(0, columns, 77), *range(76, columns, 77)}
    assert set(placed.competing) == set(range(columns)) - ends


@pytest.mark.parametrize("count", [149, 150, 151, 152])
def test_a_prompt_that_fills_its_chunks_has_columns_for_all_that_they_hold(count):
    encoders = family_of(toys.sd()).encoders()
    prompt = " ".join(["cat"] * count)
    placed = place(encoders, {"prompt": prompt}, [Subject("cat", (149,))], 154)
    held = [*range(1, 76), *range(78, 153)]
    assert placed.words == tuple(held[:count])
    assert placed.specials == ((0, 152) if count == 149 else (0,))
    with pytest.raises(SubjectNotFound, match="is cut off"):
        place(encoders, {"prompt": "cat " * 151}, [Subject("cat", (151,))], 154)


def test_a_word_beyond_the_embeddings_is_named():
    encoders = family_of(toys.sd()).encoders()
    for prompt, columns, subject in ((LONG, 77, Subject("frog", (92,))), (PROMPT, 4, FROG)):
        with pytest.raises(SubjectNotFound, match="'frog' has no column .* Shorten the prompt"):
            place(encoders, {"prompt": prompt}, [subject], columns)


def test_shorter_embeddings_are_nursed_and_those_of_another_encoder_are_named():
    pipe = toys.sd()
    text = torch.randn((1, 100, toys.WIDTH), generator=torch.Generator().manual_seed(0))
    with nurse(pipe, always(), prompt=PROMPT) as trace:
        toys.run(pipe, None, prompt_embeds=text[:, :20], negative_prompt_embeds=text[:, 20:40])
    assert trace.steps[0].maps.shape[-1] == 20
    with (
        pytest.raises(UnsupportedPipeline, match="100 columns, which is no multiple of the 77"),
        nurse(pipe, always(), prompt=PROMPT),
    ):
        toys.run(pipe, None, prompt_embeds=text, negative_prompt_embeds=text)


def test_embeddings_of_another_number_of_prompts_are_refused():
    pipe = toys.sd()
    text = torch.randn((3, 77, toys.WIDTH), generator=torch.Generator().manual_seed(0))
    with (
        pytest.raises(UnsupportedPipeline, match="draws 3 images .* of the 2 prompts"),
        nurse(pipe, always(), prompt=[PROMPT, PROMPT]),
    ):
        toys.run(pipe, None, prompt_embeds=text, negative_prompt_embeds=text)


def test_one_step_leaves_nothing_to_a_method_that_begins_at_the_second():
    pipe = toys.sd()
    with pytest.warns(UserWarning, match="nursed nothing: none of the denoiser's 1"):
        with nurse(pipe, EmergentLayout()):
            toys.run(pipe, steps=1)


def test_boxes_that_no_method_reads_are_refused_by_a_block():
    with (
        pytest.raises(ValueError, match="Got boxes, which attend-and-excite does not read"),
        nurse(toys.sd(), always(), boxes={"cat": (0, 0, 0.5, 1)}),
    ):
        pass


def test_layers_of_one_size_and_two_resolutions_are_not_mixed():
    none = torch.zeros((1, 3), dtype=torch.bool)
    reading = Reading(
        layers={"fine": torch.ones(1, 1, 1, 3), "coarse": torch.zeros(1, 1, 1, 3)},
        heads={"fine": 2, "coarse": 2},
        factors={"fine": 1, "coarse": 2},
        size=(1, 1),
        factor=2,
        columns=Columns(none, none, none),
        subjects=[[CAT]],
    )
    assert list(reading.at()) == ["coarse"] and list(reading.at(1)) == ["fine"]
    assert reading.aggregate().sum() == 0
    assert reading.aggregate(finer=True).sum() == 3


def test_rows_are_taken_of_named_tuples_too():
    Pair = namedtuple("Pair", "first second")  # noqa: PYI024
    given = Pair(torch.arange(4), torch.arange(3))
    call = DenoiserCall((given,), {"flag": True}, ("pair", "flag")).take([1, 3], 4)
    taken = call["pair"]
    assert type(taken) is Pair
    assert taken.first.tolist() == [1, 3] and taken.second.tolist() == [0, 1, 2]


def test_the_raw_mean_attention_of_each_subject_is_in_the_trace():
    pipe, seen = toys.sd(), []

    def look(reading):
        seen.append(reading.aggregate().detach())
        return always().loss(reading)

    with nurse(pipe, Objective(look, stop=1.0)) as trace:
        toys.run(pipe)
    expected = torch.stack([maps[0][..., [2, 5]].mean((0, 1)) for maps in seen])
    torch.testing.assert_close(trace.means(), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_passes_that_overlap_leave_the_compiler_as_it_was():
    dynamo = pytest.importorskip("torch._dynamo")

    def stance():
        return dynamo.eval_frame._stance.stance

    former = stance()
    first, second = eager(), eager()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert stance() == "force_eager"
    second.__exit__(None, None, None)
    assert stance() == former == "default"
