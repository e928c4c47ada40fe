"""Tiny models of the scorers' real classes, with random weights, saved to folders."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertTokenizer,
    BitImageProcessorPil,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MPNetConfig,
    MPNetModel,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    PreTrainedTokenizerFast,
    ViltConfig,
    ViltForQuestionAnswering,
    ViltImageProcessorPil,
)

from adhere import mini
from adhere.evaluation.prompts import Prompt, Wanted

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] [DEC] [ENC] <pad> <s> </s> <unk> <image> Yes No yes no a of "
    "picture cat dog frog car red blue green is there what color the ? . , how many are 1 2 3 "
    'Does this figure show Please answer or " USER ASSISTANT : photo and with crown lion'
).split()
VISION = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 16, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "max_position_embeddings": 40,
}  # fmt: skip


def saved(folder: Path, *parts) -> Path:
    for part in parts:
        part.save_pretrained(folder)
    return folder


def clip_tokenizer(longest: int = 77) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(mini.folder() / "tokenizer", model_max_length=longest)


def bert_tokenizer(folder: Path) -> BertTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    return BertTokenizer(
        str(vocabulary), model_max_length=30, extra_special_tokens=["[DEC]", "[ENC]"]
    )


def word_tokenizer(ends: bool) -> PreTrainedTokenizerFast:
    """A word is a token; with an end token after all where asked."""
    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", ids["</s>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>",
        extra_special_tokens=["<image>"],
    )  # fmt: skip


def clip(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 77}
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=8))
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=16)
    return saved(folder, model, tokenizer, images)


def _blip(folder: Path, kind) -> Path:
    torch.manual_seed(0)
    tokenizer = bert_tokenizer(folder)
    numbers = {word: number for number, word in enumerate(WORDS)}
    text = {
        **TEXT, "vocab_size": len(WORDS), "encoder_hidden_size": 16, "projection_dim": 8,
        "bos_token_id": numbers["[DEC]"], "eos_token_id": numbers["[SEP]"],
        "pad_token_id": numbers["[PAD]"], "sep_token_id": numbers["[SEP]"],
    }  # fmt: skip
    config = BlipConfig(text_config=text, vision_config=VISION, projection_dim=8)
    images = BlipImageProcessorPil(size={"height": 16, "width": 16})
    return saved(folder, kind(config), tokenizer, images)


def blip_caption(folder: Path) -> Path:
    return _blip(folder, BlipForConditionalGeneration)


def blip_vqa(folder: Path) -> Path:
    return _blip(folder, BlipForQuestionAnswering)


def vilt(folder: Path, answers=("yes", "no", "red", "2")) -> Path:
    torch.manual_seed(0)
    config = ViltConfig(
        **{**TEXT, **VISION}, vocab_size=len(WORDS), id2label=dict(enumerate(answers)),
        label2id={answer: number for number, answer in enumerate(answers)},
    )  # fmt: skip
    images = ViltImageProcessorPil(size={"shortest_edge": 16}, size_divisor=8)
    return saved(folder, ViltForQuestionAnswering(config), bert_tokenizer(folder), images)


def sentences(folder: Path) -> Path:
    torch.manual_seed(0)
    model = MPNetModel(MPNetConfig(**TEXT, vocab_size=len(WORDS)), add_pooling_layer=True)
    return saved(folder, model, bert_tokenizer(folder))


def owlv2(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(16)
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 16}
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text["pad_token_id"] = tokenizer.pad_token_id
    config = Owlv2Config(
        text_config=text, vision_config={**VISION, "image_size": 32}, projection_dim=16
    )
    images = Owlv2ImageProcessorPil(size={"height": 32, "width": 32})
    return saved(folder, Owlv2ForObjectDetection(config), tokenizer, images)


def dinov2(folder: Path) -> Path:
    torch.manual_seed(0)
    model = Dinov2Model(
        Dinov2Config(
            **{k: v for k, v in VISION.items() if k[0] != "i"}, image_size=16, mlp_ratio=1
        )
    )
    images = BitImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    return saved(folder, model, images)


def instructblip(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = word_tokenizer(ends=True)
    text = {
        "model_type": "t5", "d_model": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1,
        "num_decoder_layers": 1, "num_heads": 2, "vocab_size": len(WORDS),
        "decoder_start_token_id": WORDS.index("<pad>"), "pad_token_id": WORDS.index("<pad>"),
        "eos_token_id": WORDS.index("</s>"),
    }  # fmt: skip
    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config={**TEXT, "vocab_size": len(WORDS), "encoder_hidden_size": 16},
        text_config=text,
        num_query_tokens=3,
        image_token_index=WORDS.index("<image>"),
    )
    processor = InstructBlipProcessor(
        BlipImageProcessorPil(size={"height": 16, "width": 16}),
        tokenizer,
        bert_tokenizer(folder / "qformer_tokenizer"),
        num_query_tokens=3,
    )
    return saved(folder, InstructBlipForConditionalGeneration(config), processor)


def llava(folder: Path, chat: bool = True) -> Path:
    torch.manual_seed(0)
    tokenizer = word_tokenizer(ends=False)
    text = {**TEXT, "model_type": "llama", "vocab_size": len(WORDS)}
    text["max_position_embeddings"] = 100
    config = LlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config=text,
        image_token_index=WORDS.index("<image>"),
        vision_feature_layer=-1,
    )
    template = (
        "{% for m in messages %}USER : {% for c in m['content'] %}{% if c['type'] == 'image' %}"
        "<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}ASSISTANT :"
    )
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=16),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=template if chat else None,
    )
    return saved(folder, LlavaForConditionalGeneration(config), processor)


def remote_code(folder: Path) -> Path:
    """A folder whose configuration wants code of its own to be run."""
    clip(folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoModel": "own.Own", "AutoConfig": "own.OwnConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('code of a stranger was run')")
    return folder


def prompt(*wanted: Wanted, text: str = "", scene: str | None = None) -> Prompt:
    text = text or " and ".join(f"a {w.subject}" for w in wanted)
    return Prompt("p", text, wanted, scene)


PAIR = prompt(Wanted("cat"), Wanted("car", "red"), text="a cat and a red car")
SINGLE = prompt(Wanted("dog"), text="a dog")


def noise(seed: int, size=(20, 24)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


PICTURES = [noise(seed) for seed in range(3)]


def folders(home: Path) -> Callable[[str], str]:
    """What gives the folder of each toy, made once below a folder."""
    made = {}

    def folder(name: str) -> str:
        if name not in made:
            made[name] = globals()[name](home / name)
        return str(made[name])

    return folder


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector * vector).sum())
