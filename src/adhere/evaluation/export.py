"""A run laid out the way official scripts read images.

Each condition and prompt set has a view of its own, as these scripts average over all they find:

    attend-and-excite   OUT/<prompt>/<seed>.png
    geneval             OUT/<00000>/metadata.jsonl, OUT/<00000>/samples/<0000>.png
    tifa                OUT/imgs.json, OUT/questions.json, OUT/images/<id>.png
    tifa-result         OUT/result.json, what TIFA's script would write of adhere's own answers
    t2i-compbench       OUT/samples/<prompt>_<000000>.png, OUT/images.json

Images are linked where the file system can, else copied. A view is made beside its place and
moved there whole, so that no script ever sees half of one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from adhere.errors import unknown
from adhere.evaluation.data import FORMATS
from adhere.evaluation.export_checks import check_distinct, check_folder_name, of_each_prompt
from adhere.evaluation.outcomes import Row
from adhere.evaluation.scorers.cache import scored
from adhere.evaluation.scorers.questions import Ask, Question, as_tifa, asking
from adhere.evaluation.scorers.questions import questions as by_templates
from adhere.evaluation.scorers.tifa import result
from adhere.evaluation.sets.geneval import metadata
from adhere.evaluation.store import Store
from adhere.files import write_whole

# Another disk, or a file system without links.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)


@dataclass(frozen=True)
class _View:
    """What a layout is made of.

    Attributes:
        images: place in the view to the image.
        files: place in the view to what stands there.
    """

    images: Mapping[str, Row]
    files: Mapping[str, str]

    def with_another(self, place: str, other: _View) -> _View:
        """Both, the other one's places behind one that ends in "/" or is empty."""
        images = {place + own: row for own, row in other.images.items()}
        files = {place + own: text for own, text in other.files.items()}
        return _View({**self.images, **images}, {**self.files, **files})


Layout = Callable[[Store, Sequence[Row]], _View]
"""What lays rows of one condition and set out."""


def export(
    store: Store,
    layout: str,
    out: str | os.PathLike[str],
    *,
    condition: str | None = None,
    prompts: str | None = None,
    questions: Path | None = None,
    copy: bool = False,
) -> Path:
    """Lays a run out for a script, a view for each condition and prompt set.

    Args:
        store: the run.
        layout: one of `LAYOUTS`.
        out: the folder; it must not be there, or be empty.
        condition: its name; None for all of them.
        prompts: name of the prompt set; None for all of them.
        questions: for "tifa", a file of questions in its format; None writes them by templates.
        copy: whether images are copied; False links them, which takes no room, and copies
            where the file system has no links.

    Returns:
        The folder: the view itself where both names are given, else one for each in
        OUT/<condition>/<prompt set>.

    Raises:
        ValueError: an unknown name, a folder that holds something, an image of the run that is
            missing or altered, one of the view that failed, or prompts that the layout cannot
            hold. Nothing is left then.
        OSError: the folder cannot be written to, or the disk is full. Nothing is left then.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, (*LAYOUTS, *FORMATS))
    lay_out = LAYOUTS[layout]
    if questions is not None:
        if layout != "tifa":
            raise ValueError(
                f"The layout {layout!r} has no questions; only 'tifa' takes a file of them."
            )
        lay_out = partial(tifa, ask=asking(questions))
    own = [c.name for c in store.plan.conditions]
    sets = [s.name for s in store.plan.sets]
    home = Path(out)
    _check_place(home)
    store.check_whole()
    rows = store.rows()
    planned = Counter((unit.condition, unit.set) for unit in store.plan.units)
    view = _View({}, {})
    for name in _chosen("condition", condition, own):
        for chosen in _chosen("prompt set", prompts, sets):
            if not planned[name, chosen] and not (condition and prompts):
                continue
            few = [row for row in rows if (row.unit.condition, row.unit.set) == (name, chosen)]
            _check_finished(name, chosen, len(few), planned[name, chosen])
            place = "" if condition and prompts else f"{name}/{chosen}/"
            view = view.with_another(place, lay_out(store, few))
    _check_drawn([*view.images.values()])
    parent = home.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{home.name[:100]}.", suffix=".part", dir=parent))
    try:
        for place, row in view.images.items():
            _place(store.path(row.unit), made / place, copy)
        for place, text in view.files.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            write_whole(made / place, text.encode())
        # mkdtemp makes folders that only their owner can read.
        made.chmod(0o755)
        with suppress(FileNotFoundError):
            home.rmdir()
        os.rename(made, home)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return home


def _place(source: Path, target: Path, copy: bool) -> None:
    """An image at its place, linked or copied; a link on disk to the same bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source.resolve(), target)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    shutil.copyfile(source, target)


