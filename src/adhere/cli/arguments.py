"""The words of the command line, read and checked without importing anything heavy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from adhere import __version__
from adhere.names import nearest

MOST_SEEDS = 1_000
_NAME_OF_OPTION = re.compile(r"--([a-z][a-z0-9._-]*)(?:=(.*))?", re.DOTALL)

_INTRODUCTION = """\
Make text-to-image models draw everything that the prompt asks for.

  adhere draw "a cat and a frog"                 one picture, nursed, on the bundled model
  adhere draw "a cat and a frog" --plain         the same without nursing, to compare
  adhere compare "a cat and a frog" --seeds 0-3  every method on the same seeds, on one sheet
  adhere tokens "a cat and a frog"               tokens, and the subjects found
  adhere maps "a cat and a frog"                 where each subject's attention is
  adhere methods                                 the methods and their parameters

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

_TOKENS = """\
List the tokens of a prompt with their indices, and the subjects found in it.

  adhere tokens "a green backpack and a pink chair"
"""

_MAPS = """\
Show where the attention of each subject is: over the picture, and step by step.

  adhere maps "a cat and a frog"
  adhere maps "a cat and a frog" --plain
"""


_TRAIN = """\
Train the bundled model from nothing. Stopped at any moment and started again, it goes on.

  adhere train --folder runs/mini                     all stages
  adhere train --folder runs/mini --stages denoiser   one of them
  adhere train --folder runs/tiny --dial 1 --length 0.1

Each stage leaves a checkpoint, a log of figures and picture sheets in the folder; the second one
leaves a pipeline, which --model takes.
"""


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
    options: list[str] = []
    if words and words[0] in ("draw", "maps"):
        options = [o for action in verbs[words[0]]._actions for o in action.option_strings]
        words, settings = _set_apart(verbs[words[0]], options, words)
    arguments = parser.parse_args(words)
    arguments.settings, arguments.options = settings, options
    if arguments.verb == "draw":
        _check_again(verbs["draw"], arguments)
    if getattr(arguments, "plain", False) and (arguments.method or settings):
        verbs[arguments.verb].error("--plain has no method, and no parameters of one")
    return arguments


def seeds(text: str) -> tuple[int, ...]:
    """Seeds from "7", "0-3" or "0,2,5-9"."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?", part, re.ASCII)
        if match is None:
            raise argparse.ArgumentTypeError(
                f"{text!r} are no seeds; give whole numbers from 0 on, as in 7, 0-3 or 0,2,5-9"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} runs backwards; give {last}-{first}"
            )
        if last - first + len(found) >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{text!r} are more than {MOST_SEEDS} seeds")
        found |= dict.fromkeys(range(first, last + 1))
    if max(found) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} goes beyond the largest seed, 2**63 - 1")
    return tuple(found)


def size(text: str) -> tuple[int, int]:
    """Width and height from "512x768"."""
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip().lower(), re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; give width x height, as in 512x768"
        )
    return int(match[1]), int(match[2])


def subjects(text: str) -> list[str | int | tuple[str, ...]]:
    """Subjects from "cat,frog", with indices as "2" and pairs as "green:backpack"."""
    found: list[str | int | tuple[str, ...]] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            raise argparse.ArgumentTypeError(f"{text!r} has an empty subject; give cat,frog")
        parts = tuple(word.strip() for word in part.split(":"))
        if part.isascii() and part.isdigit():
            found.append(int(part[:9]))
        else:
            found.append(parts if len(parts) > 1 else part)
    return found


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def scale(text: str) -> float:
    """A finite number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return value


def names(text: str) -> list[str]:
    """Names from "a,b"."""
    return [name.strip() for name in text.split(",")]


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
        ("train", "train the bundled model anew", _TRAIN),
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
        _add_sampling(verb, folder="sheets" if verb is not draw else "pictures")
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
    _add_training(verbs["train"])
    for verb in verbs.values():
        verb.add_argument("--debug", action="store_true", help="show tracebacks and all warnings")
    return parser, verbs


def _add_training(verb: _Parser) -> None:
    verb.add_argument("--folder", default="runs/mini", help="of checkpoints (runs/mini)")
    verb.add_argument("--stages", help="autoencoder, denoiser, scorer; by commas (all, in order)")
    verb.add_argument("--dial", type=int, default=2, help="size of every network, 1 to 8 (2)")
    verb.add_argument("--length", type=float, default=1.0, help="factor on all step counts (1)")
    verb.add_argument("--seed", type=int, default=0, help="of weights, scenes and noise (0)")
    verb.add_argument("--device", help="cpu or cuda (a GPU where there is one)")
    verb.add_argument("--workers", type=int, default=0, help="processes that draw scenes (0)")


def _add_method(verb: _Parser) -> None:
    group = verb.add_argument_group(
        "method", "Its parameters are options too, see `adhere methods`: --step-size 10"
    )
    group.add_argument(
        "--method",
        action=_Once,
        type=names,
        metavar="NAME",
        help="what nurses (attend-and-excite); `none` for nothing; two, separated by a comma, "
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


def _add_sampling(verb: _Parser, folder: str) -> None:
    group = verb.add_argument_group("sampling")
    _add_subjects(group)
    _add_model(group)
    add = group.add_argument
    # The singular is what many would try, and one method has a parameter of that name.
    add(
        "--seeds",
        "--seed",
        action=_Once,
        type=seeds,
        metavar="0-3",
        help="one picture each, as in 7, 0-3 or 0,2,5-9 (0)",
    )
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
    group = verb.add_argument_group("machine")
    add = group.add_argument
    add("--dtype", action=_Once, metavar="TYPE", help="float32, bfloat16 or float16")
    add("--device", action=_Once, metavar="NAME", help="cpu, cuda, cuda:1, mps (a GPU if any)")
    add(
        "--batch-size",
        action=_Once,
        type=count,
        metavar="N",
        help="pictures sampled together (4)",
    )
    add("--out", action=_Once, metavar="FOLDER", help=f"where pictures go (./{folder})")


def _set_apart(
    parser: _Parser, options: list[str], words: list[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """The words without the options that the parser does not know, and those as pairs."""
    kept: list[str] = []
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(words):
        word = words[position]
        match = _NAME_OF_OPTION.fullmatch(word)
        position += 1
        if word == "--":
            kept += words[position - 1 :]
            break
        if match is None or f"--{match[1]}" in options:
            kept.append(word)
            # The value of a known option is never an option, whatever it looks like.
            takes_value = match is not None and match[2] is None and _takes(parser, word)
            if takes_value and position < len(words):
                kept.append(words[position])
                position += 1
            continue
        value = match[2]
        if value is None:
            if position == len(words) or words[position].startswith("--"):
                near = nearest(word, options)
                hint = f": did you mean {near}?" if near else ", and a parameter needs a value"
                parser.error(f"{word} is no option{hint}")
            value = words[position]
            position += 1
        pairs.append((match[1].replace("-", "_"), value))
    doubled = [name for name, _ in pairs]
    for name in doubled:
        if doubled.count(name) > 1:
            parser.error(f"--{name.replace('_', '-')} is given twice")
    return kept, pairs


def _takes(parser: _Parser, option: str) -> bool:
    action = next(a for a in parser._actions if option in a.option_strings)
    return action.nargs != 0


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
