"""The words that the rules know by heart, read from the files in `words/`."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

_OF_PHRASES = (
    "abstract", "adverbs", "compounds", "exclusions", "places", "prepositions", "pronouns",
    "soft_places", "styles", "wrappers",
)  # fmt: skip


def _read(name: str) -> Iterator[str]:
    file = files("adhere") / "subjects" / "words" / f"{name}.txt"
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield from filter(None, map(str.strip, line.split(",")))


@cache
def lexicon(name: str) -> frozenset[str]:
    """The entries of `words/<name>.txt`: lower-case words and phrases."""
    return frozenset(_read(name))


@cache
def pairs(name: str) -> dict[str, str]:
    """The entries of `words/<name>.txt`, which are "this=that"."""
    return dict(entry.split("=") for entry in _read(name))


@cache
def numbers() -> dict[str, int]:
    """Number words and what they count to, "pair" and "dozen" among them."""
    return {word: int(value) for word, value in pairs("numbers").items()}


@lru_cache(maxsize=1_000)
def number_of(word: str) -> int | None:
    """What a number word counts, such as "two", "twenty-one" or "3x"; None for other words."""
    known = numbers()
    tens, _, ones = word.partition("-")
    if known.get(tens, 0) in range(20, 100, 10) and known.get(ones, 0) in range(1, 10):
        return known[tens] + known[ones]
    times = re.fullmatch(r"(\d{1,2})x", word)
    return int(times[1]) if times else known.get(word)


@cache
def phrases() -> frozenset[str]:
    """Every entry of more than one word, to be read as a single word."""
    return frozenset(entry for name in _OF_PHRASES for entry in lexicon(name) if " " in entry)


@cache
def phrase_openers() -> frozenset[str]:
    """The first word of every entry of `phrases`."""
    return frozenset(phrase.split()[0] for phrase in phrases())


@cache
def english() -> frozenset[str]:
    """Every entry of the lists of English words, except those of style."""
    left_out = (
        "foreign",
        "particles",
        "joints",
        "numbers",
        "irregular_plurals",
        "styles",
        "wrappers",
    )
    folder = files("adhere") / "subjects" / "words"
    names = {file.name.removesuffix(".txt") for file in folder.iterdir()}
    known = {word for name in names.difference(left_out) for word in lexicon(name)}
    return frozenset(known | numbers().keys())


@lru_cache
def singulars(word: str) -> tuple[str, ...]:
    """What `word` is the plural, or the third person, of; first itself."""
    found = [word]
    if word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
        if word.endswith("es"):
            found.append(word[:-2])
        if word.endswith("ies"):
            found.append(word[:-3] + "y")
        if word.endswith("ves"):
            found += [word[:-3] + "f", word[:-3] + "fe"]
    return tuple(found)


def is_plural(word: str) -> bool:
    """Whether a word looks like a noun of more than one thing."""
    if word in lexicon("plurals"):
        return True
    ends = word.endswith("s") and not word.endswith(("ss", "us", "is", "os", "ns"))
    return ends and not is_in(word, "pair_nouns") and not is_in(word, "nouns")


def base_forms(verb: str) -> tuple[str, ...]:
    """What a verb may be a form of, first itself: "rides" and "riding" of "ride"."""
    return (verb, *singulars(verb), *stems(verb, "ing"), *stems(verb, "ed"))


@lru_cache(maxsize=1_000)
def is_in(word: str, name: str) -> bool:
    """Whether `word`, or what it is the plural of, is an entry of `words/<name>.txt`."""
    return any(form in lexicon(name) for form in singulars(word))


def stems(word: str, ending: str) -> tuple[str, ...]:
    """Base forms that give `word` with "ing" or "ed" added: "riding" may come from "ride"."""
    if not word.endswith(ending):
        return ()
    stem = word[: -len(ending)]
    found = [stem, stem + "e"]
    if len(stem) > 2 and stem[-1] == stem[-2]:
        found.append(stem[:-1])
    if stem.endswith("i"):
        found.append(stem[:-1] + "y")
    return tuple(found)


def singular(noun: str) -> str:
    """The singular of a noun that stands after a number."""
    *before, last = noun.split()
    if last in pairs("irregular_plurals"):
        last = pairs("irregular_plurals")[last]
    elif not last.endswith(("ss", "us", "is")):
        if last.endswith("ies") and len(last) > 4:
            last = last[:-3] + "y"
        elif last.endswith(("ches", "shes", "xes", "sses", "zzes")):
            last = last[:-2]
        else:
            last = last.removesuffix("s")
    return " ".join([*before, last])
