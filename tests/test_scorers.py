import hashlib
import json
import math
import re
import shutil
import sys
from functools import cache as cache_calls
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BlipForConditionalGeneration,
    CLIPModel,
    Dinov2Model,
    InstructBlipForConditionalGeneration,
    LlavaForConditionalGeneration,
    MPNetModel,
    Owlv2ForObjectDetection,
    ViltForQuestionAnswering,
)

import scorer_toys as toys
from adhere.cli import main
from adhere.evaluation.export import export
from adhere.evaluation.outcomes import drawn, failed
from adhere.evaluation.plan import Plan
from adhere.evaluation.prompts import PROMPT_SETS, Joined, Prompt, PromptSet, Wanted, prompt_set
from adhere.evaluation.scorers import SCORERS, cache, scorer
from adhere.evaluation.scorers import clip as clip_module
from adhere.evaluation.scorers.base import things_in
from adhere.evaluation.scorers.mini import MiniScorer, compared
from adhere.evaluation.scorers.owlv2 import Found, shared, suppressed
from adhere.evaluation.scorers.preservation import PixelScorer
from adhere.evaluation.scorers.questions import (
    TYPES,
    questions,
    questions_hash,
    read_questions,
)
from adhere.evaluation.scorers.tifa import SentenceEncoder, result, shares
from adhere.evaluation.scorers.weights import find
from adhere.evaluation.store import Store
from adhere.mini import joined
from adhere.mini.scorer import SHIPPED, Finding, Sighting
from training import world


def prompt(*wanted: Wanted, text: str = "", scene: str | None = None) -> Prompt:
    text = text or " and ".join(f"a {w.subject}" for w in wanted)
    return Prompt("p", text, wanted, scene)


def finding(words: str) -> Finding:
    """ "red car", "cat", "cat/frog" for a mixture."""
    *colour, subject = words.split()
    subject, _, other = subject.partition("/")
    return Finding(subject, colour[0] if colour else None, (0, 0, 9, 9), 0.9, other or None)


def seen(*words: str) -> Sighting:
    return Sighting(tuple(map(finding, words)))


# The bundled model's scorer.

CAT, FROG, CAR, BOWL = (
    Wanted("cat"),
    Wanted("frog"),
    Wanted("car", "red"),
    Wanted("bowl", "blue"),
)
NO, YES = 0.0, 1.0


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        # (all, share, right colour, right colour where present, count, mixture, exact)
        ((CAT, FROG), ["cat", "frog"], (YES, 1, None, None, YES, NO, YES)),
        ((CAT, FROG), ["cat"], (NO, 0.5, None, None, NO, NO, NO)),
        ((CAT, FROG), ["cat", "frog", "dog"], (YES, 1, None, None, YES, NO, YES)),
        ((CAT, FROG), ["cat", "cat", "frog"], (YES, 1, None, None, NO, NO, NO)),
        ((CAT, FROG), ["cat/frog"], (NO, 0, None, None, NO, YES, NO)),
        ((CAT, FROG), ["cat", "frog", "cat/dog"], (YES, 1, None, None, YES, YES, NO)),
        ((CAR, BOWL), ["red car", "blue bowl"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAR, BOWL), ["blue car", "red bowl"], (YES, 1, NO, 0, YES, NO, NO)),
        ((CAR, BOWL), ["red car"], (NO, 0.5, NO, 1, NO, NO, NO)),
        ((CAR, BOWL), ["blue car", "blue bowl"], (YES, 1, NO, 0.5, YES, NO, NO)),
        ((CAR, BOWL), [], (NO, 0, NO, None, NO, NO, NO)),
        ((CAT, CAR), ["cat", "red car"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAT, CAR), ["red car"], (NO, 0.5, YES, 1, NO, NO, NO)),
        ((Wanted("car", "red", 2),), ["red car"] * 2, (YES, 1, YES, 1, YES, NO, YES)),
        ((Wanted("car", "red", 2),), ["red car", "blue car"], (YES, 1, YES, 1, YES, NO, NO)),
        ((CAR, Wanted("car", "blue")), ["red car", "blue car"], (YES, 1, YES, 1, YES, NO, YES)),
        ((CAR, Wanted("car", "blue")), ["red car"], (NO, 0.5, NO, 0.5, NO, NO, NO)),
        ((Wanted("dog", count=2), CAT), ["dog", "dog", "cat"], (YES, 1, None, None, YES, NO, YES)),
        ((Wanted("dog", count=2), CAT), ["dog", "cat"], (YES, 1, None, None, NO, NO, NO)),
        # What the scorer cannot judge.
        ((Wanted("train"), CAT), ["cat"], (None,) * 7),
        ((Wanted("cat", "red"),), ["cat"], (YES, 1, None, None, YES, NO, None)),
        ((Wanted("car", "teal"),), ["green car"], (YES, 1, None, None, YES, NO, None)),
        ((), ["cat/dog"], (None, None, None, None, None, YES, None)),
    ],
)
def test_what_was_seen_against_what_was_wanted(wanted, there, expected):
    values = compared(seen(*there), prompt(*wanted, text="words"))
    assert tuple(values.values()) == (*expected, None)


def test_the_metrics_are_those_that_are_given():
    judge = MiniScorer()
    assert [m.name for m in judge.metrics] == list(compared(seen(), prompt(CAT)))
    assert {m.name for m in judge.metrics if not m.higher_is_better} == {"mixture"}


