"""The command `adhere`: every mistake gets one clear line, and nothing heavy is imported early."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from adhere.cli.arguments import parse
from adhere.cli.printing import printable
from adhere.errors import AdhereError

# Former commands, and what to run instead.
_MOVED = {
    "train": "the training is no part of the package any more: in a copy of the repository, run "
    "`python -m training mini --folder runs/mini`",
}
_PACKAGE = str(Path(__file__).parent.parent)


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
    if words and words[0] in _MOVED:
        return _tell(_MOVED[words[0]], 2)
    try:
        arguments = parse(words)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        with _quiet(arguments.debug):
            import_module(f"adhere.cli.{arguments.verb}").run(arguments)
    except KeyboardInterrupt as interrupt:
        usual = "interrupted; pictures named above are whole, and nothing else was kept"
        return _tell(str(interrupt) or usual, 130)
    except BrokenPipeError:
        # Whoever read our output has read enough; what is left of it has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
        is_known = isinstance(error, AdhereError | ValueError | OSError)
        if is_known:
            return _tell(one_line(error), 2)
        if type(error).__name__ == "OutOfMemoryError":
            return _tell("out of memory: give a smaller --size or --batch-size", 2)
        return _tell(
            f"unexpected {type(error).__name__}: {one_line(error)} (--debug shows where; please "
            "report it)",
            1,
        )
    return 0


def one_line(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename!r}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


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

    def show(message: Warning | str, category: type, filename: str, *_: object) -> None:
        if filename.startswith(_PACKAGE) and issubclass(category, UserWarning):
            _tell(f"warning: {' '.join(str(message).split())}", 0)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
