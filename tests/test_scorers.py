"""Scorers with models of their own, on toys: their arithmetic, and what can be wrong."""

import hashlib
import json
import math
import shutil
import sys
from functools import cache as cache_calls

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
    Owlv2ForObjectDetection,
)

import scorer_toys as toys
from adhere.evaluation.prompts import PROMPT_SETS, prompt_set
from adhere.evaluation.scorers import SCORERS, scorer
from adhere.evaluation.scorers import clip as clip_module
from adhere.evaluation.scorers.owlv2 import Found, shared, suppressed
from adhere.evaluation.scorers.preservation import PixelScorer
from adhere.evaluation.scorers.weights import find
from scorer_toys import PAIR, PICTURES, SINGLE, noise, prompt, unit


def test_an_unknown_scorer_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="Unknown scorer 'minni': did you mean 'mini'"):
        scorer("minni")
    assert "mini" in SCORERS


# Models from folders that are made here.


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return toys.folders(tmp_path_factory.mktemp("toys"))


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