def test_the_mini_scorer_sees_a_drawn_scene():
    scene = world.Scene(
        (
            world.Thing("cat", None, "noto", 0.28, 0.3, 0.42),
            world.Thing("car", "blue", "noto", 0.72, 0.7, 0.42),
        ),
        "plain",
        3,
    )
    image = Image.fromarray(world.draw(scene))
    judge = scorer("mini")
    wanted = prompt(CAT, Wanted("car", "blue"))
    both, shuffled = judge.judge([image] * 2, [wanted, prompt(FROG, CAR)], [None] * 2)
    assert both.values == {
        "all-present": 1, "share-present": 1, "right-colour": 1, "right-colour-where-present": 1,
        "right-count": 1, "mixture": 0, "exact": 1, "relation-kept": None,
    }  # fmt: skip
    cat, car = sorted(things_in(both.details), key=lambda one: one.box[0])
    assert (cat.subject, cat.colour, car.subject, car.colour) == ("cat", None, "car", "blue")
    left, top, right, bottom = car.box
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((0.72, 0.7), abs=0.03)
    assert 0.7 < car.confidence <= 1
    assert len(both.details["features"]) == 64
    small = judge.judge([image.resize((64, 64))], [wanted], [None])[0]
    [again] = [one for one in things_in(small.details) if one.subject == "car"]
    assert again.box == pytest.approx(car.box, abs=0.03), "boxes are in fractions of the image"
    assert shuffled.values["all-present"] == 0
    assert shuffled.values["share-present"] == 0.5
    assert shuffled.values["right-colour"] == 0


WORN = (Joined("worn", 1, 0),)


def boxed(subject: str, *box: float, other: str | None = None) -> Finding:
    return Finding(subject, None, box, 0.9, other)


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        # The crown stands on the lion, beside it, below it, far above it.
        ([boxed("lion", 30, 40, 90, 110), boxed("crown", 44, 18, 78, 50)], YES),
        ([boxed("lion", 10, 40, 60, 110), boxed("crown", 75, 30, 115, 70)], NO),
        ([boxed("lion", 30, 10, 90, 70), boxed("crown", 44, 76, 78, 106)], NO),
        ([boxed("lion", 30, 70, 90, 126), boxed("crown", 44, 0, 78, 30)], NO),
        # One of two lions is enough.
        (
            [
                boxed("lion", 0, 80, 40, 120),
                boxed("lion", 30, 40, 90, 110),
                boxed("crown", 44, 18, 78, 50),
            ],
            YES,
        ),
        ([boxed("lion", 30, 40, 90, 110), boxed("crown", 44, 18, 78, 50, other="bow")], NO),
        ([boxed("lion", 30, 40, 90, 110)], NO),
        ([], NO),
    ],
)
def test_a_relation_is_judged_by_boxes(there, kept):
    wanted = Prompt("p", "words", (Wanted("lion"), Wanted("crown")), relations=WORN)
    assert compared(Sighting(tuple(there)), wanted)["relation-kept"] == kept


def test_a_relation_that_the_world_does_not_draw_is_not_judged():
    wanted = Prompt("p", "words", (Wanted("lion"), Wanted("car")), relations=WORN)
    assert compared(seen("lion", "red car"), wanted)["relation-kept"] is None
    assert MiniScorer().judge_failed(wanted).values["relation-kept"] is None
    crowned = Prompt("p", "words", (Wanted("lion"), Wanted("crown")), relations=WORN)
    assert MiniScorer().judge_failed(crowned).values["relation-kept"] == 0


def test_every_relation_of_the_world_can_be_judged():
    for kind, pairing in world.PAIRINGS.items():
        for thing in pairing.things:
            assert all(joined.knows(kind, thing, base) for base in pairing.bases)
    with pytest.raises(ValueError, match="does not know the relation 'under'"):
        joined.is_joined("under", ("cat", (0, 0, 1, 1)), ("car", (0, 0, 1, 1)))
    with pytest.raises(ValueError, match="cannot judge whether a cat is in a car"):
        joined.is_joined("in", ("cat", (0, 0, 1, 1)), ("car", (0, 0, 1, 1)))


def test_boxes_that_lie_as_on_the_drawn_scene_are_joined():
    random = np.random.default_rng(5)
    for relation in (("worn", "crown", "bear"), ("on", "bird", "car"), ("in", "frog", "bowl")):
        scene = world.random_scene(random, relation=relation)
        base, thing = world.boxes(scene)
        kind, first, second = relation
        assert joined.is_joined(kind, (first, thing), (second, base))
        left, top, right, bottom = thing
        away = (left, top + 64, right, bottom + 64)
        assert not joined.is_joined(kind, (first, away), (second, base))


def test_a_failed_image_is_a_miss_but_no_statement_about_mixtures():
    judge = MiniScorer()
    values = judge.judge_failed(prompt(CAT, CAR)).values
    assert values == {
        "all-present": 0, "share-present": 0, "right-colour": 0,
        "right-colour-where-present": None, "right-count": 0, "mixture": None, "exact": 0,
        "relation-kept": None,
    }  # fmt: skip
    assert judge.judge_failed(prompt(CAT)).values["right-colour"] is None


