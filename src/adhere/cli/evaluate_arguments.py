"""The words of `adhere evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from adhere.cli.values import count, folder, names, scale, seeds, size
from adhere.errors import nearest

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    }
)
def evaluate(context: typer.Context) -> None:
    """Compare methods on sets of prompts."""
    from adhere.cli.evaluate import run

    run(parse(["evaluate", *context.args]))


_EVALUATE = """\
Compare methods on sets of prompts: pictures, scores and a report, stopped and resumed at will.

  adhere evaluate prompts                                      the sets of prompts
  adhere evaluate run RUN --sets attend-and-excite-animals     draw, score and report
  adhere evaluate run RUN                                      go on where it was
"""

_EVALUATE_PARTS = {
    "run": (
        "draw, score and report",
        """\
Draw every prompt with every method on the same seeds, score the pictures, and write the report.

  adhere evaluate run RUN --sets attend-and-excite-animals --seeds 0-3 --minutes 120
  adhere evaluate run RUN --sets prompts.txt --methods none,attend-and-excite
  adhere evaluate run plan.toml --out RUN
  adhere evaluate run RUN

A run that was stopped or killed goes on with the last of these. Methods with other parameters, or
several together, stand in a plan. RUN/plan.toml repeats a run. The plain control is always drawn.
""",
    ),
    "score": ("score a run", "Score the pictures of a run; those scored before are not again."),
    "report": ("write a run's report", "Write the report of a run that is scored."),
    "export": (
        "lay a run out for another's script",
        "Lay a run out so that the official script of a benchmark reads it.",
    ),
    "verify": ("check a run's pictures", "Check that a run's pictures are as they were drawn."),
    "prompts": ("list prompt sets", "List the sets of prompts, or the prompts of one."),
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Once(argparse.Action):
    """Keeps the value, and refuses a second one rather than choose between them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            parser.error(f"{option_string} is given twice")
        if values == "" and self.dest != "negative_prompt":
            parser.error(f"{option_string} is empty; give a value, or leave it out")
        setattr(namespace, self.dest, values)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the words of the command line.

    Raises:
        SystemExit: with status 2 and one line where they are wrong, with 0 after --help.
    """
    parser, verbs = _build()
    words = list(argv)
    own = verbs.get(" ".join(words[:2]), parser)
    arguments, others = parser.parse_known_args(words)
    if others:
        known = [o for action in own._actions for o in action.option_strings]
        near = nearest(others[0], known)
        own.error(f"{others[0]} is no option" + (f": did you mean {near}?" if near else ""))
    arguments.debug = False
    return arguments


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(prog="adhere", allow_abbrev=False)
    commands = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    evaluate = commands.add_parser(
        "evaluate",
        description=_EVALUATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser, _add_evaluation(evaluate)


def _add_evaluation(evaluate: _Parser) -> dict[str, _Parser]:
    """Adds the parts of `evaluate`, and gives their parsers."""
    parts = evaluate.add_subparsers(dest="part", metavar="PART", required=True)
    made = {}
    for part, (summary, text) in _EVALUATE_PARTS.items():
        verb = made[f"evaluate {part}"] = parts.add_parser(
            part,
            help=summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if part != "prompts":
            verb.add_argument("run", metavar="RUN", type=folder, help="folder of the run")
    run = made["evaluate run"]
    add = run.add_argument_group("what").add_argument
    add("--sets", action=_Once, type=names, help="prompt sets or files, separated by commas")
    add("--methods", action=_Once, metavar="LIST", help="see above (all, and none)")
    _add_model(run)
    _add_drawing(run, "the same for all methods, as in 7, 0-3 or 0,2,5-9 (0-3)")
    add = run.add_argument_group("run").add_argument
    add("--out", action=_Once, metavar="RUN", help="folder of a plan's run (the plan's name)")
    add("--minutes", action=_Once, type=scale, metavar="N", help="draw no longer than this")
    add("--repair", action="store_true", help="draw again what is missing, altered or failed")
    add("--threads", action=_Once, type=count, metavar="N", help="of PyTorch, on a CPU")
    add("--ray", action=_Once, metavar="ADDRESS", help="draw on this Ray cluster; `local` here")
    add("--workers", action=_Once, type=count, metavar="N", help="on Ray (as many as fit)")
    for verb in (run, made["evaluate score"]):
        verb.add_argument(
            "--scorers",
            action=_Once,
            type=names,
            help="which, separated by commas, as NAME or NAME=MODEL (mini for the bundled model)",
        )
    for verb in (run, made["evaluate score"], made["evaluate export"]):
        verb.add_argument(
            "--questions",
            action=_Once,
            metavar="FILE",
            help="TIFA's, in its own format (written from what each prompt wants)",
        )
    made["evaluate report"].add_argument(
        "--out", action=_Once, metavar="FOLDER", help="where it goes (RUN/report)"
    )
    made["evaluate export"].add_argument("layout", metavar="LAYOUT", help="whose layout")
    made["evaluate export"].add_argument("out", metavar="OUT", type=folder, help="a new folder")
    add = made["evaluate export"].add_argument
    add("--condition", action=_Once, metavar="NAME", help="one method's pictures (all of them)")
    add("--set", action=_Once, metavar="SET", help="one prompt set (all of them)")
    add("--copy", action="store_true", help="copy the pictures, not link them")
    add = made["evaluate prompts"].add_argument
    add("set", metavar="SET", nargs="?", help="a set or a file")
    add("--tifa", action="store_true", help="print its questions in TIFA's own format")
    return made


def _add_model(verb: argparse._ActionsContainer) -> None:
    verb.add_argument(
        "--model",
        action=_Once,
        metavar="NAME",
        help="`mini` (bundled, the default), a folder, or a hub id such as owner/name@revision",
    )


def _add_drawing(verb: _Parser, of_seeds: str) -> None:
    """Adds what decides how pictures are sampled, and on what machine."""
    add = verb.add_argument_group("sampling").add_argument
    # The singular is what many would try, and one method has a parameter of that name.
    add("--seeds", "--seed", action=_Once, type=seeds, metavar="0-3", help=of_seeds)
    add("--steps", action=_Once, type=count, metavar="N", help="of sampling (50)")
    add(
        "--guidance-scale",
        action=_Once,
        type=scale,
        metavar="X",
        help="of classifier-free guidance (the pipeline's)",
    )
    add("--negative-prompt", action=_Once, metavar="TEXT", help="what to lead away from")
    add("--size", action=_Once, type=size, metavar="WxH", help="in pixels (the model's)")
    add(
        "--scheduler",
        action=_Once,
        metavar="NAME",
        help="ddim, ddpm, dpm++2m, dpm++2m-sde, euler, euler-a, heun, lcm, pndm or unipc "
        "(the model's)",
    )
    add = verb.add_argument_group("machine").add_argument
    add("--dtype", action=_Once, metavar="TYPE", help="float32, bfloat16 or float16")
    add("--device", action=_Once, metavar="NAME", help="cpu, cuda, cuda:1, mps (a GPU if any)")
    add(
        "--batch-size",
        action=_Once,
        type=count,
        metavar="N",
        help="pictures sampled together (4)",
    )
