"""What a prompt says to other programs: tags, keywords, parameters and settings.

They say nothing of the image. `markup` blanks them, and a user is warned of tags, which some
programs obey and this one does not.
"""

import re

# Stands where a mark may part two phrases; whether it does is told by the word before it.
SOFT = "¦"
# Of full-width marks and digits, the usual ones.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if not chr(code).isalpha()}
_FILES = "lora|lyco|locon|loha|hypernet|embedding|embed|ti"
# "<lora:name:0.8>" and the like, unclosed or in other brackets too, and ComfyUI's
# "embedding:name": they name a file to load.
_LOADS = re.compile(
    rf"<(?:{_FILES}):[^<>]*>|&lt;(?:{_FILES}):[^<>&]*&gt;"
    rf"|(?:<|&lt;)?\b(?:{_FILES}):[^\s,()<>]+"
    rf"|(?<!\S)--(?:{_FILES})\s+[^\s,]+",
    re.I,
)
# SwarmUI's "<random:cat,dog>", "<fromto[0.5]:cat,dog>", "<wildcard:animal>".
_TAG = re.compile(r"<([A-Za-z]\w*)(?:\[[^\[\]<>]*\])?:([^<>]*)>")
_CHOICES = ("random", "rand", "alternate", "alt", "fromto")
_BETWEEN = re.compile(r"[,|]+")
_HTML = re.compile(
    r"</\w+\s*>|<(?:b|i|u|s|em|strong|br|p|span|div|h\d)\s*/?>|<\w+\s[^<>=]*=[^<>]*>", re.I
)
_ENTITY = re.compile(r"&(?:lt|gt|quot|nbsp|#\d+);|(?<=&)amp;")
# Tokens of text encoders.
_SPECIAL = re.compile(r"<\|[^<>|\s]*\|>|<(?:pad|[beu]os|unk)>|\[(?:SEP|CLS|PAD|MASK|UNK|[BE]OS)\]")
_COMPEL = re.compile(r"(?<=[\w)\"'”’])\.(?:blend|and|swap)\([^()]*\)")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.I)
# What stands before and after the prompt in text that is copied from a tool.
_COMMAND = re.compile(r"\s*(?:/?imagine\b(?:\s+prompt)?\s*:?|prompt\s*:)", re.I)
_SETTINGS = re.compile(r"\bnegative[ _]prompt\s*[:=]|\bsteps:\s*\d+[ \t]*(?:[,\n]|$)", re.I)
# Midjourney's parameters; they end a prompt. Telephones make one dash of two.
_FLAGS = re.compile(
    r"(?<!\S)(?:--|—|–)"
    r"(?:(?:ar|aspect|v|version|style|stylize|s|chaos|c|q|quality|seed|sameseed|no|niji|iw|tile|"
    r"weird|w|stop|repeat|r|sref|cref|oref|ow|cw|sw|p|profile|hd|test|testp|uplight|upbeta|video|"
    r"draft|raw|fast|relax|turbo|exp|creative|neg|negative|steps|cfg|width|height)(?!\S)|"
    r"[a-z]+\s+\d)"
)
# "__animal__", "%animal%" and "${animal}" stand for a word that another program puts there.
_WILDCARD = re.compile(r"(?<!\w)(?:__[\w/-]+?__|%\w+%|\$\{\w*\})(?!\w)")
# A1111's keyword, those of Regional Prompter, and SwarmUI's tag.
_BREAK = re.compile(r"\b(?:BREAK|ADD(?:COL|ROW|COMM|BASE))\b|<break>")
# What is left of other tags, and a heart; "<toy>" is a word of textual inversion.
_ANGLE = re.compile(r"<3(?!\w)|<(?![^<>\s]+>)")


def narrow(prompt: str) -> str:
    """A prompt with its full-width marks, "（" and "：", as the usual ones."""
    return prompt.translate(_NARROW)


def loading_tags(prompt: str) -> tuple[str, ...]:
    """The tags of a prompt that would load a file in another tool, and load nothing here."""
    return tuple(match[0] for match in _LOADS.finditer(narrow(prompt)))


def other_tags(prompt: str) -> tuple[str, ...]:
    """The other tags, "<random:cat,dog>", that a tool would put text in place of."""
    found = (match[0] for match in _TAG.finditer(narrow(prompt)))
    return tuple(tag for tag in found if not _LOADS.match(tag))


def replace(text: list[str], pattern: re.Pattern, mark: str) -> None:
    """Writes `mark` and then spaces over whatever matches."""
    for match in pattern.finditer("".join(text)):
        fill(text, match.start(), match.end(), mark)


def fill(text: list[str], start: int, end: int, mark: str = " ") -> None:
    """Writes `mark` and then spaces over some characters."""
    text[start:end] = mark + " " * (end - start - 1)


def blank_commands(text: list[str]) -> None:
    """Blanks all of them, but for the words that a tag gives a choice of."""
    _blank_ends(text)
    for pattern, mark in (
        (_HTML, " "),
        (_LOADS, SOFT),
        (_SPECIAL, SOFT),
        (_ENTITY, " "),
        (_BREAK, "."),
        (_WILDCARD, SOFT),
        (_COMPEL, " "),
    ):
        replace(text, pattern, mark)
    _blank_tags(text)
    for pattern in (_URL, _ANGLE):
        replace(text, pattern, SOFT)


def _blank_ends(text: list[str]) -> None:
    prompt = "".join(text)
    command = _COMMAND.match(prompt)
    if command:
        fill(text, *command.span())
    for pattern in (_SETTINGS, _FLAGS):
        tail = pattern.search(prompt)
        if tail:
            fill(text, tail.start(), len(text))


def _blank_tags(text: list[str]) -> None:
    """Blanks tags, and puts "&" between the choices of those that choose."""
    for match in _TAG.finditer("".join(text)):
        if match[1].lower() not in _CHOICES:
            fill(text, *match.span(), SOFT)
            continue
        fill(text, match.start(), match.start(2))
        for mark in _BETWEEN.finditer(match[2]):
            fill(text, match.start(2) + mark.start(), match.start(2) + mark.end(), "&")
        text[match.end() - 1] = " "