def _identity(row: Row) -> str:
    """TIFA takes one image an id."""
    return f"{row.unit.prompt}#{row.unit.seed}"


def attend_and_excite(store: Store, rows: Sequence[Row]) -> _View:
    """`<prompt>/<seed>.png`; the script scores the folder's name, so it must be the prompt.

    Raises:
        ValueError: a prompt that is no folder's name, or one that two ids have.
    """
    of_each_prompt(rows, lambda row: check_folder_name(row.text))
    check_distinct(rows)
    return _View({f"{row.text}/{row.unit.seed}.png": row for row in rows}, {})


def geneval(store: Store, rows: Sequence[Row]) -> _View:
    """A numbered folder for each prompt, with what its image should hold.

    Raises:
        ValueError: prompts that GenEval cannot judge; see `adhere.evaluation.sets.geneval`.
    """
    said = of_each_prompt(rows, lambda row: metadata(store.plan.prompt(row.unit)))
    images: dict[str, Row] = {}
    files: dict[str, str] = {}
    by_prompt: dict[str, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(row.unit.prompt, []).append(row)
    index = []
    for number, (name, own) in enumerate(by_prompt.items()):
        files[f"{number:05d}/metadata.jsonl"] = json.dumps(said[name]) + "\n"
        for sample, row in enumerate(own):
            place = f"{number:05d}/samples/{sample:04d}.png"
            images[place] = row
            index.append(_index(place, row))
    # Beside the numbered folders the script passes over whatever is no folder.
    files["images.json"] = _json(index)
    return _View(images, files)


def tifa(store: Store, rows: Sequence[Row], ask: Ask = by_templates) -> _View:
    """Questions and images by `<prompt id>#<seed>`: the script takes one image an id.

    Args:
        store: the run.
        rows: of the view.
        ask: gives the questions of a prompt.

    Raises:
        ValueError: fewer than two images, on which the script fails, or prompts that want
            nothing known, of which nothing can be asked.
    """

    def questions_of(row: Row) -> Sequence[Question]:
        own = ask(store.plan.prompt(row.unit))
        if not own:
            raise ValueError(
                f"Nothing is known of what the prompt {row.unit.prompt!r} wants, so TIFA can ask "
                "nothing; state its subjects in the prompt file."
            )
        return own

    by_prompt = of_each_prompt(rows, questions_of)
    asked: list[dict[str, object]] = []
    images: dict[str, Row] = {}
    places: dict[str, str] = {}
    for row in rows:
        name = _identity(row)
        places[name] = f"images/{row.unit.prompt}-{row.unit.seed}.png"
        images[places[name]] = row
        asked += as_tifa(name, store.plan.prompt(row.unit), by_prompt[row.unit.prompt])
    if len(rows) < 2:
        raise ValueError("TIFA's script fails on a single image; export a run with two or more.")
    return _View(images, {"imgs.json": _json(places), "questions.json": _json(asked)})


def tifa_results(store: Store, rows: Sequence[Row]) -> _View:
    """What TIFA's own script would write, by the answers that the scorer "tifa" has got.

    An image that failed has every answer wrong.

    Raises:
        ValueError: TIFA has not scored all of it, or has by several models.
    """
    own = [one for one in scored(store) if one.scorer == "tifa"]
    if len(own) != 1:
        raise ValueError(
            f"The run has TIFA's scores by {len(own)} models or files of questions, and needs "
            "them by one; move its file scores.sqlite away, and score it once with `adhere "
            "evaluate score` and tifa."
        )
    judgements = own[0].judgements
    left = [row for row in rows if row.unit not in judgements]
    if left:
        raise ValueError(
            f"TIFA has not scored {len(left)} of {len(rows)} images yet, and a gap would shift "
            "the mean; `adhere evaluate score` with tifa scores them."
        )
    answers = {
        _identity(row): (row.text, judgements[row.unit].details["questions"]) for row in rows
    }
    return _View({}, {"result.json": _json(result(answers))})


def t2i_compbench(store: Store, rows: Sequence[Row]) -> _View:
    """`samples/<prompt>_<000000>.png`, numbered from 0 without gaps; all seeds of a prompt follow.

    Raises:
        ValueError: a prompt with "_", or one that is no file's name.
    """

    def check(row: Row) -> None:
        check_folder_name(row.text, reserved=len("_000000.png"))
        if "_" in row.text:
            raise ValueError(
                f"The prompt {row.text!r} has a '_', at which T2I-CompBench's scripts end the "
                "prompt; leave it out of this layout."
            )

    of_each_prompt(rows, check)
    images: dict[str, Row] = {}
    index = []
    for number, row in enumerate(rows_by_prompt(rows)):
        place = f"samples/{row.text}_{number:06d}.png"
        images[place] = row
        index.append(_index(place, row))
    return _View(images, {"images.json": _json(index)})


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "attend-and-excite": attend_and_excite,
        "geneval": geneval,
        "tifa": tifa,
        "tifa-result": tifa_results,
        "t2i-compbench": t2i_compbench,
    }
)
"""Name to what lays rows out."""


