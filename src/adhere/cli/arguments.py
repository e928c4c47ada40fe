"""The words of the command line, read and checked without importing anything heavy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from adhere import __version__
from adhere.cli import calibrate, tune
from adhere.cli.values import count, folder, names, scale, seeds, size, subjects
from adhere.errors import nearest

_WITH_METHOD = ("draw", "maps")
_OPTION = re.compile(r"(--[a-z][a-z0-9._-]*)(?:=(.*))?", re.DOTALL)

_INTRODUCTION = """\
Make text-to-image models draw everything that the prompt asks for.

  adhere draw "a cat and a frog"                 one picture, nursed, on the bundled model
  adhere draw "a cat and a frog" --plain         the same without nursing, to compare
  adhere compare "a cat and a frog" --seeds 0-3  every method on the same seeds, on one sheet
  adhere tokens "a cat and a frog"               tokens, and the subjects found
  adhere maps "a cat and a frog"                 where each subject's attention is
  adhere methods                                 the methods and their parameters
  adhere app                                     all of this in a browser
  adhere evaluate run RUN --sets SET             methods x prompts x seeds, scored, as a report

The bundled model needs no download. For another, give --model a folder in diffusers' layout or
an id on the Hugging Face hub: Stable Diffusion 1 and 2, SDXL.
"""

_DRAW = """\
Draw a prompt and nurse the model while it samples, so that no subject is left out.

  adhere draw "a cat and a frog" --seeds 0-3
  adhere draw "a red car and a blue bench" --method divide-and-bind
  adhere draw "a cat and a frog" --subjects "cat,frog" --step-size 10 --stop 0.6
  adhere draw "a cat and a frog" --model stable-diffusion-v1-5/stable-diffusion-v1-5
  adhere draw --again pictures/a-cat-and-a-frog-seed0-1a2b3c4d.png

A method's parameters are options of their own: --step-size 10, --refine-at 0:0.05,0.2:0.5.
`adhere methods` lists them. Every PNG carries its whole recipe; --again draws it once more.
"""

_COMPARE = """\
Draw a prompt plainly and with every method on the same seeds: one sheet, a row each.

  adhere compare "a cat and a frog" --seeds 0-3
  adhere compare "a red car and a blue bench" --methods divide-and-bind,attend-and-excite
"""

_CALIBRATE = """\
Draw 24 single subjects, and set temperature, thresholds and step size of every method that moves
latents from what their attention looks like.

  adhere calibrate
  adhere calibrate owner/name --scorer owlv2
"""

_TUNE = """\
Search a method's parameters on some prompts and seeds, and report on others. Stopped at any moment
and started again, it goes on. It needs the extra `tune`.

  adhere tune attend-and-excite --trials 30
  adhere tune divide-and-bind --parameters temperature,step_size --cost-weight 0.1
"""

_TOKENS = """\
List the tokens of a prompt with their indices, and the subjects found in it.

  adhere tokens "a green backpack and a pink chair"
"""

_MAPS = """\
Show where the attention of each subject is: over the picture, and step by step.

  adhere maps "a cat and a frog"
  adhere maps "a cat and a frog" --plain
"""


_APP = """\
Serve a page on which to draw, correct subjects and compare, until Ctrl-C.

  adhere app
  adhere app --model stable-diffusion-v1-5/stable-diffusion-v1-5 --port 8000