def test_the_mini_scorer_names_its_weights(tmp_path):
    copy = tmp_path / "scorer.safetensors"
    copy.write_bytes(SHIPPED.read_bytes())
    assert MiniScorer(str(copy)).identity == MiniScorer().identity
    assert MiniScorer().identity["revision"].startswith("sha256:")
    with pytest.raises(ValueError, match="cannot be read"):
        MiniScorer(str(tmp_path / "none.safetensors"))


def test_an_unknown_scorer_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="Unknown scorer 'minni': did you mean 'mini'"):
        scorer("minni")
    assert "mini" in SCORERS


# Models from folders that are made here.

PAIR = prompt(Wanted("cat"), Wanted("car", "red"), text="a cat and a red car")
SINGLE = prompt(Wanted("dog"), text="a dog")


def noise(seed: int, size=(20, 24)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


PICTURES = [noise(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each toy, made once."""
    made = {}

    def folder(name: str) -> str:
        if name not in made:
            made[name] = getattr(toys, name)(tmp_path_factory.mktemp("toys") / name)
        return str(made[name])

    return folder


@pytest.fixture(scope="module")
def models(folders):
    """The scorer of each name, on toys."""
    made = {}
    names = {
        "clip": ("clip",),
        "text-text": ("blip_caption", "clip"),
        "tifa": ("vilt", "sentences"),
        "vqascore": ("instructblip",),
        "owlv2": ("owlv2",),
        "dinov2": ("dinov2",),
    }

    def model(name: str):
        if name not in made:
            made[name] = scorer(name, "+".join(map(folders, names[name])))
        return made[name]

    return model


NAMES = ("clip", "text-text", "tifa", "vqascore", "owlv2", "dinov2")


@pytest.mark.parametrize("name", NAMES)
def test_images_together_score_as_they_do_alone(models, name):
    judge = models(name)
    prompts, baseline = [PAIR, PAIR, SINGLE], PICTURES[::-1]
    together = judge.score(PICTURES, prompts, baseline)
    for i, values in enumerate(together):
        (alone,) = judge.score(PICTURES[i : i + 1], prompts[i : i + 1], baseline[i : i + 1])
        assert alone == pytest.approx(values, abs=2e-6)
        assert set(values) == {metric.name for metric in judge.metrics}


@pytest.mark.parametrize("name", NAMES)
def test_a_scorer_names_all_that_its_numbers_depend_on(models, folders, name, tmp_path):
    judge = models(name)
    assert {"model", "revision", "precision", "scale"} <= set(judge.identity)
    assert all(isinstance(text, str) for text in judge.identity.values())
    json.dumps(dict(judge.identity))
    assert judge.name == name
    assert judge.identity["revision"].startswith("sha256:")


def test_another_weight_or_setting_is_another_revision(folders, tmp_path):
    copy = tmp_path / "clip"
    shutil.copytree(folders("clip"), copy)
    assert find(str(copy)).revision == find(folders("clip")).revision
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps({**settings, "do_rescale": False}))
    assert find(str(copy)).revision != find(folders("clip")).revision


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector * vector).sum())


@cache_calls
def loaded(kind, folder: str):
    return kind.from_pretrained(folder)


def clip_text(folder: str, text: str) -> np.ndarray:
    """One text at a time, so that padding plays no part."""
    model, tokenizer = loaded(CLIPModel, folder), loaded(AutoTokenizer, folder)
    with torch.no_grad():
        out = model.text_model(**tokenizer(text, return_tensors="pt")).pooler_output
        return unit(model.text_projection(out)[0].numpy().astype(np.float64))


def clip_image(folder: str, image: Image.Image) -> np.ndarray:
    model = loaded(CLIPModel, folder)
    # By hand: bicubic to a short side of 16, the middle 16 by 16, CLIP's mean and deviation.
    small = image.resize((16, 19), Image.Resampling.BICUBIC).crop((0, 1, 16, 17))
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = (np.asarray(small) / 255 - mean) / deviation
    tensor = torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)
    with torch.no_grad():
        out = model.vision_model(tensor).pooler_output
        return unit(model.visual_projection(out)[0].numpy().astype(np.float64))


def averaged(folder: str, text: str) -> np.ndarray:
    """What the authors' script does, a template after the other."""
    features = []
    for template in clip_module.TEMPLATES:
        sentence = template.format(text)
        sentence = sentence.replace("a a", "a")
        sentence = sentence.replace("the a", "a")
        features.append(clip_text(folder, sentence))
    return unit(np.mean(features, 0))


def test_the_clip_pair_is_the_arithmetic_of_the_authors_script(models, folders):
    folder = folders("clip")
    (values,) = models("clip").score(PICTURES[:1], [PAIR])
    image = clip_image(folder, PICTURES[0])
    full, first, second = (
        float(image @ averaged(folder, text))
        for text in ("a cat and a red car", "a cat", "a red car")
    )
    assert values["clip-full-prompt"] == pytest.approx(full, abs=1e-5)
    assert values["clip-minimum-object"] == pytest.approx(min(first, second), abs=1e-5)
    assert abs(first - second) > 1e-3
    (judgement,) = models("clip").judge(PICTURES[:1], [PAIR], [None])
    assert judgement.details["halves"] == pytest.approx([first, second], abs=1e-5)


def test_a_prompt_without_halves_has_no_minimum(models):
    (values,) = models("clip").score(PICTURES[:1], [SINGLE])
    assert values["clip-minimum-object"] is None
    assert -1 <= values["clip-full-prompt"] <= 1


def test_the_templates_are_the_80_of_imagenet():
    assert len(clip_module.TEMPLATES) == len(set(clip_module.TEMPLATES)) == 80
    # SHA-256 of CLIP's published list, sorted.
    digest = hashlib.sha256("\n".join(sorted(clip_module.TEMPLATES)).encode()).hexdigest()
    assert digest == "a8a4822f2921936e2ef07cf2e7a5df69be9532aab2f3f4880156bb03563e2467"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat and a red car", ("a cat", "a red car")),
        ("a lion with a crown", ("a lion", "a crown")),
        ("a cat with a bow and a dog", ("a cat with a bow", "a dog")),
        ("a cat and a dog and a frog", ("a cat", "a dog")),
        ("a dog and a turtle on the street", ("a dog", "a turtle on the street")),
        ("a band of dogs", None),
        ("a cat", None),
    ],
)
def test_halves_of_a_prompt(text, expected):
    assert clip_module.halves(text) == expected


def test_doubled_articles_are_taken_out_as_the_authors_do():
    of_cat = clip_module.filled("a cat")
    assert "a bad photo of a cat." in of_cat
    assert "a bad photo of the cat." not in of_cat
    assert "a cat in a video game." in of_cat
    assert not any("a a" in text or "the a" in text for text in of_cat)
    # "bad" before the article: nothing is doubled.
    assert "a photo of many a cat." in of_cat
    # The authors' replacement of letters damages words that end in "a", and so does this one.
    assert any("zebrand a panda" in text for text in clip_module.filled("a zebra and a panda"))
    assert any("a frog and apple" in text for text in clip_module.filled("a frog and a apple"))


def test_no_prompt_of_attend_and_excite_is_damaged_by_it():
    for name in PROMPT_SETS:
        if name.startswith("attend-and-excite"):
            for one in prompt_set(name).prompts:
                for text in (one.text, *clip_module.halves(one.text)):
                    words = text.removeprefix("a ")
                    if " a a" not in text:
                        assert all(words in t for t in clip_module.filled(text)), text


def test_text_text_compares_the_bare_caption_with_the_averaged_prompt(models, folders):
    judge = models("text-text")
    (judgement,) = judge.judge(PICTURES[:1], [PAIR], [None])
    caption = judgement.details["caption"]
    assert caption and not caption.startswith("a picture of")
    cosine = clip_text(folders("clip"), caption) @ averaged(folders("clip"), PAIR.text)
    assert judgement.values["text-text"] == pytest.approx(float(cosine), abs=1e-5)


def test_captions_are_begun_and_searched_as_lavis_does(models, folders):
    folder = folders("blip_caption")
    model = BlipForConditionalGeneration.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    begin = model.config.text_config.bos_token_id
    words = tokenizer("a picture of", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        seen = model.vision_model(images(PICTURES[0], return_tensors="pt").pixel_values)[0]
        tokens = model.text_decoder.generate(
            input_ids=torch.tensor([[begin, *words]]),
            encoder_hidden_states=seen,
            eos_token_id=model.config.text_config.sep_token_id,
            pad_token_id=model.config.text_config.pad_token_id,
            num_beams=3,
            max_length=30,
            min_length=10,
            do_sample=False,
        )
    whole = tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
    assert whole.startswith("a picture of")
    assert models("text-text").captions(PICTURES[:1]) == [whole[len("a picture of") :].strip()]


# TIFA.


def asked(*wanted: Wanted, scene: str | None = None) -> list[tuple[str, str, str]]:
    found = questions(prompt(*wanted, text="words", scene=scene))
    assert all(q.answer in q.choices and q.element_type in TYPES for q in found)
    return [(q.question, q.answer, q.element_type) for q in found]


def test_questions_follow_from_what_is_wanted():
    assert asked(Wanted("elephant"), Wanted("apple", "red"), scene="in the kitchen") == [
        ("is there an elephant?", "yes", "animal/human"),
        ("is there an apple?", "yes", "food"),
        ("is the apple red?", "yes", "color"),
        ("what color is the apple?", "red", "color"),
        ("is this in the kitchen?", "yes", "location"),
    ]
    assert asked(Wanted("cat"), Wanted("dog", count=2)) == [
        ("is there a cat?", "yes", "animal/human"),
        ("how many cats are there?", "1", "counting"),
        ("are there dogs?", "yes", "animal/human"),
        ("how many dogs are there?", "2", "counting"),
    ]
    assert asked(Wanted("glasses", "teal")) == [
        ("are there glasses?", "yes", "object"),
        ("are the glasses teal?", "yes", "color"),
        ("what color are the glasses?", "teal", "color"),
    ]
    assert asked(Wanted("chair", attributes=("wooden", "spiky")))[1:] == [
        ("is there a wooden chair?", "yes", "material"),
        ("is there a spiky chair?", "yes", "shape"),
    ]
    scenes = {
        "at night": "is this at night?",
        "floating in a river": "is something floating in a river?",
        "snowy street": "does this show snowy street?",
    }
    for scene, question in scenes.items():
        assert asked(Wanted("cat"), scene=scene)[-1] == (question, "yes", "location")
    assert asked(Wanted("mouse", count=2))[0][0] == "are there mice?"
    assert asked() == []


def test_two_things_of_a_subject_are_asked_for_by_their_colours():
    assert asked(Wanted("car", "red"), Wanted("car", "blue")) == [
        ("are there cars?", "yes", "object"),
        ("is there a red car?", "yes", "color"),
        ("is there a blue car?", "yes", "color"),
    ]


def test_a_wrong_colour_is_never_left_without_its_own_choice():
    """With few choices the nearest one to a wrong colour could be the right one."""
    (choices,) = (q.choices for q in questions(PAIR) if q.question.startswith("what color"))
    assert set(world.COLOURS) <= set(choices)


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_every_built_in_prompt_has_questions_and_none_twice(name):
    for one in prompt_set(name).prompts:
        found = questions(one)
        assert len(found) >= len({w.subject for w in one.wanted}) >= 1
        assert len({q.question for q in found}) == len(found)


def published():
    """Prompt set to the hash of its questions, as docs/scorers.md has them."""
    page = (Path(__file__).parents[1] / "docs" / "scorers.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z-]+)` \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_the_published_questions_never_change_unnoticed(name):
    """Where this fails, `FORM` needs another number and docs/scorers.md other hashes."""
    assert questions_hash(prompt_set(name)) == published()[name]


def entry(kind: str, score: int, question: str = "?") -> dict:
    return {"element_type": kind, "scores": score, "question": question}


def test_tifa_is_a_mean_of_means_and_a_type_a_mean_over_questions():
    logs = {
        "a": ("first", [entry("object", 1, "1"), entry("color", 0, "2")]),
        "b": ("second", [entry("object", s, str(i)) for i, s in enumerate((1, 0, 0, 0))]),
        "c": ("nothing", []),
    }
    found = result(logs)
    # (1/2 + 1/4) / 2, not 2 of 6.
    assert found["tifa_average"] == 0.375
    # Sample deviation of 0.5 and 0.25.
    assert found["tifa_stdev"] == pytest.approx(math.sqrt(2 * 0.125**2))
    assert found["accuracy_by_type"] == {"object": 0.4, "color": 0}
    assert found["caption_scores"] == {"a": 0.5, "b": 0.25}
    assert found["question_details"]["a"]["2"] == {
        "id": "a", "caption": "first", "element_type": "color", "scores": 0, "question": "2",
    }  # fmt: skip
    assert result({"a": logs["a"]})["tifa_stdev"] is None
    with pytest.raises(ValueError, match="no answers"):
        result({"c": logs["c"]})


def test_the_share_of_each_kind_of_an_image():
    values = shares([entry("object", 1), entry("object", 0), entry("animal/human", 1)])
    assert values["tifa"] == pytest.approx(2 / 3)
    assert values["tifa-object"] == 0.5
    assert values["tifa-animal-human"] == 1
    assert values["tifa-color"] is None
    assert set(shares([]).values()) == {None}


@pytest.fixture(scope="module")
def yes(folders, tmp_path_factory):
    """A ViLT that answers every question with "yes", and a sentence encoder."""
    folder = tmp_path_factory.mktemp("yes")
    shutil.copytree(folders("vilt"), folder, dirs_exist_ok=True)
    model = ViltForQuestionAnswering.from_pretrained(folder)
    with torch.no_grad():
        model.classifier[-1].bias[:] = torch.tensor([100.0, 0, 0, 0])
    model.save_pretrained(folder)
    return f"{folder}+{folders('sentences')}"


@pytest.fixture(scope="module")
def yes_sayer(yes):
    return scorer("tifa", yes)


def test_a_model_that_always_says_yes_gets_every_yes_or_no_question(yes_sayer):
    wanted = prompt(Wanted("cat"), Wanted("car", "red"), text="words", scene="at night")
    (judgement,) = yes_sayer.judge(PICTURES[:1], [wanted], [None])
    log = judgement.details["questions"]
    assert [one["free_form_vqa"] for one in log] == ["yes"] * 5
    is_yes = [one["answer"] == "yes" for one in log]
    assert is_yes == [True, True, True, False, True]
    assert [one["scores"] for one in log[:3]] == [1, 1, 1]
    chosen = log[3]["multiple_choice_vqa"]
    assert chosen in log[3]["choices"]
    assert log[3]["scores"] == (chosen == "red")
    assert judgement.values["tifa"] == sum(one["scores"] for one in log) / 5
    assert judgement.values["tifa-location"] == 1


def test_the_nearest_choice_is_that_of_mean_token_features(folders):
    folder = folders("sentences")
    model, tokenizer = MPNetModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)

    def feature(text):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return unit(hidden.numpy().astype(np.float64).mean(0))

    encoder = SentenceEncoder(folder)
    choices = ["a red car", "blue", "no", "how many cat are there"]
    for answer in ("green", "what color is the car", "1 dog"):
        cosines = [feature(answer) @ feature(choice) for choice in choices]
        assert encoder.choice(answer, choices) == choices[int(np.argmax(cosines))]
    assert encoder.choice("no", choices) == "no"


def test_blip_answers_too(folders):
    judge = scorer("tifa", f"{folders('blip_vqa')}+{folders('sentences')}")
    (judgement,) = judge.judge(PICTURES[:1], [SINGLE], [None])
    assert judgement.values["tifa"] in (0, 1)


def test_a_failed_image_answers_nothing(yes_sayer):
    judgement = yes_sayer.judge_failed(PAIR)
    assert judgement.values["tifa"] == 0
    assert judgement.values["tifa-color"] == 0
    assert judgement.values["tifa-counting"] is None
    assert len(judgement.details["questions"]) == len(questions(PAIR))


def test_a_file_of_tifas_questions_is_asked_by_caption(folders, tmp_path):
    one = {
        "id": "x", "caption": "a dog", "question": "is it a dog?", "choices": ["yes", "no"],
        "answer": "no", "element_type": "other", "element": "dog", "coco_val_id": "7",
    }  # fmt: skip
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([one, {**one, "id": "y"}]))
    judge = scorer("tifa", f"{folders('vilt')}+{folders('sentences')}", questions=path)
    assert [q.question for q in judge.questions(SINGLE)] == ["is it a dog?"]
    with pytest.raises(ValueError, match="no question with the caption 'a cat and"):
        judge.score(PICTURES[:1], [PAIR])
    assert judge.identity["templates"].startswith("file sha256:")
    with pytest.raises(ValueError, match="only 'tifa' takes a file"):
        scorer("pixels", questions=path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "are no JSON"),
        ("{}", "holds no list"),
        ("[1]", "Question 1 of"),
        ('[{"caption": "a"}]', "Question 1 of"),
        ("[" * 100_000, "are no JSON"),
        (
            '[{"caption": "a", "question": "?", "choices": ["yes"], "answer": "no", '
            '"element_type": "object", "element": "a"}]',
            "one of the choices",
        ),
        (
            '[{"caption": "a", "question": 3, "choices": ["yes"], "answer": "yes", '
            '"element_type": "object", "element": "a"}]',
            "Question 1 of",
        ),
    ],
)
def test_a_broken_file_of_questions_is_told_in_a_line(tmp_path, content, message):
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_questions(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_questions(tmp_path / "none.json")


def test_tifas_own_result_comes_from_a_scored_run(yes_sayer, tmp_path):
    sets = (PromptSet("own", "test", (Prompt("p-0", "a cat", (Wanted("cat"),)),)),)
    store = Store.create(tmp_path / "run", Plan("mini", (), sets, (1, 2), size=(16, 16)))
    with store.writing():
        for batch in store.missing():
            image = Image.new("RGB", (16, 16))
            store.keep([drawn(store.plan, u, image, batch=batch.seeds) for u in batch.units])
    first = store.plan.batches[0].units
    with pytest.raises(ValueError, match="by 0 models"):
        export(store, "tifa-result", tmp_path / "result")
    cache.score(store, yes_sayer)
    out = export(store, "tifa-result", tmp_path / "result")
    found = json.loads((out / "none" / "own" / "result.json").read_text())
    assert [path.name for path in out.rglob("*.*")] == ["result.json"]
    store.path(first[0]).unlink()
    with pytest.raises(ValueError, match="missing or altered"):
        export(store, "tifa-result", tmp_path / "other")
    assert found["tifa_average"] == 1 and found["tifa_stdev"] == 0
    assert set(found["caption_scores"]) == {"p-0#1", "p-0#2"}
    assert found["question_details"]["p-0#1"]["is there a cat?"]["free_form_vqa"] == "yes"


def test_tifas_result_of_a_run_that_went_on_has_no_gap(yes_sayer, tmp_path):
    sets = (PromptSet("own", "test", (Prompt("p-0", "a cat", (Wanted("cat"),)),)),)
    plan = Plan("mini", (), sets, (1, 2, 3), size=(16, 16), batch_size=1)
    store = Store.create(tmp_path / "run", plan)
    with store.writing():
        for batch in store.missing():
            if batch.seeds == (2,):
                cache.score(store, yes_sayer)
            lost = failed(store.plan, batch.units[0], "no memory", batch=batch.seeds)
            image = Image.new("RGB", (16, 16))
            whole = drawn(store.plan, batch.units[0], image, batch=batch.seeds)
            store.keep([lost if batch.seeds == (3,) else whole])
    with pytest.raises(ValueError, match="not scored 2 of 3 images yet"):
        export(store, "tifa-result", tmp_path / "result")
    cache.score(store, yes_sayer)
    out = export(store, "tifa-result", tmp_path / "result")
    found = json.loads((out / "none" / "own" / "result.json").read_text())
    # An image that failed has no right answer, and is no gap either.
    assert found["caption_scores"] == {"p-0#1": 1, "p-0#2": 1, "p-0#3": 0}


def test_tifas_own_files_go_in_and_out_by_the_shell(yes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("a cat\ntwo dogs\n")
    store = Store.create("RUN", Plan("mini", (), (prompt_set("mine.txt"),), (1, 2), size=(16, 16)))
    with store.writing():
        for batch in store.missing():
            image = Image.new("RGB", (16, 16))
            store.keep([drawn(store.plan, u, image, batch=batch.seeds) for u in batch.units])

    def shell(*words):
        capsys.readouterr()
        status = main(["evaluate", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    status, asked, _ = shell("prompts", "mine.txt", "--tifa")
    entries = json.loads(asked)
    assert status == 0 and {e["id"] for e in entries} == {"prompt-000", "prompt-001"}
    # Theirs may ask anything; this one asks less of the first prompt, and the opposite.
    entries = [e for e in entries if e["caption"] == "two dogs"] + [
        {**entries[0], "question": "is there no cat?", "answer": "no"}
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(entries))
    (tmp_path / "few.json").write_text(json.dumps(entries[:1]))
    tifa = ("score", "RUN", "--scorers", f"tifa={yes}", "--questions")
    status, out, err = shell(*tifa, "few.json")
    assert status == 2 and "no question with the caption 'a cat'" in err
    assert not (store.folder / "scores.sqlite").exists()
    status, out, err = shell(*tifa, "theirs.json")
    assert status == 0 and "templates file sha256:" in out
    assert shell("export", "RUN", "tifa-result", "result")[0] == 0
    found = json.loads((tmp_path / "result/none/own-mine/result.json").read_text())
    assert found["caption_scores"]["prompt-000#1"] == 0
    assert set(found["question_details"]["prompt-000#2"]) == {"is there no cat?"}
    assert shell("export", "RUN", "tifa", "view", "--questions", "theirs.json")[0] == 0
    view = tmp_path / "view" / "none" / "own-mine"
    assert {e["question"] for e in json.loads((view / "questions.json").read_text())} == {
        e["question"] for e in entries
    }
    status, _, err = shell("export", "RUN", "geneval", "other", "--questions", "theirs.json")
    assert status == 2 and "only 'tifa'" in err and not (tmp_path / "other").exists()


# VQAScore.


def loud(folder: str, kind, path) -> str:
    """A toy whose image shows in its answer, as weights of a new model hardly let it."""
    shutil.copytree(folder, path)
    torch.manual_seed(1)
    model = kind.from_pretrained(folder)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn_like(weight) * 0.3)
    model.save_pretrained(path)
    return str(path)


QUESTION = 'Does this figure show "a cat and a red car"? Please answer yes or no.'


def test_vqascore_of_an_encoder_decoder_is_the_models_own_loss(folders, tmp_path):
    kind = InstructBlipForConditionalGeneration
    folder = loud(folders("instructblip"), kind, tmp_path / "loud")
    judge = scorer("vqascore", folder)
    values = [one[judge.metrics[0].name] for one in judge.score(PICTURES, [PAIR] * 3)]
    model = kind.from_pretrained(folder).eval()
    for value, image in zip(values, PICTURES, strict=True):
        inputs = judge._processor(images=image, text=QUESTION, return_tensors="pt")
        yes, end = toys.WORDS.index("Yes"), toys.WORDS.index("</s>")
        with torch.no_grad():
            loss = model(**inputs, labels=torch.tensor([[yes, end]])).loss
        assert value == pytest.approx(math.exp(-loss.item()), rel=1e-4)
    assert len(set(values)) == 3 and all(0 < value < 1 for value in values)


def test_vqascore_of_a_decoder_is_the_probability_of_the_next_token(folders, tmp_path):
    folder = loud(folders("llava"), LlavaForConditionalGeneration, tmp_path / "loud")
    judge = scorer("vqascore", folder)
    values = [one[judge.metrics[0].name] for one in judge.score(PICTURES, [PAIR] * 3)]
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    asked = f"USER : <image> {QUESTION} ASSISTANT :"
    for value, image in zip(values, PICTURES, strict=True):
        inputs = judge._processor(images=image, text=asked, return_tensors="pt")
        with torch.no_grad():
            last = model(**inputs).logits[0, -1].double().numpy()
        probabilities = np.exp(last - last.max()) / np.exp(last - last.max()).sum()
        assert value == pytest.approx(probabilities[toys.WORDS.index("Yes")], rel=1e-4)
    assert len(set(values)) == 3


def test_vqascore_says_that_it_is_not_the_papers(models, folders, tmp_path):
    judge = models("vqascore")
    assert judge.metrics[0].name == "vqascore-instructblip"
    assert "instead of the paper's CLIP-FlanT5" in judge.metrics[0].description
    assert "not the paper's" in judge.identity["model"]
    toys.llava(tmp_path / "mute", chat=False)
    with pytest.raises(ValueError, match="no chat template"):
        scorer("vqascore", str(tmp_path / "mute"))


# OWLv2.


def test_of_boxes_on_one_thing_the_surest_stays_whatever_its_subject():
    cat = Found("cat", 0.9, (0, 0, 10, 10))
    frog = Found("frog", 0.8, (1, 0, 10, 10))
    other = Found("cat", 0.7, (20, 0, 30, 10))
    assert suppressed([other, frog, cat]) == [cat, other]
    # 50 of 150: too little to be the same.
    beside = Found("cat", 0.5, (5, 0, 15, 10))
    assert shared(cat.box, beside.box) == pytest.approx(1 / 3)
    assert suppressed([cat, beside]) == [cat, beside]
    assert shared(cat.box, other.box) == 0
    assert suppressed([]) == []


def test_owlv2_finds_what_its_model_is_sure_of(models, folders):
    judge = models("owlv2")
    folder = folders("owlv2")
    model = Owlv2ForObjectDetection.from_pretrained(folder)
    tokens = AutoTokenizer.from_pretrained(folder)(
        ["a photo of a cat", "a photo of a car"],
        padding="max_length", max_length=16, return_tensors="pt",
    )  # fmt: skip
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        out = model(**tokens, **images(PICTURES[0], return_tensors="pt"))
    by_hand = []
    for logits, (x, y, w, h) in zip(
        out.logits[0].tolist(), out.pred_boxes[0].tolist(), strict=True
    ):
        best = max(logits)
        confidence = 1 / (1 + math.exp(-best))
        # The image is padded to a square of its longer side, 24.
        box = tuple(24 * edge for edge in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        if confidence > 0.2:
            by_hand.append(Found(("cat", "car")[logits.index(best)], confidence, box))
    (found,) = judge.detect(PICTURES[:1], ("cat", "car"))
    expected = suppressed(by_hand)
    assert [f.subject for f in found] == [f.subject for f in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert one.box == pytest.approx(other.box, abs=1e-3)
    (values,) = judge.score(PICTURES[:1], [PAIR])
    counts = [[f.subject for f in found].count(word) for word in ("cat", "car")]
    assert values["all-present"] == float(all(counts))
    assert values["share-present"] == sum(map(bool, counts)) / 2
    assert values["right-count"] == float(counts == [1, 1])


def test_where_nothing_is_wanted_or_drawn_owlv2_says_so(models):
    judge = models("owlv2")
    nothing = prompt(text="something")
    assert set(judge.score(PICTURES[:1], [nothing])[0].values()) == {None}
    assert set(judge.judge_failed(PAIR).values.values()) == {0.0}


# Distance to the baseline image.


def baseline_one(colour) -> Image.Image:
    return Image.new("RGB", (16, 16), colour)


def test_the_same_image_is_at_no_distance():
    (values,) = PixelScorer().score(PICTURES[:1], [PAIR], PICTURES[:1])
    assert values == {"pixel-difference": 0, "structural-similarity": 1}


def test_the_difference_of_pixels_is_a_share_of_the_whole_range():
    black, other = baseline_one((0, 0, 0)), baseline_one((255, 51, 0))
    (values,) = PixelScorer().score([other], [PAIR], [black])
    assert values["pixel-difference"] == pytest.approx((1 + 0.2 + 0) / 3)


def test_structural_similarity_is_that_of_its_paper():
    (values,) = PixelScorer().score(PICTURES[:1], [PAIR], PICTURES[1:2])
    a, b = (np.asarray(p.convert("L"), dtype=np.float64) for p in PICTURES[:2])
    blur = lambda x: gaussian_filter(x, 1.5, truncate=3.5)  # noqa: E731
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert values["structural-similarity"] == pytest.approx(ssim[5:-5, 5:-5].mean(), abs=1e-6)


def test_without_a_baseline_image_of_the_same_size_there_is_no_distance(models):
    for judge in (PixelScorer(), models("dinov2")):
        assert judge.compares_to_baseline
        assert set(judge.score(PICTURES[:1], [PAIR])[0].values()) == {None}
    (values,) = PixelScorer().score(PICTURES[:1], [PAIR], [noise(0, (10, 10))])
    assert set(values.values()) == {None}


def test_dinov2s_distance_is_one_minus_the_cosine_of_its_features(models, folders):
    judge, folder = models("dinov2"), folders("dinov2")
    model = Dinov2Model.from_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        features = [
            unit(model(**images(p, return_tensors="pt")).pooler_output[0].double().numpy())
            for p in PICTURES[:2]
        ]
    (values,) = judge.score(PICTURES[:1], [PAIR], PICTURES[1:2])
    assert values["dinov2-distance"] == pytest.approx(1 - features[0] @ features[1], abs=1e-5)
    assert judge.score(PICTURES[:1], [PAIR], PICTURES[:1])[0]["dinov2-distance"] < 1e-6


# What can be wrong with a model.


def test_a_folder_without_weights_or_with_a_pickle_alone_is_refused(folders, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(folders("clip"), folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has no weights: no \*\.safetensors is there"):
        scorer("clip", str(folder))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="in pytorch_model.bin only; adhere reads safetensors"):
        scorer("clip", str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="has no config.json"):
        scorer("clip", str(folder))
    with pytest.raises(ValueError, match="is a file"):
        scorer("clip", str(folder / "pytorch_model.bin"))


def test_broken_weights_are_told_in_a_line(folders, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(folders("clip"), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="'clip' cannot be loaded by CLIPModel") as told:
        scorer("clip", str(folder))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "toy"),
    [("clip", "dinov2"), ("owlv2", "clip"), ("dinov2", "clip"), ("vqascore", "clip")],
)
def test_a_model_of_another_kind_is_refused(folders, name, toy):
    with pytest.raises(ValueError, match="is a model of the kind|cannot be loaded"):
        scorer(name, folders(toy))


def test_tifa_says_which_models_it_takes(folders):
    with pytest.raises(ValueError, match="of the kind 'clip'; TIFA takes a BLIP or a ViLT"):
        scorer("tifa", f"{folders('clip')}+{folders('sentences')}")
    with pytest.raises(ValueError, match="Got 3 models"):
        scorer("tifa", "a+b+c")


def test_code_that_comes_with_a_model_is_never_run(tmp_path):
    toys.remote_code(tmp_path / "own")
    with pytest.raises(ValueError, match="is a model of the kind 'own'"):
        scorer("dinov2", str(tmp_path / "own"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        scorer("vqascore", str(tmp_path / "own"))


def test_a_model_that_is_nowhere_is_told_in_a_line(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="'nobody/nothing' is no folder here, and the hub"):
        scorer("clip", "nobody/nothing")
    with pytest.raises(ValueError, match="Unknown model"):
        scorer("clip", "../nothing/there")
    with pytest.raises(ValueError, match="takes no model"):
        scorer("pixels", "any/model")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ValueError, match=r"needs scikit-image; install it with pip install"):
        scorer("pixels")
