"""What a prompt says, without the markup of the tools that people copy prompts from.

diffusers gives a prompt to the tokenizer as it is, so markup has tokens of its own and the
positions of words must stay those of the prompt. So nothing is cut out: every mark becomes a
space, and the text keeps its length.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from adhere.subjects.commands import SOFT, blank_commands, fill, narrow, replace
from adhere.subjects.forms import Tag, closed_tag, goes_on, is_adjective
from adhere.subjects.lexicon import lexicon, phrases

# Stands in a word that markup cuts, "red-(haired:1.2)", and is a letter to regular expressions.
GLUE = "ˑ"
# Stands before what brackets say of a noun, "a cat (orange)", and is read as "painted".
PAINTED = "≡"
# A name of the kind "saber \(fate\)" says in brackets where it comes from.
_ESCAPED = re.compile(r"\\\([^()\n]*\\\)|\\(?=[^\w\s])")
# Tags of quality that some models were trained with.
_RATING = re.compile(r"\b(?:score_\d+(?:_up)?|(?:rating|source)_\w+)")
_WEIGHT = re.compile(
    r"(?<=\))\d*\.?\d+"  # (word)1.2
    r"|(?<=[\w)])(?:\++|--+)(?=[\s,.;)\]}]|$)"  # word++
    r"|(?<=[^\W\d]|[\"”])\s*:\s*-?\d*\.\d+(?=[\s,]|$)"  # word :1.2
)
_LESS = re.compile(r"(?<=[\w)])-(?=[\s,.;)\]}]|$)")  # word-
# NovelAI's "1.2::this::", with the end of the one before it.
_EMPHASIS = re.compile(r"(?:::\s*)?(?<![\w.])[+-]?(?:\d+(?:\.\d+)?|\.\d+)::")
_END = re.compile("::")
_PART = re.compile(r"::\s*-?\d*\.?\d*")  # Midjourney's "this:: that::2"
_UNDERSCORE = re.compile(r"(?<=[^\W\d_])_(?=[^\W\d_])")
_HASHTAG = re.compile(r"#(?=\w)")
_EDGE = re.compile(r"(?<!\w)_+|_+(?!\w)|[*`~^#]")
# Marks that part two phrases, or stand inside one: "a red - car".
_DASH = re.compile(r"(?<!\S)[-|/](?!\S)|\.{2,}|…|(?<!\w)[–—:;|]|[–—:;|](?!\w)")
_EITHER = re.compile(r"(?<=[^\W\d_]{2})/(?=[^\W\d_]{2})")
# Where a hyphen or "'s" goes on with the word before it.
_JOINT = re.compile(r"(?<=\w)( *)(?:-|['’](?=s\b))( *)(?=\w)")
_CUT = re.compile(f"-?{GLUE}+(?:-{GLUE}*)?")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|\.\d+)%?")
# Most prompts: no character, and none of the few words, that markup is made of.
_PLAIN = re.compile(
    r"(?! *(?i:imagine)\b|.*\b(?:BREAK|ADD(?:COL|ROW|COMM|BASE))\b)[A-Za-z0-9 ,']*\.?"
)
_OPENING = "([{ \n"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def without_markup(prompt: str) -> str:
    """A prompt with spaces in place of its markup; of the same length, character by character."""
    whole = _CUT.sub(lambda cut: " " * len(cut[0]), with_soft_marks(prompt))
    return whole.replace(SOFT, " ").replace(PAINTED, " ")


@lru_cache
def with_soft_marks(prompt: str) -> str:
    """The same, with `SOFT` in place of what may part two phrases, and `GLUE` within a word.

    Markup are weights ("(red:1.3)", "((red))", "red++"), schedules ("[cat:dog:0.5]"), choices
    ("{red|blue}"), commands to other programs, underscores between words, emphasis and emoji.
    """
    return prompt if _PLAIN.fullmatch(prompt) else _marked(prompt)


def _marked(prompt: str) -> str:
    """The same, of a prompt that may hold markup."""
    text = list(narrow(prompt))
    blank_commands(text)
    for pattern in (_ESCAPED, _RATING, _WEIGHT):
        replace(text, pattern, " ")
    _blank_emphases(text)
    _blank_brackets(text)
    for pattern, mark in (
        (_WEIGHT, " "),  # Of brackets that were never opened.
        (_PART, ","),
        (_UNDERSCORE, " "),
        (_HASHTAG, ","),
        (_EDGE, " "),
    ):
        replace(text, pattern, mark)
    _glue(text, prompt)
    for pattern, mark in ((_LESS, SOFT), (_DASH, SOFT), (_EITHER, "&")):
        replace(text, pattern, mark)
    return "".join(_symbols(text))


def _glue(text: list[str], prompt: str) -> None:
    """Writes `GLUE` over the marks that stand in a word."""
    for match in _JOINT.finditer("".join(text)):
        if not re.search(r"\s", prompt[match.start() : match.end()]):
            for group in (1, 2):
                text[slice(*match.span(group))] = GLUE * len(match[group])


def _blank_emphases(text: list[str]) -> None:
    """Blanks NovelAI's weights; in a prompt without them "::" is Midjourney's."""
    found = list(_EMPHASIS.finditer("".join(text)))
    for match in found:
        fill(text, *match.span(), SOFT if match[0].startswith(":") else " ")
    if found:
        replace(text, _END, " ")


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

    Brackets side by side are two phrases, "(cat:1.2) (dog:0.8)", but for nouns after an article
    with a space between them: "a (fire:1.2) (truck:1.2)".
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
                    is_one = after_article and _goes_with(text, closed, start, i)
                    text[start] = " " if is_one else SOFT
                closed = i
            text[i] = " "
        elif not character.isspace() and not opened:
            closed = -1
    for start, _ in opened:
        text[start] = " "


def _goes_with(text: list[str], closed: int, start: int, end: int) -> bool:
    """Whether brackets hold the next noun of a compound whose last bracket closed."""
    words = "".join(text[start + 1 : end]).split()
    is_noun = len(words) == 1 and not is_adjective(words[0].lower())
    return is_noun and " " in text[closed + 1 : start]


def _follows_noun(text: list[str], start: int, end: int) -> bool:
    """Whether brackets describe the noun before them: "a cat (orange)", "a house (old, red)"."""
    said = re.findall(r"[\w-]+", "".join(text[start + 1 : end]).lower())
    said = [word for word in said if word not in ("and", "or")]
    before = "".join(text[max(0, start - 20) : start]).lower().split()
    after = "".join(text[end + 1 : end + 20]).lower().lstrip(_OPENING).split()
    if not said or not all(map(is_adjective, said)) or not before or not before[-1].isalnum():
        return False
    is_noun = not goes_on(before[-1]) and f"{before[-1]} {said[0]}" not in phrases()
    return is_noun and (not after or closed_tag(after[0]) is not None)


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
        fill(text, parts.pop(), end)
    # "a woman (red dress)" says two things, where "a (red) dress" and "a ((big red)) dress" say
    # one.
    nested = text[start - 1 : start] == ["("] or inside[:1] in (" ", SOFT)
    words = inside.lower().split()
    several = len(words) > 1 and not nested
    opens = several and (closed_tag(words[0]) is Tag.DETERMINER or is_adjective(words[0]))
    aside = opens or (several and is_round and not weighted)
    text[start] = SOFT if aside else " "
    if is_round and _follows_noun(text, start, end):
        text[start] = PAINTED
        text[start:end] = ["&" if mark == "," else mark for mark in text[start:end]]
    if is_round:
        return
    stops = [start, *parts, end]
    for before, part, after in zip(stops, parts, stops[2:], strict=False):
        says = "".join(text[before + 1 : part]).strip() and "".join(text[part + 1 : after]).strip()
        text[part] = "&" if says else " "
