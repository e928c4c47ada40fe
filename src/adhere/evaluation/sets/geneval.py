"""GenEval's own metadata: what its script reads of a prompt (arXiv 2310.11513).

A row of its `evaluation_metadata.jsonl` is `{"tag", "include", "prompt"}`, and `"exclude"` where a
number is asked for. The script looks for "counting" by the tag, with a higher threshold, and for
places by "position" in "include"; so rows of these kinds are exported whole or not at all.

Else the script looks for things, their number and one colour of each. A prompt that leaves things
out, asks for a class twice or for two colours of one thing, or says how things stand to each other
is refused. Scenes ("in the snow") and other modifiers ("furry") pass, and are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from adhere.evaluation.sets.found import found, is_colour
from adhere.evaluation.sets.prompt import Prompt, Wanted
from adhere.evaluation.sets.said import denial, link
from adhere.subjects.lexicon import numbers, singular

# The 80 classes of COCO, which are all that GenEval's detector can name.
COCO = frozenset(
    (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
        "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
        "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,"
        "baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,"
        "fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,"
        "cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,computer mouse,"
        "tv remote,computer keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,"
        "clock,vase,scissors,teddy bear,hair drier,toothbrush"
    ).split(",")
)
COLOURS = frozenset("red orange yellow green blue purple pink brown black white".split())
POSITIONS = ("left of", "right of", "above", "below")
_KEYS = {"tag", "include", "prompt"}
# With these of ours a row states what is wanted twice, and is refused.
_STATED = {"subjects", "colours", "counts", "attributes"}
_FORM = re.compile(r"a photo of (?P<said>.+)")
_PLACED = re.compile(rf"an? (?P<one>.+) (?P<where>{'|'.join(POSITIONS)}) an? (?P<other>.+)")
_COUNTED = re.compile(r"(?P<number>two|three|four) (?P<things>.+)")
_LISTED = re.compile(rf"an? (?:(?P<colour>{'|'.join(sorted(COLOURS))}) )?(?P<thing>.+)")
_WHERE = re.compile(
    r"\b(?:left|right|above|below|under|beneath|over|behind|beside|top|bottom|next to|"
    r"in front of)\b"
)


def is_official(row: Mapping[str, Any]) -> bool:
    """Whether a row of a .jsonl file has the keys of GenEval's metadata; it may have others."""
    return _KEYS <= row.keys() and not _STATED & row.keys()