"""

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
  adhere evaluate run RUN --sets dvmp --methods strong=attend-and-excite:step_size=40,stop=0.6
  adhere evaluate run RUN

A run that was stopped or killed goes on with the last of these. Methods are parted by commas; one
may have a name before it (name=method), parameters after it (method:parameter=value,...), and
other methods beside it (method+0.5*method, where objectives are summed). The plain control is
always drawn.
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

    Options of `draw` and `maps` that are not known here are parameters of the method; they are
    kept as text in `settings`, for the method to check.

    Raises:
        SystemExit: with status 2 and one line where they are wrong, with 0 after --help.
    """
    parser, verbs = _build()
    words = list(argv)
    settings: list[tuple[str, str]] = []
    chosen = next((v for v in (" ".join(words[:2]), *words[:1]) if v in verbs), None)
    if chosen is not None:
        words, settings = _set_apart(verbs[chosen], words)
    arguments = parser.parse_args(words)
    own = verbs[chosen or arguments.verb]
    arguments.settings = settings
    arguments.options = [o for action in own._actions for o in action.option_strings]
    if settings and arguments.verb not in _WITH_METHOD:
        wrong = f"--{settings[0][0].replace('_', '-')}"
        near = nearest(wrong, arguments.options)
        own.error(f"{wrong} is no option" + (f": did you mean {near}?" if near else ""))
    if arguments.verb == "draw":
        _check_again(own, arguments)
    if getattr(arguments, "plain", False) and (arguments.method or settings or arguments.official):
        own.error("--plain has no method, official or not, and no parameters of one")
    return arguments


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="adhere",
        description=_INTRODUCTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"adhere {__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    verbs = {}
    for verb, summary, text in (
        ("draw", "draw a prompt", _DRAW),
        ("compare", "draw it with every method, on one sheet", _COMPARE),
        ("tokens", "list tokens and subjects", _TOKENS),
        ("maps", "show each subject's attention", _MAPS),
        ("methods", "list methods and their parameters", "List methods and their parameters."),
        ("cite", "print the BibTeX of methods", "Print the BibTeX of methods."),
        ("calibrate", "find numbers for a model", _CALIBRATE),
        ("tune", "search a method's parameters", _TUNE),
        ("evaluate", "compare methods on sets of prompts", _EVALUATE),
        ("app", "serve a page on which to draw", _APP),
    ):
        verbs[verb] = commands.add_parser(
            verb,
            help=summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    draw, compare, tokens, maps = (verbs[v] for v in ("draw", "compare", "tokens", "maps"))
    draw.add_argument("prompt", nargs="?", metavar="PROMPT", help="what to draw, in English")
    for verb in (compare, tokens, maps):
        verb.add_argument("prompt", metavar="PROMPT", help="what to draw, in English")
    for verb in (draw, maps):
        _add_method(verb)
    compare.add_argument("--methods", type=names, help="which, separated by commas (all)")
    for verb in (draw, compare, maps):
        _add_sampling(verb, usual="sheets" if verb is not draw else "pictures")
    _add_subjects(tokens)
    _add_model(tokens)
    draw.add_argument(
        "--again",
        metavar="PNG",
        action=_Once,
        help="draw this picture once more from the recipe inside it, and say whether it is the "
        "same; goes with --model, --device and --out only",
    )
    verbs["cite"].add_argument("names", metavar="METHOD", nargs="*", help="which (all)")
    _add_page(verbs["app"])
    calibrate.add_arguments(verbs["calibrate"])
    tune.add_arguments(verbs["tune"])
    verbs |= _add_evaluation(verbs["evaluate"])
    for verb in verbs.values():
        verb.add_argument("--debug", action="store_true", help="show tracebacks and all warnings")
    return parser, verbs


def _add_page(page: _Parser) -> None:
    _add_model(page)
    page.add_argument("--host", action=_Once, metavar="NAME", help="address (127.0.0.1)")
    page.add_argument("--port", action=_Once, type=count, metavar="N", help="its port (7860)")
    page.add_argument("--dtype", action=_Once, metavar="TYPE", help="float32, bfloat16 or float16")
    page.add_argument("--device", action=_Once, metavar="NAME", help="cpu, cuda, cuda:1, mps")


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


def _add_method(verb: _Parser) -> None:
    group = verb.add_argument_group(
        "method", "Its parameters are options too, see `adhere methods`: --step-size 10"
    )
    group.add_argument(
        "--method",
        action=_Once,
        type=names,
        metavar="NAME",
        help="what nurses (emergent-layout); `none` for nothing; two, separated by a comma, "
        "where one moves latents and the other edits attention",
    )
    group.add_argument("--plain", action="store_true", help="no nursing, as --method none")
    group.add_argument(
        "--official", action="store_true", help="the authors' behaviour where it differs"
    )


def _add_subjects(verb: argparse._ActionsContainer) -> None:
    verb.add_argument(
        "--subjects",
        action=_Once,
        type=subjects,
        metavar="A,B",
        help="what must be in the picture (found in the prompt): words or phrases of the prompt, "
        "token indices, or pairs such as green:backpack",
    )


def _add_model(verb: argparse._ActionsContainer) -> None:
    verb.add_argument(
        "--model",
        action=_Once,
        metavar="NAME",
        help="`mini` (bundled, the default), a folder, or a hub id such as owner/name@revision",
    )


def _add_sampling(verb: _Parser, usual: str) -> None:
    _add_subjects(verb)
    _add_model(verb)
    _add_drawing(verb, "one picture each, as in 7, 0-3 or 0,2,5-9 (0)")
    verb.add_argument(
        "--out", action=_Once, metavar="FOLDER", help=f"where pictures go (./{usual})"
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


def _set_apart(parser: _Parser, words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The words without the options that the parser does not know, and those as pairs."""
    takes_value = {
        o: action.nargs != 0 for action in parser._actions for o in action.option_strings
    }
    kept: list[str] = []
    pairs: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            kept += [word, *rest]
            break
        match = _OPTION.fullmatch(word)
        if match is None or takes_value.get(word) is False:
            kept.append(word)
            continue
        name, value = match[1], match[2]
        if value is None:
            value = next(rest, None)
        if name in takes_value:
            # Joined, so that a value may begin with a hyphen.
            is_option = value is None or value.startswith("--")
            kept += (
                [name] if value is None else [name, value] if is_option else [f"{name}={value}"]
            )
            continue
        if value is None or value.startswith("--"):
            near = nearest(name, takes_value)
            hint = f"did you mean {near}?" if near else "a parameter of a method needs a value"
            parser.error(f"{name} is no option: {hint}")
        if name in pairs:
            parser.error(f"{name} is given twice")
        pairs[name] = value
    return kept, [(name[2:].replace("-", "_"), value) for name, value in pairs.items()]


def _check_again(parser: _Parser, arguments: argparse.Namespace) -> None:
    if arguments.again is None:
        if arguments.prompt is None:
            parser.error("give a prompt, or --again with a picture")
        return
    others = [
        name
        for name, value in vars(arguments).items()
        if name not in ("verb", "again", "model", "device", "out", "debug", "options")
        and value not in (None, False, [])
    ]
    if others:
        said = ", ".join(n if n in ("prompt", "settings") else f"--{n}" for n in others)
        parser.error(
            f"--again takes everything from the picture; leave out {said.replace('_', '-')}"
        )
