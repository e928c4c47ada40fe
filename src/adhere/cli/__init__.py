"""The command `adhere`: every mistake gets one clear line, and nothing heavy is imported early."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import typer

from adhere import __version__
from adhere.cli.command import Verbs
from adhere.cli.hints import hint_of
from adhere.errors import AdhereError, AdhereWarning, is_out_of_memory
from adhere.printing import printable

VERBS = {
    "draw": ("adhere.cli.draw:draw", "Draw a prompt."),
    "redraw": ("adhere.cli.redraw:redraw", "Draw images again from the recipes inside them."),
    "compare": ("adhere.cli.compare:compare", "Draw it with every method, on one sheet."),
    "tokens": ("adhere.cli.tokens:tokens", "List the tokens and subjects of a prompt."),
    "maps": ("adhere.cli.maps:maps", "Show where the attention of each subject is."),
    "methods": ("adhere.cli.methods:methods", "List methods and their parameters."),
    "cite": ("adhere.cli.cite:cite", "Print the BibTeX of methods."),
    "app": ("adhere.cli.app:app", "Serve a page on which to draw."),
    "calibrate": ("adhere.cli.calibrate:calibrate", "Find a model's parameters of methods."),
    "tune": ("adhere.cli.tune:tune", "Search a method's parameters."),
    "evaluate": ("adhere.cli.evaluate:PARTS", "Compare methods on sets of prompts."),
}
"""Verb to its typer app or function, and a summary. A new verb is one line here."""

_INTRODUCTION = """\
Make text-to-image models draw everything that the prompt asks for.

\b
  adhere draw "a cat and a frog"                 one image, nursed, on the bundled model
  adhere draw "a cat and a frog" --baseline      the same without nursing, to compare
  adhere compare "a cat and a frog" --seeds 0-3  every method on the same seeds, on one sheet
  adhere methods                                 the methods and their parameters
  adhere app                                     all of this in a browser

The bundled model needs no download. For another, give --model a folder in diffusers' layout or
an id on the Hugging Face hub.

Every verb takes --help, and --debug, which shows tracebacks and all warnings. adhere --version
prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its words; None takes the process's.

    Returns:
        The exit status: 0, 2 for a user's mistake, 1 for ours, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows fewer characters than a prompt is told them by their numbers.
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    if words == ["--version"]:
        print(f"adhere {__version__}")
        return 0
    root = Verbs(VERBS, name="adhere", help=_INTRODUCTION)
    try:
        with _quiet(debug), root.make_context("adhere", words) as context:
            root.invoke(context)
    except typer.Exit as end_of_command:
        return end_of_command.exit_code
    except SystemExit as end_of_command:
        return int(end_of_command.code or 0)
    except KeyboardInterrupt as interrupt:
        usual = "interrupted; images named above are whole, and nothing else was kept"
        return _tell(str(interrupt) or usual, 130)
    except BrokenPipeError:
        # Whoever read our output has read enough; what is left of it has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _told(error)
    return 0


def one_line(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename!r}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _told(error: Exception) -> int:
    """Prints an error, and gives the exit status."""
    if hasattr(error, "format_message"):
        # Of the parser: the words are wrong.
        command = getattr(getattr(error, "ctx", None), "command_path", "adhere")
        told = hint_of(command, error) or " ".join(error.format_message().split())  # type: ignore[attr-defined]
        return _tell(f"{told.rstrip('.')} (see {command} --help)", 2)
    if isinstance(error, AdhereError | ValueError | OSError):
        return _tell(one_line(error), 2)
    if is_out_of_memory(error):
        return _tell("out of memory: give a smaller --size or --batch-size", 2)
    return _tell(
        f"unexpected {type(error).__name__}: {one_line(error)} (--debug shows where; please "
        "report it)",
        1,
    )


def _tell(message: str, status: int) -> int:
    print(f"adhere: {printable(message)}", file=sys.stderr)
    return status


@contextmanager
def _quiet(debug: bool) -> Iterator[None]:
    """Our own warnings in one line each, and none of other libraries, unless debugging."""
    if debug:
        yield
        return
    # Read when the libraries are imported, which happens later.
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

    told: set[str] = set()

    def show(message: Warning | str, category: type, *_: object) -> None:
        line = f"warning: {' '.join(str(message).split())}"
        if issubclass(category, AdhereWarning) and line not in told:
            told.add(line)
            _tell(line, 0)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
