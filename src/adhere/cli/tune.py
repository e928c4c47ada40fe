"""`adhere tune`: a search for a method's parameters, reported on what chose nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from adhere.cli.choosing import hush
from adhere.cli.progress import say
from adhere.cli.values import names, seeds
from adhere.drawing.loading import MINI, load
from adhere.methods import make
from adhere.typed import text_of


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add = verb.add_argument
    add("method", metavar="METHOD", help="see `adhere methods`")
    add("--set", default="attend-and-excite-animals", help="of prompts (%(default)s)")
    add("--prompts", type=int, default=11, help="in each of the two splits (%(default)s)")
    add("--seeds", type=seeds, default=(0, 1), metavar="0-1", help="that choose (0-1)")
    add("--report-seeds", type=seeds, default=(2, 3), metavar="2-3", help="that do not (2-3)")
    add("--parameters", type=names, help="to search (temperature,step_size,refine_at)")
    add("--metric", default="all-present", help="of the scorer (%(default)s)")
    add("--scorer", default="mini", help="what judges (%(default)s)")
    add("--cost-weight", type=float, default=0.05, help="of a pass of nursing (%(default)s)")
    add("--trials", type=int, default=20, help="settings to try (%(default)s)")
    add("--steps", type=int, default=25, help="of sampling (%(default)s)")
    add("--model", default=MINI, help="mini, a folder or a hub id (%(default)s)")
    add("--device", help="cpu or cuda (a GPU where there is one)")
    add("--out", type=Path, help="the search's file (runs/tune-METHOD.sqlite)")


def run(arguments: argparse.Namespace) -> None:
    """Searches, going on where it was stopped, and reports on the other prompts and seeds."""
    from adhere.evaluation.prompts import prompt_set
    from adhere.evaluation.scorers import scorer
    from adhere.tuning import search as searching

    make(arguments.method)
    prompts = prompt_set(arguments.set).prompts
    # Every second prompt chooses, the others report.
    count = arguments.prompts
    validation = searching.Split(tuple(prompts[::2][:count]), tuple(arguments.seeds))
    report = searching.Split(tuple(prompts[1::2][:count]), tuple(arguments.report_seeds))
    search = searching.Search(
        arguments.method,
        tuple(arguments.parameters or ("temperature", "step_size", "refine_at")),
        validation,
        arguments.metric,
        arguments.cost_weight,
        arguments.steps,
        arguments.trials,
    )
    searching.check_apart(validation, report)
    hush(arguments.debug)
    model, judge = load(arguments.model, device=arguments.device), scorer(arguments.scorer)
    storage = arguments.out or Path("runs") / f"tune-{arguments.method}.sqlite"
    best = searching.tune(search, model, judge, storage, _told)
    found = " ".join(
        f"--{name.replace('_', '-')} {text_of(getattr(best, name))}" for name in search.parameters
    )
    say(f"best: {found}")
    score = searching.drawer(model, judge, search.metric, search.steps)
    methods = {"baseline": None, "default": make(arguments.method), "tuned": best}
    for line in searching.reported(methods, report, score, "baseline"):
        say(line)


def _told(number: int, value: float, parameters: object) -> None:
    say(f"trial {number}: {value:.4f}  {parameters}")
