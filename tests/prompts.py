"""What the tests of subjects share: labelled prompts, a tokenizer and what is read, as text."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from adhere.subjects import parse
from adhere.subjects.markup import without_markup

ROOT = Path(__file__).parents[1]
START, END = "<|startoftext|>", "<|endoftext|>"


def learnt_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer whose byte-pair merges were learnt from a few of the prompts."""
    lines = (ROOT / "tests" / "data" / "subject_prompts.jsonl").read_text("utf-8").splitlines()
    plain = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = plain.normalizer, plain.pre_tokenizer
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[START, END],
        initial_alphabet=[*letters, *(letter + "</w>" for letter in letters)],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator((json.loads(line)["prompt"] for line in lines[:40]), trainer)
    learnt = json.loads(learner.to_str())["model"]
    merges = [tuple(merge) for merge in learnt["merges"]]
    return CLIPTokenizer(vocab=learnt["vocab"], merges=merges, model_max_length=77)


def labelled() -> list[dict]:
    """The prompts of templates and captions whose errors may be looked at, with their labels."""
    lines = (ROOT / "tests" / "data" / "subject_prompts.jsonl").read_text("utf-8").splitlines()
    entries = map(json.loads, lines)
    return [e for e in entries if e["split"] == "tune" and e["kind"] == "free"]


def read_back(prompt: str) -> list[str]:
    """The subjects of a prompt as text: "three geese" is "geese*3", "a red car" "car<red"."""
    plain = without_markup(prompt)

    def words(span: tuple[int, int]) -> str:
        return " ".join(plain[slice(*span)].split())

    said = []
    for found in parse(prompt):
        text = words(found.noun)
        if found.attributes:
            text += "<" + ",".join(map(words, found.attributes))
        said.append(text + (f"*{found.count}" if found.count > 1 else ""))
    return said


def spell(tokenizer: CLIPTokenizer, prompt: str, indices: tuple[int, ...]) -> str:
    """The text of some tokens of a prompt, as the tokenizer itself spells them."""
    ids = tokenizer(prompt).input_ids
    return tokenizer.decode([ids[i] for i in indices]).strip()
