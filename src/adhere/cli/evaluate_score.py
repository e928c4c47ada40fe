"""`adhere evaluate score`: scorers from the words of `--scorers`, and what they said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from adhere.cli.choosing import hush
from adhere.cli.progress import bar, say
from adhere.cli.values import names
from adhere.errors import unknown
from adhere.evaluation.plan import Plan
from adhere.evaluation.scorers import SCORERS, Scorer, cache, scorer
from adhere.evaluation.scorers.questions import asking
from adhere.evaluation.sets.mistakes import MOST_SHOWN
from adhere.evaluation.sets.prompt import Prompt
from adhere.evaluation.store import Store
from adhere.mini import bundled

TIFA = "tifa"


def score(run: str, *, scorers: str | None = None, questions: str | None = None) -> None:
    """Score the images of a run; those scored before are not scored again.

    Args:
        run: folder of the run.
        scorers: which, separated by commas, as NAME or NAME=MODEL; mini and pixels for the bundled
            model without it.
        questions: a file of TIFA's in its own format.
    """
    hush()
    store = Store.open(run)
    store.check_whole()
    chosen = names(scorers) if scorers else default_scorers(store.plan.model)
    if not chosen:
        raise ValueError(
            f"This run is of {store.plan.model!r}, and the exact scorer knows the bundled model's "
            "images only; say which scorers, as in --scorers clip,owlv2."
        )
    check(chosen, questions)
    check_questions(store.plan, questions)
    try:
        score_with(store, chosen, questions)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted; what was scored is kept, and the same command goes on"
        ) from None


def default_scorers(model: str) -> list[str]:
    """What needs no download and knows a model's images; nothing but for the bundled one.

    Those are its exact scorer, and how much of the baseline image was left as it was.
    """
    return ["mini", "pixels"] if model in bundled() else []


def check(scorers: Sequence[str], questions: str | None) -> None:
    """Refuses what is wrong with the words alone.

    Args:
        scorers: names, each with "=model" behind it where it is to load another one.
        questions: a file for "tifa"; None for none.

    Raises:
        ValueError: an unknown scorer, or questions that none of them asks.
    """
    given = [one.partition("=")[0] for one in scorers]
    for name in given:
        if name not in SCORERS:
            raise unknown("scorer", name, SCORERS)
    if questions is not None and TIFA not in given:
        raise ValueError(
            f"Got --questions {questions!r} without a scorer that asks them; give --scorers tifa."
        )


def check_questions(plan: Plan, questions: str | None) -> None:
    """Makes sure that a file of questions has some for every prompt of a run.

    Raises:
        ValueError: it has none for one, or is no such file.
    """
    if questions is not None:
        ask = asking(Path(questions))
        for prompts in plan.sets:
            for prompt in prompts.prompts:
                ask(prompt)


def loaded(one: str, questions: str | None) -> Scorer:
    """A scorer as `--scorers` has it; the arguments are those of `check`.

    Raises:
        ValueError: see `adhere.evaluation.scorers.scorer`.
    """
    name, _, model = one.partition("=")
    file = Path(questions) if questions is not None and name == TIFA else None
    return scorer(name, model or None, questions=file)


def score_with(store: Store, scorers: Sequence[str], questions: str | None) -> None:
    """Scores a run, and says what each scorer is and what it gave."""
    for one in scorers:
        chosen = loaded(one, questions)
        with bar(f"score {chosen.name}") as on_progress:
            cache.score(store, chosen, on_progress)
        for line in _told(store, chosen):
            say(line)


def _told(store: Store, chosen: Scorer) -> Iterator[str]:
    """All that the numbers depend on, and the mean over images of each condition."""
    identity = ", ".join(f"{key} {value}" for key, value in chosen.identity.items())
    yield f"{chosen.name}: {identity}"
    own = next(
        one
        for one in cache.scored(store)
        if (one.scorer, one.identity) == (chosen.name, dict(chosen.identity))
    )
    for condition in store.plan.conditions:
        said = [j.values for unit, j in own.judgements.items() if unit.condition == condition.name]
        means = []
        for metric in chosen.metrics:
            found = [v for values in said if (v := values.get(metric.name)) is not None]
            if found:
                means.append(f"{metric.name} {mean(found):.3f}")
        if means:
            yield f"  {condition.name}, {len(said):,} images: {', '.join(means)}"
    unjudged = _unjudged(store, own)
    if unjudged:
        listed = "; ".join(
            f"{prompt.text[:60]!r} ({', '.join(w.subject for w in prompt.wanted) or 'nothing'})"
            for prompt in unjudged[:MOST_SHOWN]
        )
        more = f"; and {len(unjudged) - MOST_SHOWN} more" if len(unjudged) > MOST_SHOWN else ""
        yield (
            f"  cannot judge {len(unjudged)} of {sum(len(s.prompts) for s in store.plan.sets)} "
            f"prompts by what they want: {listed}{more}; state what {chosen.name} knows, or give "
            "another scorer by --scorers"
        )


def _unjudged(store: Store, own: cache.Scored) -> list[Prompt]:
    """The prompts of whose images a scorer says nothing."""
    said: dict[tuple[str, str], bool] = {}
    for row in store.rows():
        if row.sha256 is not None and row.unit in own.judgements:
            values = own.judgements[row.unit].values.values()
            key = row.unit.set, row.unit.prompt
            said[key] = said.get(key, False) or any(value is not None for value in values)
    return [
        prompt
        for prompts in store.plan.sets
        for prompt in prompts.prompts
        if said.get((prompts.name, prompt.id)) is False
    ]