def rows_by_prompt(rows: Sequence[Row]) -> list[Row]:
    """The rows with all seeds of a prompt after each other, prompts in their first order."""
    order = {prompt: n for n, prompt in enumerate(dict.fromkeys(row.unit.prompt for row in rows))}
    return sorted(rows, key=lambda row: order[row.unit.prompt])


def _index(place: str, row: Row) -> dict[str, Any]:
    unit = row.unit
    return {"image": place, "prompt": unit.prompt, "seed": unit.seed, "text": row.text}


def _json(data: object) -> str:
    return json.dumps(data, indent=1) + "\n"


def _chosen(kind: str, name: str | None, there: Sequence[str]) -> Sequence[str]:
    """The one of that name, or all."""
    if name is None:
        return there
    if name not in there:
        raise unknown(kind, name, there)
    return [name]


def _check_finished(condition: str, prompts: str, done: int, count: int) -> None:
    """Refuses what is not drawn to its end, or not to be drawn."""
    if not count:
        raise ValueError(
            f"The run draws {prompts!r} by the baseline alone, so there is nothing of "
            f"{condition!r} to export; name another prompt set, or the baseline."
        )
    if done < count:
        raise ValueError(
            f"The run has {done} of {count} images of {condition!r} on {prompts!r} yet, and a "
            "gap would be left out of the script's mean; `adhere evaluate run` draws the rest."
        )


def _check_drawn(rows: Sequence[Row]) -> None:
    """Refuses images that failed."""
    failures = [row for row in rows if row.sha256 is None]
    if failures:
        first = failures[0].unit
        raise ValueError(
            f"{len(failures)} images failed (first: {first.condition!r} on {first.set!r}, "
            f"prompt {first.prompt!r}, seed {first.seed}), and a gap would be left out of the "
            "script's mean; `adhere evaluate run` with --repair draws them again."
        )


def _check_place(home: Path) -> None:
    if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
        raise ValueError(
            f"{str(home)!r} is no folder or is not empty; give one that is new or empty."
        )
