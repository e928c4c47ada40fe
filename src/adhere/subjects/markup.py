"""What a prompt says, without the markup of the tools that people copy prompts from.

diffusers gives a prompt to the tokenizer as it is, so markup has tokens of its own and the
positions of words must stay those of the prompt. So nothing is cut out: every mark becomes a
space, and the text keeps its length.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from adhere.subjects.lexicon import lexicon

# Stands where a mark may part two phrases; whether it does is told by the word before it.
SOFT = "¦"
# "<lora:name:0.8>" and the like, and ComfyUI's "embedding:name": they name a file to load.
_LOADS = re.compile(r"<[A-Za-z]\w*:[^<>]*>|\bembedding:[^\s,()]+", re.I)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.I)
# What stands before and after the prompt in text that is copied from a tool.
_COMMAND = re.compile(r"\s*(?:/?imagine\b(?:\s+prompt)?\s*:?|prompt\s*:)", re.I)
_SETTINGS = re.compile(r"\bnegative prompt\s*:|\bsteps:\s*\d+\s*,", re.I)
# Midjourney's parameters; they end a prompt. Telephones make one dash of two.
_FLAGS = re.compile(
    r"(?<!\S)(?:--|—|–)"
    r"(?:(?:ar|aspect|v|version|style|stylize|s|chaos|c|q|quality|seed|sameseed|no|niji|iw|tile|"
    r"weird|w|stop|repeat|r|sref|cref|oref|ow|cw|sw|p|profile|hd|test|testp|uplight|upbeta|video|"
    r"draft|raw|fast|relax|turbo|exp|creative|neg|negative|steps|cfg|width|height)(?!\S)|"
    r"[a-z]+\s+\d)"
)
# A name of the kind "saber \(fate\)" says in brackets where it comes from.
_ESCAPED = re.compile(r"\\\([^()\n]*\\\)|\\(?=[^\w\s])")
_WILDCARD = re.compile(r"(?<!\w)__[\w/-]+?__(?!\w)")
# Tags of quality that some models were trained with.
_RATING = re.compile(r"\b(?:score_\d+(?:_up)?|(?:rating|source)_\w+)")
_WEIGHT = re.compile(
    r"(?<=\))\d*\.?\d+"  # (word)1.2
    r"|(?<=[\w)])(?:\++|--+)(?=[\s,.;)\]}]|$)"  # word++
    r"|(?<=[^\W\d])\s*:\s*-?\d*\.\d+(?=[\s,]|$)"  # word :1.2
)
_BREAK = re.compile(r"\bBREAK\b")
_PART = re.compile(r"::\s*-?\d*\.?\d*")  # Midjourney's "this:: that::2"
_UNDERSCORE = re.compile(r"(?<=[^\W\d_])_(?=[^\W\d_])")
_HASHTAG = re.compile(r"#(?=\w)")
_EDGE = re.compile(r"(?<!\w)_+|_+(?!\w)|[*`~^#]")
# Marks that part two phrases, or stand inside one: "a red - car".
_DASH = re.compile(r"(?<!\S)[-|/](?!\S)|\.{2,}|…|(?<!\w)[–—:;|]|[–—:;|](?!\w)")
_HTML = re.compile(r"</?(?:b|i|u|em|strong|br|p|span|div|h\d)\s*/?>", re.I)
_EITHER = re.compile(r"(?<=[^\W\d_]{2})/(?=[^\W\d_]{2})")
_NUMBER = re.compile(r"-?(?:\d+(?:[.,]\d*)?|\.\d+)%?")
_OPENING = "([{ \n"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def loading_tags(prompt: str) -> tuple[str, ...]:
    """The tags of a prompt that would load a file in another tool, and load nothing here."""
    return tuple(match[0] for match in _LOADS.finditer(prompt))


def without_markup(prompt: str) -> str:
    """A prompt with spaces in place of its markup; of the same length, character by character."""
    return with_soft_marks(prompt).replace(SOFT, " ")


@lru_cache
def with_soft_marks(prompt: str) -> str:
    """The same, with `SOFT` in place of what may part two phrases.

    Markup are weights ("(red:1.3)", "((red))", "red++"), schedules ("[cat:dog:0.5]"), choices
    ("{red|blue}"), tags that load files, Midjourney's parameters, wildcards, underscores between
    words, emphasis, emoji, web addresses, and the settings that tools write after a prompt.
    """
    text = list(prompt)
    _blank_ends(text)
    for pattern, mark in (
        (_LOADS, SOFT),
        (_URL, SOFT),
        (_ESCAPED, " "),
        (_WILDCARD, " "),
        (_RATING, " "),
        (_WEIGHT, " "),
    ):
        _replace(text, pattern, mark)
    _blank_brackets(text)
    for pattern, mark in (
        (_BREAK, "."),
        (_PART, ","),
        (_UNDERSCORE, " "),
        (_HASHTAG, ","),
        (_HTML, " "),
        (_DASH, SOFT),
        (_EDGE, " "),
        (_EITHER, "&"),
    ):
        _replace(text, pattern, mark)
    return "".join(_symbols(text))


def _replace(text: list[str], pattern: re.Pattern, mark: str) -> None:
    """Writes `mark` and then spaces over whatever matches."""
    for match in pattern.finditer("".join(text)):
        _fill(text, match.start(), match.end(), mark)


def _fill(text: list[str], start: int, end: int, mark: str = " ") -> None:
    text[start:end] = mark + " " * (end - start - 1)


def _blank_ends(text: list[str]) -> None:
    prompt = "".join(text)
    command = _COMMAND.match(prompt)
    if command:
        _fill(text, *command.span())
    for pattern in (_SETTINGS, _FLAGS):
        tail = pattern.search(prompt)
        if tail:
            _fill(text, tail.start(), len(text))


def _symbols(text: list[str]) -> Iterator[str]:
    """The characters, emoji and line ends as soft marks, a plus between words as "and"."""
    for character in text:
        if character in "\n\r" or unicodedata.category(character) in ("So", "Sk"):
            yield SOFT
        elif character == "+":
            yield "&"
        elif unicodedata.category(character) in ("Cf", "Mn") and not character.isascii():
            yield " " if character in "\u200d\ufe0e\ufe0f" else character
        else:
            yield character


def _blank_brackets(text: list[str]) -> None:
    """Blanks brackets with their weights, and puts "&" between the choices of a schedule.

    Brackets side by side are two phrases, "(cat:1.2) (dog:0.8)", but for a word after an article:
    "a (fire:1.2) (truck:1.2)".
    """
    opened: list[tuple[int, list[int]]] = []
    closed = -1
    after_article = False
    for i, character in enumerate(text):
        if character in _PAIRS.values():
            opened.append((i, []))
        elif character in ":|" and opened:
            opened[-1][1].append(i)
        elif character in _PAIRS:
            if opened and text[opened[-1][0]] == _PAIRS[character]:
                start, parts = opened.pop()
                _blank_pair(text, start, i, parts)
                if closed < 0 or "".join(text[closed + 1 : start]).strip(_OPENING):
                    after_article = _is_after_article(text, start)
                elif closed < start:
                    is_word = len("".join(text[start:i]).split()) == 1
                    text[start] = " " if after_article and is_word else SOFT
                closed = i
            text[i] = " "
        elif not character.isspace() and not opened:
            closed = -1
    for start, _ in opened:
        text[start] = " "


def _is_after_article(text: list[str], start: int) -> bool:
    """Whether the word before a bracket opens a noun phrase."""
    before = "".join(text[max(0, start - 20) : start]).rstrip(_OPENING).split()
    return bool(before) and before[-1].lower() in lexicon("determiners")


def _blank_pair(text: list[str], start: int, end: int, parts: list[int]) -> None:
    """Blanks one pair of brackets, its weight, and the marks between its choices."""
    inside = "".join(text[start + 1 : end])
    is_round = text[start] == "("
    weighted = bool(parts) and bool(_NUMBER.fullmatch("".join(text[parts[-1] + 1 : end]).strip()))
    if weighted:
        _fill(text, parts.pop(), end)
    # "a woman (red dress)" says two things, where "a (red) dress" and "a ((big red)) dress" say
    # one.
    nested = text[start - 1 : start] == ["("] or inside[:1] in (" ", SOFT)
    aside = is_round and not weighted and not nested and len(inside.split()) > 1
    text[start] = SOFT if aside else " "
    if is_round:
        return
    stops = [start, *parts, end]
    for before, part, after in zip(stops, parts, stops[2:], strict=False):
        says = "".join(text[before + 1 : part]).strip() and "".join(text[part + 1 : after]).strip()
        text[part] = "&" if says else " "
