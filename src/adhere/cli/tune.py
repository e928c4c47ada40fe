"""`adhere tune`: a search for a method's parameters, reported on what chose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adhere.cli.progress import say


def tune(
    method: str,
    *,
    set: str = "attend-and-excite-animals",  # noqa: A002
    prompts: int = 11,
    seeds: Any = (0, 1),  # noqa: ANN401
    report_seeds: Any = (2, 3),  # noqa: ANN401
    parameters: str | None = None,
    metric: str = "all-present",
    scorer: str = "mini",
    cost_weight: float = 0.05,
    trials: int = 20,
    steps: int = 25,
    model: str = "mini",
    device: str | None = None,
    out: str | None = None,
) -> None:
    """Search a method's parameters on some prompts and seeds, and report on others.

      adhere tune attend-and-excite --trials 30
      adhere tune divide-and-bind --parameters temperature,step_size --cost-weight 0.1

    It reports on the baseline, the defaults, the numbers that the model states in its
    methods.json, and those found. Stopped at any moment and started again, it goes on. It needs
    the extra `tune`.

    Args:
        method: see `adhere methods`.
        set: of prompts.
        prompts: how many in each of the two splits.
        seeds: those that choose.
        report_seeds: those that do not.
        parameters: to search, separated by commas; without it those of temperature, step_size
            and refine_at that the method has.
        metric: of the scorer.
        scorer: what judges.
        cost_weight: of a pass of nursing.
        trials: settings to try.
        steps: of sampling.
        model: mini or mini-joint (bundled), a folder or a hub id.
        device: cpu or cuda; a GPU without it, where there is one.
        out: the search's file; runs/tune-METHOD.sqlite without it.
    """
    from adhere.cli.choosing import hush
    from adhere.cli.values import names
    from adhere.drawing.loading import load
    from adhere.drawing.stated import stated_numbers
    from adhere.evaluation.prompts import prompt_set
    from adhere.evaluation.scorers import scorer as scorer_named
    from adhere.methods import make
    from adhere.tuning import search as searching
    from adhere.typed import text_of

    own = make(method)
    searched = searching.usual(own) if parameters is None else tuple(names(parameters))
    listed, count = prompt_set(set).prompts, max(prompts, 0)
    if prompts > max(len(listed) // 2, 1):
        raise ValueError(
            f"Got {prompts} prompts in each of the two splits, and {set} has {len(listed)} "
            f"prompts; give --prompts {len(listed) // 2}, or a larger set."
        )
    # Every second prompt chooses, the others report.
    validation = searching.Split(tuple(listed[::2][:count]), tuple(seeds))
    report = searching.Split(tuple(listed[1::2][:count]), tuple(report_seeds))
    search = searching.Search(method, searched, validation, metric, cost_weight, steps, trials)
    searching.check_apart(validation, report)
    hush()
    loaded, judge = load(model, device=device), scorer_named(scorer)
    searching.check_read(own, loaded, (*validation.prompts, *report.prompts))
    storage = Path(out) if out else Path("runs") / f"tune-{method}.sqlite"
    best = searching.tune(search, loaded, judge, storage, _told)
    found = " ".join(f"--set {n}={text_of(getattr(best, n))}" for n in search.parameters)
    say(f"best: {found}")
    score = searching.drawer(loaded, judge, search.metric, search.steps)
    methods = {"baseline": None, "default": own, "tuned": best}
    if stated := stated_numbers(model).get(method):
        methods["stated"] = make(method, stated)
    for line in searching.reported(methods, report, score, "baseline"):
        say(line)


def _told(number: int, value: float, parameters: object) -> None:
    say(f"trial {number}: {value:.4f}  {parameters}")
