"""How well the scorer judges: against drawn truth, and against labels made by eye."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from adhere.mini.scorer import Finding, Scorer, Sighting, shared
from adhere.mini.vocabulary import COLOURS, OBJECTS, SUBJECTS
from training.scorer.specimens import Label

# A finding is of a labelled thing if they share at least this part of their boxes' union.
SAME_PLACE = 0.3


def _found(label: Label, sighting: Sighting) -> Finding | None:
    """The finding in a label's place, if there is one."""
    return max(
        (f for f in sighting.findings if shared(f.box, label.box) > SAME_PLACE),
        key=lambda f: shared(f.box, label.box),
        default=None,
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def figures(
    scorer: Scorer, pictures: np.ndarray, labels: list[list[Label]]
) -> dict[str, float | str]:
    """How well the scorer judges labelled pictures.

    Args:
        scorer: looks at the pictures.
        pictures: (N, 128, 128, 3) uint8.
        labels: of each picture.

    Returns:
        precision, recall: of a subject's presence in a picture, all subjects counted together.
        lowest_precision, lowest_recall: of the worst subject, with its name.
        count: share of the present subjects whose number is exactly right.
        colour: share of right colours among painted things that are found as their subject.
        overlap: mean share of the boxes' union, of the same things.
        mixtures_kept_out: share of mixtures in whose place neither of the two is seen.
        mixtures_named: share of mixtures found as a mixture, at least one of the two right.
        false_mixtures: share of plain things taken for mixtures.
        Subjects of uncertain things are left out; nan where there is nothing to count.
    """
    right, said, wanted = Counter(), Counter(), Counter()
    counted = exact = painted = colour_right = plain = false_mixtures = 0
    mixtures = kept_out = named = 0
    overlaps = []
    sightings = scorer.look(list(pictures))
    for sighting, truth in zip(sightings, labels, strict=True):
        unsure = {SUBJECTS[s] for t in truth if not t.certain for s in (t.subject, t.other)}
        counts = Counter(SUBJECTS[t.subject] for t in truth if t.subject == t.other and t.certain)
        sure = set(counts) - unsure
        seen = sighting.subjects - unsure
        right.update(seen & sure)
        said.update(seen)
        wanted.update(sure)
        counted += len(sure)
        exact += sum(sighting.count(subject) == counts[subject] for subject in sure)
        for label in truth:
            finding = _found(label, sighting)
            subject, names = (
                SUBJECTS[label.subject],
                {SUBJECTS[label.subject], SUBJECTS[label.other]},
            )
            if not label.certain:
                continue
            if label.subject != label.other:
                mixtures += 1
                kept_out += finding is None or finding.is_mixture or finding.subject not in names
                if finding is not None and finding.is_mixture:
                    named += bool(names & {finding.subject, finding.mixed_with})
                continue
            plain += 1
            if finding is None:
                continue
            false_mixtures += finding.is_mixture
            if finding.subject == subject and not finding.is_mixture:
                overlaps.append(shared(finding.box, label.box))
                if max(label.colours) == 1:
                    painted += 1
                    colour_right += finding.colour == tuple(COLOURS)[label.colours.index(1)]
    precision = {s: _share(right[s], said[s]) for s in SUBJECTS if said[s]}
    recall = {s: _share(right[s], wanted[s]) for s in SUBJECTS if wanted[s]}
    worst = [min(part, key=lambda s, p=part: p[s]) if part else "" for part in (precision, recall)]
    return {
        "precision": _share(right.total(), said.total()),
        "recall": _share(right.total(), wanted.total()),
        "lowest_precision": f"{worst[0]} {precision.get(worst[0], float('nan')):.4f}",
        "lowest_recall": f"{worst[1]} {recall.get(worst[1], float('nan')):.4f}",
        "count": _share(exact, counted),
        "colour": _share(colour_right, painted),
        "overlap": float(np.mean(overlaps)) if overlaps else float("nan"),
        "mixtures_kept_out": _share(kept_out, mixtures),
        "mixtures_named": _share(named, mixtures),
        "false_mixtures": _share(false_mixtures, plain),
    }


@dataclass(frozen=True)
class ByEye:
    """What somebody saw in a picture.

    Attributes:
        picture: the file's name.
        things: (subject, colour) of each; colour None where it was not written.
        mixtures: the two subjects of each mixture.
        unsure: subjects that are neither plainly there nor plainly not.
        asked: the subjects that the prompt named; empty where it was not written.
    """

    picture: str
    things: tuple[tuple[str, str | None], ...]
    mixtures: tuple[frozenset[str], ...] = ()
    unsure: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects that are present."""
        return frozenset(subject for subject, _ in self.things)


def _subject(word: str, where: str) -> str:
    if word not in SUBJECTS:
        raise ValueError(
            f"{where}: {word!r} is no subject; write one of {', '.join(SUBJECTS)}, with a colour "
            "before it, as 'cat+dog' for a mixture, or with '?' behind it."
        )
    return word


def read_labels(path: Path) -> list[ByEye]:
    """Labels made by eye, one JSON object a line.

    A line is `{"picture": "003.png", "seen": ["cat", "red car", "dog+frog", "bowl?"],
    "asked": ["cat", "car"]}`: a thing is a subject, with its colour before it if it is to be
    compared; `+` is a mixture; `?` is what cannot be decided. Lines whose `seen` is null have not
    been labelled yet and are passed over.

    Raises:
        ValueError: a line that cannot be understood.
    """
    labels = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
            picture, seen = record["picture"], record["seen"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{where} is no label ({type(error).__name__}: {error}); "
                'write {"picture": "003.png", "seen": ["cat", "red car"]}.'
            ) from error
        if seen is None:
            continue
        things, mixtures, unsure = [], [], set()
        for text in seen:
            if "+" in text:
                mixtures.append(frozenset(_subject(w.strip(), where) for w in text.split("+")))
                continue
            *colour, name = text.rstrip("?").split()
            _subject(name, where)
            if text.endswith("?"):
                unsure.add(name)
                continue
            if len(colour) > 1 or (colour and (colour[0] not in COLOURS or name not in OBJECTS)):
                raise ValueError(
                    f"{where}: {text!r} is no coloured object; colours are {', '.join(COLOURS)}, "
                    "and animals have none."
                )
            things.append((name, colour[0] if colour else None))
        asked = tuple(_subject(word, where) for word in record.get("asked", ()))
        labels.append(ByEye(picture, tuple(things), tuple(mixtures), frozenset(unsure), asked))
    return labels


def agreement(
    scorer: Scorer, folder: Path, labels: list[ByEye]
) -> tuple[dict[str, float], list[tuple[ByEye, Sighting]]]:
    """How far the scorer and somebody's eye agree on pictures of a folder.

    Returns:
        The figures, and every picture on whose subjects they differ.
        asked: share of (picture, asked subject) on whose presence both agree.
        subjects: share of (picture, subject) that both see, of those that either sees.
        pictures: share of pictures in which both see the very same subjects.
        count: share of subjects seen by both of which both count as many.
        colour: share of agreeing colours, of subjects seen by both, where a colour was written.
        Subjects that the eye was unsure of are left out.

    Raises:
        ValueError: no labels, or a picture that is not there.
    """
    if not labels:
        raise ValueError("There is nothing to compare: fill in `seen` in the labels first.")
    missing = [label.picture for label in labels if not (folder / label.picture).is_file()]
    if missing:
        raise ValueError(f"{folder} has no {missing[0]}; name the folder that was labelled.")
    images = []
    for label in labels:
        with Image.open(folder / label.picture) as image:
            images.append(image.convert("RGB"))
    asked = asked_right = both = either = same = counted = exact = colours = colours_right = 0
    differing = []
    for label, sighting in zip(labels, scorer.look(images), strict=True):
        eye, machine = label.subjects - label.unsure, sighting.subjects - label.unsure
        for subject in set(label.asked) - label.unsure:
            asked += 1
            asked_right += (subject in eye) == (subject in machine)
        both += len(eye & machine)
        either += len(eye | machine)
        same += eye == machine
        if eye != machine:
            differing.append((label, sighting))
        for subject in eye & machine:
            counted += 1
            exact += sum(name == subject for name, _ in label.things) == sighting.count(subject)
            written = Counter(c for name, c in label.things if name == subject and c)
            colours += written.total()
            colours_right += (written & Counter(sighting.colours(subject))).total()
    return {
        "pictures_compared": len(labels),
        "asked": _share(asked_right, asked),
        "subjects": _share(both, either),
        "pictures": _share(same, len(labels)),
        "count": _share(exact, counted),
        "colour": _share(colours_right, colours),
    }, differing


def labelling_sheet(
    folder: Path, sheets: Path, columns: int = 5, rows: int = 4, asked: dict | None = None
) -> Path:
    """Contact sheets of a folder's PNGs with their names, and a file of labels to fill in.

    The labels are left empty (`"seen": null`), so that the eye is not led by the scorer.

    Args:
        folder: holds the pictures.
        sheets: where `sheet-000.png` … and `labels.jsonl` are written; existing labels are kept.
        columns: pictures a row.
        rows: rows a sheet.
        asked: for each picture's name the subjects that its prompt named.

    Returns:
        The file of labels.

    Raises:
        ValueError: the folder has no PNG.
    """
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise ValueError(f"{folder} has no PNG; name a folder of pictures to label.")
    sheets.mkdir(parents=True, exist_ok=True)
    edge = 256
    for start in range(0, len(names), columns * rows):
        sheet = Image.new("RGB", (columns * edge, rows * (edge + 18)), "white")
        pen = ImageDraw.Draw(sheet)
        for place, name in enumerate(names[start : start + columns * rows]):
            x, y = place % columns * edge, place // columns * (edge + 18)
            with Image.open(folder / name) as image:
                sheet.paste(image.convert("RGB").resize((edge - 4, edge)), (x, y + 18))
            pen.text((x + 4, y + 3), name, fill="black")
        sheet.save(sheets / f"sheet-{start // (columns * rows):03d}.png")
    path = sheets / "labels.jsonl"
    if not path.exists():
        lines = (
            {"picture": name, "seen": None, "asked": list((asked or {}).get(name, ()))}
            for name in names
        )
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
