"""The noun phrases of a prompt, by the rules alone or with spaCy's tags."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from adhere.subjects.grammar import Phrase, Role, find_phrases
from adhere.subjects.reading import Word, join_phrases, read
from adhere.subjects.tagging import Tag, tag_words

Parser = Literal["auto", "rules", "spacy"]
# A spaCy pipeline, or anything that gives tokens with the same `idx`, `pos_` and `dep_`.
Tagger = Callable[[str], Iterable[Any]]
PARSERS = ("auto", "rules", "spacy")
_MODELS = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
_OF_SPACY = {
    "ADJ": Tag.ADJECTIVE,
    "NOUN": Tag.NOUN,
    "PROPN": Tag.NOUN,
    "VERB": Tag.VERB,
    "ADV": Tag.ADVERB,
}


@cache
def _spacy_model() -> Tagger | None:
    """The largest of spaCy's English models that is installed."""
    if find_spec("spacy") is None:
        return None
    name = next((name for name in _MODELS if find_spec(name) is not None), None)
    if name is None:
        return None
    return import_module("spacy").load(name, exclude=["ner", "lemmatizer"])


def tag_with_spacy(words: Sequence[Word], prompt: str, model: Tagger) -> list[Tag]:
    """The rules' tags, with the model's where the rules only guessed that a word is a noun.

    The lexicon was written for prompts and is sure of what it holds; a word that it does not
    hold is where a trained tagger knows more.

    Args:
        words: the words of the prompt, phrases of the lexicon joined.
        prompt: the prompt.
        model: a spaCy pipeline that sets `pos_`.
    """
    tags, unsure = tag_words(words)
    starts = {word.start: i for i, word in enumerate(words)}
    for token in model(prompt):
        i = starts.get(token.idx)
        if i is None or i not in unsure or token.idx + len(token) != words[i].end:
            continue
        tag = _OF_SPACY.get(token.pos_, tags[i])
        # A participle before its noun is tagged as a verb, and is an attribute to us.
        tags[i] = Tag.ADJECTIVE if tag is Tag.VERB and token.dep_ == "amod" else tag
    return tags


def noun_phrases(prompt: str, parser: Parser = "auto") -> tuple[Phrase, ...]:
    """Every noun phrase of a prompt, each with its role in the picture.

    Args:
        prompt: any English text.
        parser: "rules" needs nothing; "spacy" has spaCy tag the words that the rules are unsure
            of, and needs it and an English model of it; "auto" does so where both are installed.

    Raises:
        ValueError: unknown parser, or "spacy" where it is not installed.
    """
    if parser not in PARSERS:
        raise ValueError(f"Unknown parser {parser!r}; expected one of {', '.join(PARSERS)}.")
    words = join_phrases(read(prompt), prompt)
    model = None if parser == "rules" else _spacy_model()
    if model is not None:
        return find_phrases(words, tag_with_spacy(words, prompt, model))
    if parser == "spacy":
        raise ValueError(
            "parser='spacy' needs spaCy and one of its English models: run "
            "`pip install 'adhere[subjects]'` and `python -m spacy download en_core_web_sm`, "
            "or use parser='rules'."
        )
    return find_phrases(words, tag_words(words)[0])


def parse(prompt: str, parser: Parser = "auto") -> tuple[Phrase, ...]:
    """The noun phrases of a prompt that are its subjects; see `noun_phrases`."""
    phrases = noun_phrases(prompt, parser)
    return tuple(phrase for phrase in phrases if phrase.role is Role.SUBJECT)