def wanted(row: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """What a row of GenEval's metadata asks for; where things are is in the row alone.

    Raises:
        ValueError: "include" or "exclude" is no list of classes with whole numbers.
    """
    found = []
    for name in ("include", "exclude"):
        clauses = row.get(name, [])
        if not isinstance(clauses, list) or (name == "include" and not clauses):
            raise ValueError(f"{name} is no list of classes; expected one as GenEval has it.")
        for number, clause in enumerate(clauses):
            count = clause.get("count") if isinstance(clause, dict) else None
            is_named = isinstance(clause, dict) and isinstance(clause.get("class"), str)
            if not is_named or type(count) is not int or count < 1:
                raise ValueError(
                    f'{name} has {json.dumps(clause)[:60]}; expected {{"class": "cat", '
                    '"count": 1} and, where said, "color" and "position".'
                )
            colour = clause.get("color")
            if colour is not None and not isinstance(colour, str):
                raise ValueError(f"{name} has the color {json.dumps(colour)[:60]}; expected text.")
            place = clause.get("position")
            if place is not None and not _is_place(place, number):
                raise ValueError(
                    f"{name} has the position {json.dumps(place)[:60]}; expected one of "
                    f"{', '.join(POSITIONS)} and the number, from 0, of a thing before it, as in "
                    '["left of", 0].'
                )
            if name == "include":
                found.append(Wanted(clause["class"], colour, count))
    return tuple(found)


def _is_place(place: object, number: int) -> bool:
    """Whether a position says where the clause of a number is by one before it."""
    if not isinstance(place, list) or len(place) != 2 or place[0] not in POSITIONS:
        return False
    return type(place[1]) is int and 0 <= place[1] < number


def metadata(prompt: Prompt) -> dict[str, Any]:
    """What GenEval's script must read of a prompt.

    It is the row of GenEval's own file; or what that file has for a prompt of one of its six forms
    ("a photo of a dog left of a bear"), where the prompt's set states nothing else; or what is
    wanted of another prompt, where GenEval can judge it.

    Raises:
        ValueError: nothing is known of what the prompt wants, GenEval's models cannot name it, or
            it asks for more than GenEval looks at.
    """
    if prompt.geneval is not None:
        _check_classes(prompt)
        _check_words(prompt)
        return json.loads(prompt.geneval)
    if not prompt.wanted:
        raise ValueError(
            f"Nothing is known of what the prompt {prompt.id!r} wants, so GenEval cannot look "
            "for it; state its subjects in the prompt file."
        )
    _check_classes(prompt)
    row = _of_form(prompt)
    if row is not None:
        return {**row, "prompt": prompt.text}
    _check_words(prompt)
    _check_text(prompt)
    tag = prompt.tag or _tag(prompt.wanted)
    counts = any(one.count > 1 for one in prompt.wanted)
    if counts and tag != "counting":
        raise ValueError(
            f"The prompt {prompt.id!r} asks for a number and has the tag {tag!r}, but GenEval has "
            "a threshold for counting under the tag 'counting' alone; give it that tag, or none."
        )
    return {**_row(tag, prompt.wanted), "prompt": prompt.text}


def _of_form(prompt: Prompt) -> dict[str, Any] | None:
    """The row of a prompt in GenEval's form; None where what is stated of it is something else."""
    form = _FORM.fullmatch(prompt.text)
    row = form and (_placed(form["said"]) or _counted(form["said"]) or _listed(form["said"]))
    if not row:
        return None
    asked = sorted((c["class"], c.get("color", ""), c["count"]) for c in row["include"])
    stated = sorted((one.subject, one.colour or "", one.count) for one in prompt.wanted)
    return row if asked == stated or prompt.wanted == found(prompt.text) else None


def _row(tag: str, wanted: Sequence[Wanted]) -> dict[str, Any]:
    """A row without its prompt; a number asked for is the most that may be there."""
    include: list[dict[str, Any]] = []
    for one in wanted:
        include.append({"class": one.subject, "count": one.count})
        if one.colour is not None:
            include[-1]["color"] = one.colour
    most = [{"class": one.subject, "count": one.count + 1} for one in wanted if one.count > 1]
    return {"tag": tag, "include": include, **({"exclude": most} if most else {})}


def _placed(text: str) -> dict[str, Any] | None:
    """The row of "a dog left of a bear": the second thing, and the first beside it."""
    said = _PLACED.fullmatch(text)
    if said is None or not {said["one"], said["other"]} <= COCO:
        return None
    first = {"class": said["one"], "count": 1, "position": [said["where"], 0]}
    return {"tag": "position", "include": [{"class": said["other"], "count": 1}, first]}


def _counted(text: str) -> dict[str, Any] | None:
    """The row of "four handbags"."""
    said = _COUNTED.fullmatch(text)
    if said is None:
        return None
    name = _class_of(said["things"])
    if name is None:
        return None
    return _row("counting", [Wanted(name, count=numbers()[said["number"]])])


def _listed(text: str) -> dict[str, Any] | None:
    """The row of "a dog", "a red car", "a dog and a bear" or "a red car and a blue bench"."""
    parts = [_LISTED.fullmatch(part) for part in text.split(" and ")]
    things = [Wanted(part["thing"], part["colour"]) for part in parts if part]
    tag = _tag(things)
    if len(things) < len(parts) or tag == "own" or not {one.subject for one in things} <= COCO:
        return None
    return _row(tag, things)


def _class_of(things: str) -> str | None:
    """The class that a plural names; GenEval's file says "skises" and "broccolis"."""
    names = (singular(things), things, things.removesuffix("es"), things.removesuffix("s"))
    return next((name for name in names if name in COCO), None)


def _check_classes(prompt: Prompt) -> None:
    """Refuses a class that is asked for twice."""
    subjects = [one.subject for one in prompt.wanted]
    twice = next((subject for subject in subjects if subjects.count(subject) > 1), None)
    if twice is not None:
        raise ValueError(
            f"The prompt {prompt.id!r} asks for {twice!r} more than once, and GenEval would look "
            "at the same one each time; ask for a number of them, or for different classes."
        )


def _check_words(prompt: Prompt) -> None:
    """Refuses things and colours that GenEval's models cannot tell."""
    for one in prompt.wanted:
        name = _class_of(one.subject)
        if one.subject not in COCO and name is not None:
            raise ValueError(
                f"The prompt {prompt.id!r} wants {one.subject!r}, a plural, and GenEval counts "
                f"{name!r}; give a number ('two {one.subject}'), or state {name!r} and a count."
            )
        if one.subject not in COCO:
            raise ValueError(
                f"GenEval's detector does not know {one.subject!r} (prompt {prompt.id!r}); it "
                "knows the classes of COCO. Export a set named geneval-…, or use the scorer owlv2."
            )
        if one.colour is not None and one.colour not in COLOURS:
            raise ValueError(
                f"GenEval's classifier does not know the colour {one.colour!r} (prompt "
                f"{prompt.id!r}); it knows {', '.join(sorted(COLOURS))}."
            )
        other = next((a for a in one.attributes if is_colour(a)), None)
        if other is not None:
            raise ValueError(
                f"The prompt {prompt.id!r} has {other!r} among the modifiers of {one.subject!r}, "
                "but GenEval looks for one colour of a thing; give it one colour, as its colour."
            )


def _check_text(prompt: Prompt) -> None:
    """Refuses a text that says more than things, their numbers and their colours."""
    word = denial(prompt.text)
    if word is not None:
        raise ValueError(
            f"The prompt {prompt.id!r} leaves something out ({word!r}), which GenEval would not "
            "look at; ask only for what must be there, or give GenEval's own "
            'evaluation_metadata.jsonl, with "exclude", as the prompt file.'
        )
    where = _WHERE.search(prompt.text.lower())
    word = where[0] if where else link(prompt.text) if len(prompt.wanted) > 1 else None
    if word is not None:
        raise ValueError(
            f"The prompt {prompt.id!r} says what its things do or where things are ({word!r}), "
            "which GenEval would not look at; give GenEval's own evaluation_metadata.jsonl as the "
            "prompt file, or write it in its form, 'a photo of a dog left of a bear'."
        )


def _tag(wanted: Sequence[Wanted]) -> str:
    """The official tag of what is wanted; "own" where GenEval has none of its kind."""
    if any(one.count > 1 for one in wanted):
        return "counting"
    coloured = sum(one.colour is not None for one in wanted)
    kinds = {(1, 0): "single_object", (1, 1): "colors", (2, 0): "two_object", (2, 2): "color_attr"}
    return kinds.get((len(wanted), coloured), "own")
