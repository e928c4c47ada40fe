"""What the tests of drawing and of the command share: toy pipelines in folders."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import toys

PROMPT = "a cat and a frog"


@cache
def saved(kind="sd"):
    """The folder of a toy pipeline, written once; copy it before changing it."""
    home = mkdtemp(prefix="adhere-toy-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    folder = Path(home) / kind
    getattr(toys, kind)().save_pretrained(folder)
    return folder


def copied(target):
    """A copy of the toy's folder that may be broken."""
    return Path(shutil.copytree(saved(), target / "model"))
