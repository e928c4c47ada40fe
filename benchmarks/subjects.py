"""Precision and recall of the subjects, attributes and counts found in the labelled prompts.

Run:
    python benchmarks/subjects.py [--errors tune]

What counts as a subject in the labels of `tests/data/subject_prompts.jsonl`:

- the noun, with the other words of a compound noun, of a thing that the image must hold: people,
  animals, plants, food, objects, buildings, vehicles, clothes, and features that the prompt
  describes ("blue eyes");
- not the place, weather, light or time ("in the kitchen", "at dawn"), unless there is no other;
- not what the image is ("a photo of"), its style, quality, camera or artist;
- not how much of something ("a group of", "a slice of"), while a container and what is in it
  ("a bowl of soup") are two subjects;
- attributes are adjectives, colours, materials ("a metal bench", "made of glass") and predicates
  ("the dog is red"); a shade with its colour is one ("dark blue");
- the count is the number said, "a pair of" being two of most things and one of glasses; else 1.

Splits: the errors on "tune" prompts were looked at while the rules were written; on "held-out"
ones never. A held-out prompt whose error is looked at must move to "tune".

Kinds: "benchmark" prompts follow the templates of the field's prompt sets and of image captions,
"free" ones what people ask of a model; both were written and labelled before the first rule, by
the author of the word lists, who knew the same vocabulary. "outside" prompts were written by
others, drawn at random from PartiPrompts (Apache-2.0) and T2I-CompBench (MIT), and labelled before
the rules read them: many are sentences of prose, and they are the figure to trust for such text.

"written" prompts, those of `tests/data/written_prompts.jsonl`, have what people paste in: weights
and schedules, tags that load files, Midjourney's parameters, tag lists, negations, quotes,
relations, other languages. All were written and labelled by the author of the rules before the
rules for them, in one sitting; "source" says which of these a prompt has. A prompt in another
language (`english` is false) is right if it is refused. Where a prompt is labelled with relations,
they are compared as (kind, subject, other); see `adhere.subjects.Relation`.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from adhere.drawing.outline import load_outline
from adhere.subjects import find_relations, find_subjects, parse
from adhere.subjects.language import foreign_words
from adhere.subjects.markup import without_markup

DATA = Path(__file__).parents[1] / "tests" / "data"
Facts = dict[str, Counter]


def labelled(entry: dict) -> Facts:
    """The facts that a labelled prompt states, as multisets."""
    subjects = entry["subjects"]
    return {
        "subjects": Counter(s["text"] for s in subjects),
        "attributes": Counter((a, s["text"]) for s in subjects for a in s["attributes"]),
        "counts": Counter((s["text"], s["count"]) for s in subjects if s["count"] > 1),
        "prompts": Counter([_whole((s["text"], s["attributes"], s["count"]) for s in subjects)]),
    }


def found(prompt: str) -> Facts:
    """The facts that the parser reads in a prompt, as multisets."""
    plain = without_markup(prompt).lower()

    def said(span: tuple[int, int]) -> str:
        return " ".join(plain[slice(*span)].split())

    subjects = [(said(p.noun), [said(a) for a in p.attributes], p.count) for p in parse(prompt)]
    return {
        "subjects": Counter(text for text, _, _ in subjects),
        "attributes": Counter((a, text) for text, attributes, _ in subjects for a in attributes),
        "counts": Counter((text, count) for text, _, count in subjects if count > 1),
        "prompts": Counter([_whole(subjects)]),
    }


def _whole(subjects: Iterable[tuple[str, list[str], int]]) -> tuple:
    return tuple(sorted((text, tuple(sorted(a)), count) for text, a, count in subjects))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95% interval of a proportion by Wilson's score, the trials taken as independent."""
    if not trials:
        return 0.0, 1.0
    z, p = 1.96, hits / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def score(entries: list[dict]) -> dict[str, tuple[int, int, int]]:
    """For each kind of fact: how many were found rightly, found at all, and labelled."""
    totals: dict[str, tuple[int, int, int]] = {}
    for entry in entries:
        want, got = labelled(entry), found(entry["prompt"])
        for kind in want:
            right = (want[kind] & got[kind]).total()
            old = totals.get(kind, (0, 0, 0))
            new = (right, got[kind].total(), want[kind].total())
            totals[kind] = (old[0] + new[0], old[1] + new[1], old[2] + new[2])
    return totals


def read_prompts() -> list[dict]:
    files = [DATA / "subject_prompts.jsonl", DATA / "written_prompts.jsonl"]
    return [json.loads(row) for file in files for row in file.read_text("utf-8").splitlines()]


def refused(entries: list[dict]) -> tuple[int, int, int]:
    """How many prompts were rightly taken for another language, were taken so, and are in one."""
    taken = [entry for entry in entries if foreign_words(entry["prompt"])]
    right = sum(not entry.get("english", True) for entry in taken)
    return right, len(taken), sum(not entry.get("english", True) for entry in entries)


def related(entries: list[dict]) -> tuple[int, int, int]:
    """How many relations were found rightly, found at all, and labelled."""
    tokenizer = load_outline("mini").tokenizer
    right = got = want = 0
    for entry in entries:
        if "relations" in entry:
            subjects = find_subjects(tokenizer, entry["prompt"])
            names = [subject.text.lower() for subject in subjects]
            found = find_relations(tokenizer, entry["prompt"], subjects)
            said = Counter((r.kind, names[r.subject], names[r.other]) for r in found)
            labels = Counter(map(tuple, entry["relations"]))
            right, got = right + (said & labels).total(), got + said.total()
            want += labels.total()
    return right, got, want


def _cell(hits: int, trials: int) -> str:
    low, high = wilson(hits, trials)
    return f"{hits / max(trials, 1):6.1%} [{low:5.1%}, {high:6.1%}] {hits:4}/{trials:<4}"


_NAMES = {"prose": "benchmark, free and outside"}


def _is_of(entry: dict, kind: str) -> bool:
    return kind == entry["kind"] or (kind == "prose" and entry["kind"] != "written")


def _print_sources(entries: list[dict]) -> None:
    print("written, whole prompts right by what they have:")
    for source in sorted({entry["source"] for entry in entries}):
        chosen = [entry for entry in entries if entry["source"] == source]
        right, _, want = score(chosen)["prompts"]
        print(f"  {source:30}{right:4}/{want}")


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--errors", metavar="SPLIT", help="print the prompts read wrongly")
    options = arguments.parse_args()
    entries = read_prompts()
    print("95% intervals by Wilson's score")
    print(f"{'':32}{'precision':34}recall")
    for split in ("tune", "held-out"):
        for kind in ("benchmark", "free", "outside", "prose", "written"):
            chosen = [e for e in entries if e["split"] == split and _is_of(e, kind)]
            print(f"{split}, {_NAMES.get(kind, kind)}: {len(chosen)} prompts")
            facts = score(chosen)
            if kind == "written":
                facts["other languages"] = refused(chosen)
                facts["relations"] = related(chosen)
            for fact, (right, got, want) in facts.items():
                name = "  whole prompt right" if fact == "prompts" else f"  {fact}"
                print(f"{name:32}{_cell(right, got)}  {_cell(right, want)}")
        _print_sources([e for e in entries if e["split"] == split and "source" in e])
    for entry in entries:
        if entry["split"] == options.errors:
            want, got = labelled(entry)["prompts"], found(entry["prompt"])
            if want != got["prompts"]:
                print(entry["prompt"], *want, *got["prompts"], sep="\n    ")


if __name__ == "__main__":
    main()
